//! Every request passes here first: what the front decides, as answers and headers.

use super::{Gateway, error::ApiError};
use crate::front::{Asked, Backlog, Entry, Refused, TARGET_BYTES_MAX, Visitor};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use oddswire_protocol::problem::ProblemCode;
use std::sync::Arc;

/// Seconds after which somebody who found no room may come back: each is told another number.
const COME_BACK_AFTER_S: std::ops::RangeInclusive<u64> = 1..=5;
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");
const EXPOSED: HeaderValue = HeaderValue::from_static("etag, location, retry-after, www-authenticate");
/// Seconds for which a browser need not ask again: as many as Chromium keeps at most.
const REMEMBER_S: HeaderValue = HeaderValue::from_static("7200");

pub(super) async fn guard(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let Some(visitor) = request.extensions().get::<Visitor>() else {
        return next.run(request).await;
    };
    let asked = Asked {
        method: request.method(),
        version: request.version(),
        uri: request.uri(),
        headers: request.headers(),
    };
    let judged = gateway.front.judge(visitor, asked);
    let is_http1 = request.version() < Version::HTTP_2;
    let mut response = match judged.entry {
        Ok(entry) => answer(entry, request, next).await,
        Err(refused) => ApiError::from(refused).into_response(),
    };
    allow(response.headers_mut(), judged.cors);
    if judged.is_last && is_http1 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn answer(entry: Entry, mut request: Request, next: Next) -> Response {
    let visitor = entry.visitor;
    tracing::debug!(client = %visitor.address, method = %request.method(), path = request.uri().path(), "request");
    if let Some(backlog) = request.extensions().get::<Arc<Backlog>>() {
        // A stream sits in its place until its last byte is gone.
        backlog.keep(visitor.clone());
    }
    request.extensions_mut().insert(visitor);
    if entry.is_preflight {
        preflight(request.headers())
    } else {
        next.run(request).await
    }
}

/// What an allowed page may send: whatever headers it asks for. Which ones depends on the libraries in it (cache-control,
/// traceparent, those of monitoring), and all that they could spoil is its own request.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBER_S);
    for wish in asked.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.append(header::ACCESS_CONTROL_ALLOW_HEADERS, wish.clone());
    }
    response
}

/// Says who may read the answer. Cookies are nobody's but the own pages': credentials are never allowed.
pub(super) fn allow(headers: &mut HeaderMap, cors: Option<HeaderValue>) {
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = cors {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let later =
            |code, detail: &str| Self::new(code, detail).retry_after(rand::random_range(COME_BACK_AFTER_S));
        match refused {
            Refused::Full => later(
                ProblemCode::GatewayFull,
                "this gateway has as many connections as it takes",
            ),
            Refused::AddressFull => later(
                ProblemCode::AddressFull,
                "your address has as many connections as one may have",
            ),
            Refused::Handshakes => later(
                ProblemCode::TooManyHandshakes,
                "too many streams are being opened at this moment",
            ),
            Refused::AddressHandshakes => later(
                ProblemCode::TooManyHandshakes,
                "your address tries to open streams more often than one may",
            )
            .with_status(StatusCode::TOO_MANY_REQUESTS),
            Refused::Answers => later(
                ProblemCode::TooManyRequests,
                "your address has as many answers under way as one may: read those first",
            ),
            Refused::Memory => later(
                ProblemCode::MemoryFull,
                "this gateway holds as much memory for its clients as it may",
            ),
            Refused::Requests => later(
                ProblemCode::TooManyRequests,
                "your address asks more often than one may",
            ),
            Refused::Origin => Self::new(
                ProblemCode::OriginNotAllowed,
                "pages of this origin may not use this gateway: see --allow-origin",
            ),
            Refused::Host => Self::new(
                ProblemCode::HostNotAllowed,
                "this gateway serves its own machine and is not known by this name: see --allow-host",
            ),
            Refused::BadHost => Self::new(
                ProblemCode::BadRequest,
                "a request has one Host, the host and port that it asks for, and over HTTP/2 the same as its :authority",
            ),
            Refused::Target => Self::new(
                ProblemCode::TargetTooLong,
                format!("the target of a request has at most {TARGET_BYTES_MAX} bytes"),
            ),
            // Those have no answer in HTTP.
            Refused::Tls | Refused::Pings => Self::new(ProblemCode::BadRequest, "limits were broken"),
        }
    }
}
