//! Why a page could not be had.

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
    /// The request would leave the host of the source.
    #[error("the request would leave the host of the source")]
    OtherHost,
    /// The HTTP client could not be made.
    #[error("no HTTP client: {0}")]
    Client(String),
}

impl Error {
    /// The kind, as progress tells it.
    pub fn error_type(&self) -> ErrorType {
        match self {
            Self::Cancelled => ErrorType::Cancelled,
            Self::Timeout { .. } => ErrorType::Timeout,
            Self::Connect { .. } | Self::OtherHost | Self::Client(_) => ErrorType::Connect,
            Self::RateLimited { .. } => ErrorType::RateLimited,
            Self::Refused { .. } => ErrorType::Blocked,
            Self::Status { .. } => ErrorType::HttpStatus,
            Self::TooLarge { .. } => ErrorType::Parse,
        }
    }

    /// Whether the same request may succeed later without anybody changing anything here.
    pub fn recoverable(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Connect { .. } | Self::RateLimited { .. } => true,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425),
            Self::Cancelled
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::OtherHost
            | Self::Client(_) => false,
        }
    }

    /// The HTTP status, where there was one.
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Self::RateLimited { .. } => Some(429),
            Self::Refused { status, .. } | Self::Status { status, .. } => Some(*status),
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
        let cause = cause.map_or_else(|| "no connection".to_owned(), ToString::to_string);
        let what = if cut { "the body was cut off" } else { "no answer" };
        Self::Connect {
            place,
            reason: format!("{what}: {cause}"),
        }
    }
}
