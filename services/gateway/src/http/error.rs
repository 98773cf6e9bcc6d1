//! Errors of the REST interface, as RFC 9457 problem documents.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use oddswire_kit::{log::ReadError, publish::PublishError};
use oddswire_protocol::problem::{MEDIA_TYPE, Problem, ProblemCode};

/// An error, ready to be sent.
#[derive(Debug)]
pub(super) struct ApiError(Box<Problem>, Option<(HeaderName, HeaderValue)>);

impl ApiError {
    pub(super) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::of(code, detail)), None)
    }

    /// The same with another status than its code usually has.
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status.as_u16();
        self
    }

    pub(super) fn with(self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        Self(Box::new(self.0.with(name, value)), self.1)
    }

    /// A header that the answer must have.
    pub(super) fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        Self(self.0, Some((name, HeaderValue::from_static(value))))
    }

    /// When to come back, in seconds.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self(self.0, Some((header::RETRY_AFTER, seconds.into())))
    }

    pub(super) fn bad_query(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidQuery, detail)
    }

    pub(super) fn invalid_body(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidBody, detail)
    }

    pub(super) fn unknown_run(run_id: &str) -> Self {
        let shown: String = run_id.chars().take(80).collect();
        Self::new(ProblemCode::UnknownRun, format!("there is no run {shown:?}"))
    }

    pub(super) fn bus_unavailable(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::BusUnavailable, detail)
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        Self::bus_unavailable(format!("reading from the bus: {error}"))
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        Self::bus_unavailable(format!("writing to the bus: {error}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if let Some((name, value)) = self.1 {
            headers.insert(name, value);
        }
        response
    }
}
