//! The one place where faults meet requests.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;

use super::Fault;
use crate::book::Book;
use crate::site::Site;

/// How long the connection stays open after half of a body, so that the half reaches the reader first.
const BEFORE_RESET: Duration = Duration::from_millis(50);

/// The keys that layout drift leaves alone: the status envelopes, so that the answer still looks well.
const ENVELOPE: [&str; 3] = ["bizCode", "message", "R"];

const BLOCK_PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Access denied</title>\
</head>\n<body><h1>Access denied</h1><p>Please solve the captcha to show that you are human.</p>\
<div class=\"captcha\"></div></body></html>\n";

/// Middleware: counts requests to the books and lets them meet the book's fault.
pub(crate) async fn inject(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let Some(book) = Book::of_path(path) else {
        return next.run(request).await;
    };
    let fault = site.faults.meet(book, path);
    site.requests.count(book, path, fault.is_some());
    match fault {
        None => next.run(request).await,
        Some(Fault::Latency { ms }) => tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => next.run(request).await,
            () = site.stop.cancelled() => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        },
        Some(Fault::RateLimited { retry_after_s }) => (
            StatusCode::TOO_MANY_REQUESTS,
            [(header::RETRY_AFTER, retry_after_s.to_string())],
            "too many requests\n",
        )
            .into_response(),
        Some(Fault::ServerError { status }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, "the demo site was told to fail\n").into_response()
        }
        Some(Fault::BlockPage) => {
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], BLOCK_PAGE).into_response()
        }
        Some(Fault::ResetInBody) => altered(next.run(request).await, reset_half_way).await,
        Some(Fault::TruncatedJson) => altered(next.run(request).await, truncated).await,
        Some(Fault::LayoutDrift) => altered(next.run(request).await, drifted).await,
    }
}

/// Replaces the body and corrects `content-length` where the new body does not set its own.
async fn altered(response: Response, change: fn(Bytes) -> (Body, usize)) -> Response {
    let (mut parts, body) = response.into_parts();
    // The site's own bodies are whole texts in memory, so reading one cannot fail.
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let (body, length) = change(bytes);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Response::from_parts(parts, body)
}

fn reset_half_way(bytes: Bytes) -> (Body, usize) {
    let half = bytes.slice(..bytes.len() / 2);
    let torn = async {
        tokio::time::sleep(BEFORE_RESET).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    };
    let parts = stream::StreamExt::chain(stream::iter([Ok(half)]), stream::once(torn));
    (Body::from_stream(parts), bytes.len())
}

fn truncated(bytes: Bytes) -> (Body, usize) {
    let half = bytes.slice(..bytes.len() / 2);
    let length = half.len();
    (
        Body::from_stream(stream::iter([Ok::<_, Infallible>(half)])),
        length,
    )
}

fn drifted(bytes: Bytes) -> (Body, usize) {
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
