//! Every request passes here first: what the front decides, as answers and headers.

use super::{Gateway, error::ApiError};
use crate::front::{Asked, Refused, TARGET_BYTES_MAX, Visitor};
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::combinators::UnsyncBoxBody;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// Seconds after which somebody who found no room may come back: each is told another number.
const COME_BACK_AFTER_S: std::ops::RangeInclusive<u64> = 1..=5;
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, last-event-id");
const EXPOSED: HeaderValue = HeaderValue::from_static("location, retry-after");
/// Seconds for which a browser need not ask again.
const REMEMBER_S: HeaderValue = HeaderValue::from_static("600");

pub(super) async fn guard(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    let Some(visitor) = request.extensions().get::<Visitor>() else {
        return next.run(request).await;
    };
    let asked = Asked {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
    };
    let entry = match gateway.front.judge(visitor, asked) {
        Ok(entry) => entry,
        Err((refused, cors)) => {
            let mut response = ApiError::from(refused).into_response();
            allow(response.headers_mut(), cors);
            return response;
        }
    };
    let visitor = entry.visitor;
    tracing::debug!(client = %visitor.address, method = %request.method(), path = request.uri().path(), "request");
    request.extensions_mut().insert(visitor.clone());
    let is_http1 = request.version() < Version::HTTP_2;
    let mut response = if entry.is_preflight && entry.cors.is_some() {
        preflight()
    } else {
        next.run(request).await
    };
    allow(response.headers_mut(), entry.cors);
    if entry.is_last && is_http1 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    // A stream sits in its place until its last byte is gone.
    response.map(|body| {
        Body::new(Seated {
            body: UnsyncBoxBody::new(body),
            _visitor: visitor,
        })
    })
}

fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, REMEMBER_S),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Says who may read the answer. Cookies are nobody's but the own pages': credentials are never allowed.
pub(super) fn allow(headers: &mut HeaderMap, cors: Option<HeaderValue>) {
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = cors {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

struct Seated {
    body: UnsyncBoxBody<Bytes, axum::Error>,
    _visitor: Visitor,
}

impl HttpBody for Seated {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let unavailable = |code, title, detail: &str| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title, detail)
                .retry_after(rand::random_range(COME_BACK_AFTER_S))
        };
        match refused {
            Refused::Full => unavailable(
                "gateway_full",
                "No room",
                "this gateway has as many connections as it takes",
            ),
            Refused::AddressFull => unavailable(
                "address_full",
                "Too many connections",
                "your address has as many connections as one may have",
            ),
            Refused::Handshakes => unavailable(
                "too_many_handshakes",
                "Too many clients at once",
                "too many streams are being opened at this moment",
            ),
            Refused::Requests => {
                let detail = "your address asks more often than one may";
                Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_requests",
                    "Too many requests",
                    detail,
                )
                .retry_after(rand::random_range(COME_BACK_AFTER_S))
            }
            Refused::Origin => {
                let detail = "pages of this origin may not use this gateway: see --allow-origin";
                Self::new(
                    StatusCode::FORBIDDEN,
                    "origin_not_allowed",
                    "Origin not allowed",
                    detail,
                )
            }
            Refused::Host => {
                let detail =
                    "this gateway serves its own machine and is not known by this name: see --allow-host";
                Self::new(
                    StatusCode::FORBIDDEN,
                    "host_not_allowed",
                    "Host not allowed",
                    detail,
                )
            }
            Refused::Target => {
                let detail = format!("the target of a request has at most {TARGET_BYTES_MAX} bytes");
                Self::new(
                    StatusCode::URI_TOO_LONG,
                    "target_too_long",
                    "Target too long",
                    detail,
                )
            }
            // Those have no answer in HTTP.
            Refused::Tls | Refused::Pings => Self::new(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "Bad request",
                "limits were broken",
            ),
        }
    }
}
