//! The pages of the four books, and the two pages of the site itself.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::timestamp;

pub(crate) mod alpha;
pub(crate) mod bravo;
pub(crate) mod charlie;
pub(crate) mod delta;

/// On each page of a book: the moment of world time that the page was made for, so that the truth of exactly this
/// moment can be asked for.
const AT: HeaderName = HeaderName::from_static("x-demo-at");

fn json_page(status: StatusCode, at: DateTime<Utc>, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (AT, timestamp::text(at)),
    ];
    (status, headers, body.to_string()).into_response()
}

fn html_page(status: StatusCode, at: DateTime<Utc>, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (AT, timestamp::text(at)),
    ];
    (status, headers, body).into_response()
}

/// The answer of a JSON book to a path that it does not know.
async fn unknown_json_path() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(json!({ "error": "not found" }))).into_response()
}

pub(crate) async fn robots() -> &'static str {
    "User-agent: *\nAllow: /\n"
}

pub(crate) async fn index() -> Html<&'static str> {
    Html(include_str!("pages/index.html"))
}
