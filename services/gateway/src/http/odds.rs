//! `GET /api/odds`: the board now; `GET /api/odds/{event_id}/history`: what it was.

use super::{
    Gateway, answer,
    error::ApiError,
    extract::{Parameters, Reading},
};
use crate::{
    board::{Board, Filter},
    history::History,
};
use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use oddswire_protocol::{EventId, MarketToken, SourceKey, SportKey, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

/// What `OpenAPI` says of each parameter stands here as well.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct BoardQuery {
    /// Only this sport.
    #[schemars(with = "SportKey")]
    sport: Option<String>,
    /// Only this event.
    #[schemars(with = "EventId")]
    event_id: Option<String>,
    /// Only this source.
    #[schemars(with = "SourceKey")]
    source: Option<String>,
    /// Only this market: `<key>-<period>`.
    #[schemars(with = "MarketToken")]
    market: Option<String>,
    /// How many markets at most.
    #[schemars(with = "usize", range(min = 1, max = LIMIT_MAX), extend("default" = LIMIT_DEFAULT))]
    limit: Option<String>,
    /// The `next_page` of the page before.
    #[schemars(with = "String")]
    page: Option<String>,
}

const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 5_000;

pub(super) async fn board(
    State(gateway): State<Gateway>,
    Parameters(query): Parameters<BoardQuery>,
    _place: Reading,
) -> Result<Response, ApiError> {
    let filter = Filter {
        sport: token("sport", query.sport.as_deref())?,
        event_id: token("event_id", query.event_id.as_deref())?,
        source: token("source", query.source.as_deref())?,
        market: token("market", query.market.as_deref())?,
    };
    let limit = super::scrapes::limit(query.limit.as_deref(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let after = after(query.page.as_deref())?;
    let board = Board::begin(&gateway.shared.logs, &filter, after, limit).await?;
    answer::listing(&gateway, board).await
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct HistoryQuery {
    /// Only this source.
    #[schemars(with = "SourceKey")]
    source: Option<String>,
    /// Only this market: `<key>-<period>`.
    #[schemars(with = "MarketToken")]
    market: Option<String>,
    /// Only what came at this time or later; 24 hours ago when left out.
    #[schemars(with = "Timestamp")]
    since: Option<String>,
    /// How many images at most.
    #[schemars(with = "usize", range(min = 1, max = LIMIT_MAX), extend("default" = LIMIT_DEFAULT))]
    limit: Option<String>,
    /// The `next_page` of the page before.
    #[schemars(with = "String")]
    page: Option<String>,
}

/// HISTORY keeps this much.
const HISTORY_MS: i64 = 24 * 3_600_000;

pub(super) async fn history(
    State(gateway): State<Gateway>,
    event_id: Result<Path<String>, PathRejection>,
    Parameters(query): Parameters<HistoryQuery>,
    _place: Reading,
) -> Result<Response, ApiError> {
    // An event without a past has no images, and is no error.
    let event_id: EventId = event_id
        .ok()
        .and_then(|Path(id)| id.parse().ok())
        .ok_or_else(|| ApiError::bad_query("an event's id must be 1 to 64 of a-z, 0-9, _ and -"))?;
    let filter = Filter {
        source: token("source", query.source.as_deref())?,
        market: token("market", query.market.as_deref())?,
        ..Filter::default()
    };
    let since = match query.since.as_deref().filter(|text| !text.is_empty()) {
        None => Timestamp::now().plus_ms(-HISTORY_MS),
        Some(text) => text
            .parse::<Timestamp>()
            .map_err(|_| ApiError::bad_query("since must be a time like 2026-02-06T01:30:00.123Z"))?,
    };
    let limit = super::scrapes::limit(query.limit.as_deref(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let after = after(query.page.as_deref())?;
    let history = History::begin(&gateway.shared.logs, &event_id, filter, since, after, limit);
    answer::listing(&gateway, history).await
}

/// Where a page begins: behind this sequence.
fn after(page: Option<&str>) -> Result<u64, ApiError> {
    page.map_or(Ok(0), str::parse)
        .map_err(|_| ApiError::bad_query("page must be the next_page of the page before"))
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

    #[test]
    fn a_filter_is_a_token_or_nothing() {
        assert!(token::<SportKey>("sport", None).unwrap().is_none());
        assert!(token::<SportKey>("sport", Some("soccer")).unwrap().is_some());
        assert!(token::<SportKey>("sport", Some("*")).is_err());
    }
}
