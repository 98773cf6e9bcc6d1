//! `POST /api/tickets`: what opens one stream where no header can be sent.

use super::{Gateway, error::ApiError};
use crate::auth::Grant;
use axum::{
    Extension,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use oddswire_protocol::{api::TicketGiven, problem::ProblemCode};
use std::sync::Arc;

pub(super) async fn give(
    State(gateway): State<Gateway>,
    grant: Option<Extension<Arc<Grant>>>,
) -> Result<Response, ApiError> {
    // Nobody was asked for a token: nobody needs a ticket.
    let Some(Extension(grant)) = grant else {
        let detail = "this gateway does not ask for tokens, so no stream needs a ticket";
        return Err(ApiError::new(ProblemCode::AuthDisabled, detail));
    };
    let (ticket, expires_in_s) = gateway.shared.door.issue(&grant)?;
    let given = TicketGiven { ticket, expires_in_s };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(given)).into_response())
}
