//! What a gateway answers on the operations port besides what every service does there.

use crate::quarantine::Quarantine;
use axum::{Json, Router, extract::State, routing::get};
use std::sync::Arc;

/// `/quarantine`: the newest messages that are not what the contract says.
pub(crate) fn routes(quarantine: Arc<Quarantine>) -> Router {
    let show = async |State(quarantine): State<Arc<Quarantine>>| Json(quarantine.events());
    Router::new()
        .route("/quarantine", get(show))
        .with_state(quarantine)
}
