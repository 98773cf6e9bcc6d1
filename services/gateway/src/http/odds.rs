//! `GET /api/odds`: the board now.

use super::{Gateway, error::ApiError, extract::Parameters};
use crate::board::{self, Filter};
use axum::{extract::State, response::Response};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct BoardQuery {
    sport: Option<String>,
    event_id: Option<String>,
    source: Option<String>,
    market: Option<String>,
    limit: Option<String>,
    page: Option<String>,
}

const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 5_000;

pub(super) async fn board(
    State(gateway): State<Gateway>,
    Parameters(query): Parameters<BoardQuery>,
) -> Result<Response, ApiError> {
    let filter = Filter {
        sport: token("sport", query.sport.as_deref())?,
        event_id: token("event_id", query.event_id.as_deref())?,
        source: token("source", query.source.as_deref())?,
        market: token("market", query.market.as_deref())?,
    };
    let limit = super::scrapes::limit(query.limit.as_deref(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let after = match query.page.as_deref().map(str::parse::<u64>) {
        None => 0,
        Some(Ok(after)) => after,
        Some(Err(_)) => {
            return Err(ApiError::bad_query(
                "page must be the next_page of the page before",
            ));
        }
    };
    let page = board::page(gateway.shared.logs.bus(), &filter, after, limit).await?;
    Ok(super::scrapes::json(page.into_json()))
}

fn token<T: std::str::FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>, ApiError> {
    match text.filter(|text| !text.is_empty()).map(str::parse) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(ApiError::bad_query(format!(
            "{name} must be 1 to 64 of a-z, 0-9, _ and -"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oddswire_protocol::SportKey;

    #[test]
    fn a_filter_is_a_token_or_nothing() {
        assert!(token::<SportKey>("sport", None).unwrap().is_none());
        assert!(token::<SportKey>("sport", Some("soccer")).unwrap().is_some());
        assert!(token::<SportKey>("sport", Some("*")).is_err());
    }
}
