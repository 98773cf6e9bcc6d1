//! The pages of the four books, and the two pages of the site itself.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
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

/// How a page's headers name its version: a strong tag, which changes with each byte of the body.
fn tag(body: &str) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Middleware: answers 304 where the asker has the page already, which its tag says.
///
/// It stands around the faults, so that a page that a fault has altered, and which has no tag, is never called
/// unchanged.
///
/// # Source
/// RFC 9110, section 13.1.2: a list of tags or `*`; weak and strong tags count as the same.
pub(crate) async fn unchanged(request: Request, next: Next) -> Response {
    let asked = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .filter(|_| request.method() == Method::GET)
        .and_then(|asked| asked.to_str().ok())
        .map(str::to_owned);
    let response = next.run(request).await;
    let tag = response
        .headers()
        .get(header::ETAG)
        .and_then(|tag| tag.to_str().ok());
    let (Some(asked), Some(tag), StatusCode::OK) = (asked, tag, response.status()) else {
        return response;
    };
    let mut tags = asked.split(',').map(str::trim);
    if !tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}

fn json_page(status: StatusCode, at: DateTime<Utc>, body: &Value) -> Response {
    let body = body.to_string();
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::ETAG, tag(&body)),
        (AT, timestamp::text(at)),
    ];
    (status, headers, body).into_response()
}

fn html_page(status: StatusCode, at: DateTime<Utc>, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::ETAG, tag(&body)),
        (AT, timestamp::text(at)),
    ];
    (status, headers, body).into_response()
}

/// The answer of a JSON book to a path that it does not know.
async fn unknown_json_path() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(json!({ "error": "not found" }))).into_response()
}

/// What robots may do: everything, but for the faults of the books that the host has. `alpha.localhost` has one, a host
/// whose name begins with none of theirs has all.
pub(crate) async fn robots(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let mut rules = String::from("User-agent: *\n");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = host.and_then(|host| Book::from_key(host.split('.').next()?));
    for book in Book::ALL
        .into_iter()
        .filter(|book| own.is_none_or(|own| own == *book))
    {
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
