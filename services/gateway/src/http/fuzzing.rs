//! What `fuzz/` reaches and nobody else: there only where `cargo fuzz` builds.

use super::query::StreamQuery;
use axum::{
    extract::Query,
    http::{HeaderMap, HeaderValue, Uri},
};
use oddswire_protocol::server::Limits;

/// Judges a stream's query as its handlers do.
///
/// # Panics
/// When it grants what it must not.
pub fn judge_query(query: &str, last_event_id: &[u8]) {
    let limits = Limits {
        topics: 5,
        message_bytes: 1024,
        messages_per_s: 10,
    };
    let Ok(uri) = format!("/api/events?{query}").parse::<Uri>() else {
        return;
    };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(last_event_id) {
        headers.insert("last-event-id", value);
    }
    let Ok(Query(query)) = Query::<StreamQuery>::try_from_uri(&uri) else {
        return;
    };
    if query.check().is_err() {
        return;
    }
    if let Ok(request) = query.request(&headers, &limits, None) {
        assert!((1..=limits.topics).contains(&request.topics.len()));
    }
}
