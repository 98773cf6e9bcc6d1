//! The one place where faults meet requests.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use flate2::{Compression, write::GzEncoder};

use super::{Fault, alter};
use crate::book::Book;
use crate::site::Site;

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
        // A random latency was drawn when the request met it; faults of robots.txt meet no page.
        None
        | Some(
            Fault::LatencyLogNormal { .. }
            | Fault::RobotsDisallow
            | Fault::RobotsCrawlDelay { .. }
            | Fault::RobotsError { .. },
        ) => next.run(request).await,
        Some(Fault::Latency { ms }) => tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => next.run(request).await,
            () = site.stop.cancelled() => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        },
        Some(Fault::RateLimited {
            retry_after_s,
            as_date,
        }) => {
            let when = if as_date {
                http_date(i64::from(retry_after_s))
            } else {
                retry_after_s.to_string()
            };
            let headers = [(header::RETRY_AFTER, when)];
            (StatusCode::TOO_MANY_REQUESTS, headers, "too many requests\n").into_response()
        }
        Some(Fault::ServerError { status }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, "the demo site was told to fail\n").into_response()
        }
        Some(Fault::BlockPage) => {
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], BLOCK_PAGE).into_response()
        }
        Some(Fault::ResetInBody) => alter::altered(next.run(request).await, alter::reset_half_way).await,
        Some(Fault::TruncatedJson) => alter::altered(next.run(request).await, alter::truncated).await,
        Some(Fault::LayoutDrift) => alter::altered(next.run(request).await, alter::drifted).await,
        Some(Fault::PageShift) => alter::altered(next.run(request).await, alter::shifted).await,
        Some(Fault::MarketsVanish) => alter::altered(next.run(request).await, alter::without_markets).await,
        Some(Fault::NaiveDates) => alter::altered(next.run(request).await, alter::naive).await,
        Some(Fault::SlowDrip { ms, bytewise }) => {
            let pause = Duration::from_millis(ms);
            let drip = |bytes| alter::dripping(bytes, pause, bytewise);
            alter::altered(next.run(request).await, drip).await
        }
        Some(Fault::RedirectLoop) => {
            let headers = [(header::LOCATION, path_again(&request))];
            (StatusCode::FOUND, headers).into_response()
        }
        Some(Fault::RedirectPrivate) => match on_loopback(&request) {
            Some(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
            None => next.run(request).await,
        },
        Some(Fault::WrongContentType) => {
            let value = HeaderValue::from_static("application/octet-stream");
            with_header(next.run(request).await, header::CONTENT_TYPE, value)
        }
        Some(Fault::ClockSkew { s }) => {
            let value = HeaderValue::from_str(&http_date(s)).unwrap_or(HeaderValue::from_static(""));
            with_header(next.run(request).await, header::DATE, value)
        }
        Some(Fault::GzipBomb { mib }) => bomb(mib).await,
    }
}

fn path_again(request: &Request) -> String {
    format!("{}?again", request.uri().path())
}

/// The same page, on the same port of whoever follows this. `None`: somebody has followed it, who gets the page.
fn on_loopback(request: &Request) -> Option<String> {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    (!host.starts_with("[::ffff:")).then(|| format!("http://[::ffff:127.0.0.1]:{port}{}", request.uri()))
}

fn with_header(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

/// # Source
/// RFC 9110, section 5.6.7: IMF-fixdate.
fn http_date(seconds_from_now: i64) -> String {
    let at = Utc::now() + TimeDelta::try_seconds(seconds_from_now).unwrap_or_default();
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

async fn bomb(mib: u32) -> Response {
    let packed = tokio::task::spawn_blocking(move || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let spaces = io::repeat(b' ').take(u64::from(mib) << 20);
        // A vector takes everything.
        let _ = io::copy(&mut { spaces }, &mut gzip);
        let _ = gzip.flush();
        gzip.finish().unwrap_or_default()
    });
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_ENCODING, "gzip"),
    ];
    (headers, Body::from(packed.await.unwrap_or_default())).into_response()
}
