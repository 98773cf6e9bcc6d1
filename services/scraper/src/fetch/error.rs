//! Why a page could not be had.

use super::guard::Refused;
use oddswire_protocol::progress::ErrorType;
use std::{error::Error as _, time::Duration};

/// Why a page could not be had. No message holds a query string, a header or a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Somebody asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The site did not answer in time, or not to the end.
    #[error("{place} did not answer within {timeout:?}")]
    Timeout {
        /// The URL without its query.
        place: String,
        /// The time that it had.
        timeout: Duration,
    },
    /// No connection, or it was cut.
    #[error("{place}: {reason}")]
    Connect {
        /// The URL without its query.
        place: String,
        /// What the network said.
        reason: String,
    },
    /// The site asks for fewer requests.
    #[error("{place} answered 429: too many requests")]
    RateLimited {
        /// The URL without its query.
        place: String,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The site does not want us: 401, 403, 451.
    #[error("{place} answered {status}: it refuses us")]
    Refused {
        /// The URL without its query.
        place: String,
        /// The status.
        status: u16,
    },
    /// Another status that is no success, redirects to another host among them.
    #[error("{place} answered {status}")]
    Status {
        /// The URL without its query.
        place: String,
        /// The status.
        status: u16,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The body is longer than the definition allows.
    #[error("{place} is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The URL without its query.
        place: String,
        /// The limit.
        limit_bytes: usize,
    },
    /// robots.txt forbids it.
    #[error("robots.txt forbids {place}")]
    Robots {
        /// The URL without its query.
        place: String,
    },
    /// robots.txt could not be had, so nobody knows what it allows.
    #[error("nothing is asked of {host} before it gives its robots.txt: {cause}")]
    RobotsUnknown {
        /// Scheme, host and port.
        host: String,
        /// Why it could not be had.
        cause: Box<Self>,
    },
    /// The host failed again and again and is left alone for now.
    #[error("{host} is left alone after {failures} failures in a row{}", last(cause.as_deref()))]
    Unwell {
        /// Scheme, host and port.
        host: String,
        /// How many.
        failures: u32,
        /// When it will be tried again.
        retry_in: Duration,
        /// The last of the failures.
        cause: Option<Box<Self>>,
    },
    /// The host has an address that the source may not reach.
    #[error("{place}: {reason}")]
    Private {
        /// The URL without its query.
        place: String,
        /// Which address, and what it is.
        reason: String,
    },
    /// The run has asked for all the pages that it may ask for.
    #[error("the run has asked for max_pages = {limit} pages")]
    OutOfPages {
        /// The limit.
        limit: u32,
    },
    /// The run has taken all the time that it may take.
    #[error("the run has taken max_duration = {limit:?}")]
    OutOfTime {
        /// The limit.
        limit: Duration,
    },
    /// The request would leave the host of the source.
    #[error("the request would leave the host of the source")]
    OtherHost,
    /// The HTTP client could not be made.
    #[error("no HTTP client: {0}")]
    Client(String),
}

impl Error {
    /// What a status means that is no success.
    pub(crate) fn of_status(place: String, status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            429 => Self::RateLimited { place, retry_after },
            401 | 403 | 451 => Self::Refused { place, status },
            _ => Self::Status {
                place,
                status,
                retry_after,
            },
        }
    }

    /// The kind, as progress tells it.
    pub fn error_type(&self) -> ErrorType {
        match self {
            Self::Cancelled => ErrorType::Cancelled,
            Self::Timeout { .. } | Self::OutOfTime { .. } => ErrorType::Timeout,
            Self::Connect { .. } | Self::Private { .. } | Self::OtherHost | Self::Client(_) => {
                ErrorType::Connect
            }
            Self::RateLimited { .. } | Self::OutOfPages { .. } => ErrorType::RateLimited,
            Self::Robots { .. } | Self::RobotsUnknown { .. } => ErrorType::Robots,
            Self::Unwell { cause, .. } => cause
                .as_ref()
                .map_or(ErrorType::Connect, |cause| cause.error_type()),
            Self::Refused { .. } => ErrorType::Blocked,
            Self::Status { .. } => ErrorType::HttpStatus,
            Self::TooLarge { .. } => ErrorType::Parse,
        }
    }

    /// What it is counted as.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Timeout { .. } => "timeout",
            Self::Connect { .. } => "connect",
            Self::RateLimited { .. } => "rate_limited",
            Self::Refused { .. } => "refused",
            Self::Status {
                status: 300..=399, ..
            } => "redirect_refused",
            Self::Status { status: 500.., .. } => "server_error",
            Self::Status { .. } => "client_error",
            Self::TooLarge { .. } => "too_large",
            Self::Robots { .. } | Self::RobotsUnknown { .. } => "robots",
            Self::Unwell { .. } => "unwell",
            Self::Private { .. } => "private",
            Self::OutOfPages { .. } | Self::OutOfTime { .. } => "budget",
            Self::OtherHost => "other_host",
            Self::Client(_) => "client",
        }
    }

    /// Whether the same request may succeed later without anybody changing anything here.
    pub fn recoverable(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Connect { .. }
            | Self::RateLimited { .. }
            | Self::RobotsUnknown { .. }
            | Self::Unwell { .. }
            | Self::OutOfTime { .. } => true,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425),
            Self::Cancelled
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::Robots { .. }
            | Self::Private { .. }
            | Self::OutOfPages { .. }
            | Self::OtherHost
            | Self::Client(_) => false,
        }
    }

    /// Whether the host is to blame: it could not be reached, or could not answer.
    pub(super) fn is_hosts(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Connect { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// The HTTP status, where there was one.
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Self::RateLimited { .. } => Some(429),
            Self::Refused { status, .. } | Self::Status { status, .. } => Some(*status),
            Self::Unwell { cause, .. } => cause.as_ref()?.http_status(),
            _ => None,
        }
    }

    /// How long the site asks us to wait, where it does.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Makes an error of what the HTTP client says.
    pub(super) fn transport(error: reqwest::Error, place: &str, timeout: Duration) -> Self {
        let place = place.to_owned();
        if error.is_timeout() {
            return Self::Timeout { place, timeout };
        }
        // The client's own text names the URL with its query; the cause below it says what happened.
        let cut = error.is_body() || error.is_decode();
        let mut cause = error.source();
        while let Some(deeper) = cause.and_then(|error| error.source()) {
            cause = Some(deeper);
        }
        if let Some(refused) = cause.and_then(|cause| cause.downcast_ref::<Refused>()) {
            let reason = refused.to_string();
            return Self::Private { place, reason };
        }
        let cause = cause.map_or_else(|| "no connection".to_owned(), ToString::to_string);
        let what = if cut { "the body was cut off" } else { "no answer" };
        Self::Connect {
            place,
            reason: format!("{what}: {cause}"),
        }
    }
}

/// How the message of a host that is not well goes on.
fn last(cause: Option<&Error>) -> String {
    cause.map_or_else(String::new, |cause| format!(", the last one: {cause}"))
}
