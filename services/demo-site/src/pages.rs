//! The pages of the four books, and the two pages of the site itself.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::book::Book;
use crate::faults::Fault;
use crate::site::Site;
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

/// What robots may do: everything, but for the faults of the books.
pub(crate) async fn robots(State(site): State<Arc<Site>>) -> Response {
    let mut rules = String::from("User-agent: *\n");
    for book in Book::ALL {
        match site.faults.meet_robots(book) {
            Some(Fault::RobotsDisallow) => {
                // Writing to a string cannot fail.
                let _ = writeln!(rules, "Disallow: /{book}/");
            }
            Some(Fault::RobotsCrawlDelay { s }) => {
                let _ = writeln!(rules, "Crawl-delay: {s}");
            }
            Some(Fault::RobotsError { status }) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return (status, "the demo site was told to fail\n").into_response();
            }
            _ => {}
        }
    }
    rules.push_str("Allow: /\n");
    rules.into_response()
}

pub(crate) async fn index() -> Html<&'static str> {
    Html(include_str!("pages/index.html"))
}
