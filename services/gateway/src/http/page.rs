//! The page at `/`: files compiled into the binary.

use super::error::ApiError;
use axum::{
    extract::{Path, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// The name, the media type and the bytes of each file of the page.
const FILES: [(&str, &str, &str); 10] = [
    (
        "index.html",
        "text/html; charset=utf-8",
        include_str!("../../../../clients/dashboard/index.html"),
    ),
    (
        "style.css",
        "text/css; charset=utf-8",
        include_str!("../../../../clients/dashboard/style.css"),
    ),
    (
        "app.js",
        "text/javascript; charset=utf-8",
        include_str!("../../../../clients/dashboard/app.js"),
    ),
    (
        "board.js",
        "text/javascript; charset=utf-8",
        include_str!("../../../../clients/dashboard/board.js"),
    ),
    (
        "dom.js",
        "text/javascript; charset=utf-8",
        include_str!("../../../../clients/dashboard/dom.js"),
    ),
    (
        "feed.js",
        "text/javascript; charset=utf-8",
        include_str!("../../../../clients/dashboard/feed.js"),
    ),
    (
        "runs.js",
        "text/javascript; charset=utf-8",
        include_str!("../../../../clients/dashboard/runs.js"),
    ),
    (
        "state.js",
        "text/javascript; charset=utf-8",
        include_str!("../../../../clients/dashboard/state.js"),
    ),
    (
        "words.js",
        "text/javascript; charset=utf-8",
        include_str!("../../../../clients/dashboard/words.js"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_str!("../../../../clients/dashboard/icon.svg"),
    ),
];

/// The page loads nothing from elsewhere and talks to this host alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) async fn index() -> Result<Response, ApiError> {
    file(Ok(Path("index.html".into()))).await
}

pub(super) async fn file(path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    // A path that is no text names no file.
    let name = path.map_or_else(|_| String::new(), |Path(name)| name);
    let Some((_, media_type, text)) = FILES.iter().find(|(file, _, _)| *file == name) else {
        let detail = "there is nothing here".to_owned();
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "Not found",
            detail,
        ));
    };
    let headers = [
        (header::CONTENT_TYPE, *media_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Ok((headers, *text).into_response())
}
