//! Pages that are not what the book made.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;

use super::PIECES;

/// How long the connection stays open after half of a body, so that the half reaches the reader first.
const BEFORE_RESET: Duration = Duration::from_millis(50);

/// The keys that layout drift leaves alone: the status envelopes, so that the answer still looks well.
const ENVELOPE: [&str; 3] = ["bizCode", "message", "R"];

/// The lists of the JSON books.
const LISTS: [&str; 3] = ["data", "events", "D"];

/// Replaces the body, takes away the tag of the one that was there, and corrects `content-length` where the new body does not set its own.
pub(super) async fn altered(response: Response, change: impl FnOnce(Bytes) -> (Body, usize)) -> Response {
    let (mut parts, body) = response.into_parts();
    // The site's own bodies are whole texts in memory, so reading one cannot fail.
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let (body, length) = change(bytes);
    parts.headers.remove(header::ETAG);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Response::from_parts(parts, body)
}

pub(super) fn reset_half_way(bytes: Bytes) -> (Body, usize) {
    let half = bytes.slice(..bytes.len() / 2);
    let torn = async {
        tokio::time::sleep(BEFORE_RESET).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    };
    let parts = stream::StreamExt::chain(stream::iter([Ok(half)]), stream::once(torn));
    (Body::from_stream(parts), bytes.len())
}

pub(super) fn truncated(bytes: Bytes) -> (Body, usize) {
    let half = bytes.slice(..bytes.len() / 2);
    let length = half.len();
    (
        Body::from_stream(stream::iter([Ok::<_, Infallible>(half)])),
        length,
    )
}

pub(super) fn drifted(bytes: Bytes) -> (Body, usize) {
    let text = match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) => renamed(value).to_string(),
        Err(_) => String::from_utf8_lossy(&bytes)
            .replace(" class=\"", " class=\"v2-")
            .replace(" data-", " data-v2-"),
    };
    let length = text.len();
    (Body::from(text), length)
}

/// Adds `V2` to each key at each depth but those of the envelopes.
fn renamed(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let rename = |key: String| {
                if ENVELOPE.contains(&key.as_str()) {
                    key
                } else {
                    format!("{key}V2")
                }
            };
            Value::Object(
                fields
                    .into_iter()
                    .map(|(key, value)| (rename(key), renamed(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(renamed).collect()),
        other => other,
    }
}

/// The same bytes, a piece at a time with a pause before each.
pub(super) fn dripping(bytes: Bytes, pause: Duration, bytewise: bool) -> (Body, usize) {
    let length = bytes.len();
    let piece = if bytewise {
        1
    } else {
        length.div_ceil(PIECES).max(1)
    };
    let pieces: Vec<Bytes> = bytes.chunks(piece).map(|piece| bytes.slice_ref(piece)).collect();
    let drip = move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(piece)
    };
    let pieces = stream::StreamExt::then(stream::iter(pieces), drip);
    (Body::from_stream(pieces), length)
}

/// Lists with their first row again at their end.
pub(super) fn shifted(bytes: Bytes) -> (Body, usize) {
    if let Ok(value) = serde_json::from_slice::<Value>(&bytes) {
        return whole(doubled(value).to_string());
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let seen = |row: &&str| !row.contains("display:none") && !row.contains(" hidden");
    let row = text
        .split_inclusive("</tr>\n")
        .filter_map(|row| row.find("<tr class=\"match\"").map(|at| &row[at..]))
        .find(seen);
    whole(match row {
        Some(row) => text.replace("</tbody>", &format!("{row}</tbody>")),
        None => text,
    })
}

fn doubled(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| match value {
                    Value::Array(mut rows) if LISTS.contains(&key.as_str()) => {
                        rows.extend(rows.first().cloned());
                        (key, Value::Array(rows))
                    }
                    value => (key, doubled(value)),
                })
                .collect(),
        ),
        other => other,
    }
}

/// Without all markets but the match result.
pub(super) fn without_markets(bytes: Bytes) -> (Body, usize) {
    whole(match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) => bare(value).to_string(),
        Err(_) => String::from_utf8_lossy(&bytes)
            .split_inclusive('\n')
            .filter(|line| !line.contains("data-market=\"ou\""))
            .collect(),
    })
}

fn bare(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| match (key.as_str(), value) {
                    ("markets", Value::Array(mut markets)) => {
                        markets.truncate(1);
                        (key, Value::Array(markets))
                    }
                    ("O", Value::Object(mut prices)) => {
                        prices.retain(|name, _| name.starts_with("S_1X2"));
                        (key, Value::Object(prices))
                    }
                    (_, value) => (key, bare(value)),
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(bare).collect()),
        other => other,
    }
}

/// Dates without the `Z` that says that they are UTC.
pub(super) fn naive(bytes: Bytes) -> (Body, usize) {
    let text = String::from_utf8_lossy(&bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find("Z\"") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let is_date = before.len() >= 19 && before.is_char_boundary(before.len() - 19) && {
            let date = &before.as_bytes()[before.len() - 19..];
            (date[4], date[10], date[13]) == (b'-', b'T', b':')
        };
        if !is_date {
            out.push('Z');
        }
        rest = &after[1..];
    }
    out.push_str(rest);
    whole(out)
}

fn whole(text: String) -> (Body, usize) {
    let length = text.len();
    (Body::from(text), length)
}
