//! How a source is asked: `[source.http]`, `[source.limits]`, `[source.retry]`.

use super::{quantity, section::Section, surroundings::Surroundings};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::{collections::BTreeSet, time::Duration};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const USER_AGENT: &str = concat!("oddswire/", env!("CARGO_PKG_VERSION"));

/// `[source.http]`.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    /// For one try of one request, body included.
    pub(crate) timeout: Duration,
    /// For its connection.
    pub(crate) connect_timeout: Duration,
    /// The longest body in bytes, after decompression.
    pub(crate) max_body: usize,
    /// What we call ourselves.
    pub(crate) user_agent: HeaderValue,
    /// Sent with each request; marked as sensitive, so that no log shows them.
    pub(crate) headers: HeaderMap,
}

/// `[source.limits]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// Requests a second to the host; sources of one host share the lowest.
    pub(crate) requests_per_second: f64,
    /// Requests that may go out at once after a pause.
    pub(crate) burst: u32,
    /// Requests of this source in flight.
    pub(crate) concurrency: u32,
}

/// `[source.retry]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Retry {
    /// Tries of one request in all.
    pub(crate) attempts: u32,
    /// The longest pause after the first try; doubles each time.
    pub(crate) base: Duration,
    /// The longest pause of all, a `Retry-After` included.
    pub(crate) max: Duration,
    /// The statuses after which another try makes sense.
    pub(crate) on_status: BTreeSet<u16>,
    /// Whether the site's `Retry-After` decides how long the pause is.
    pub(crate) respect_retry_after: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            timeout: 10 * SECOND,
            connect_timeout: 3 * SECOND,
            max_body: 8 << 20,
            user_agent: HeaderValue::from_static(USER_AGENT),
            headers: HeaderMap::new(),
        }
    }
}

impl Default for Limits {
    /// As polite as can be: a file that says nothing gets one request a second, one at a time.
    fn default() -> Self {
        Self {
            requests_per_second: 1.0,
            burst: 1,
            concurrency: 1,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 4,
            base: 250 * MS,
            max: 15 * SECOND,
            on_status: BTreeSet::from([408, 425, 429, 500, 502, 503, 504]),
            respect_retry_after: true,
        }
    }
}

impl Http {
    pub(super) fn decode(source: &Section<'_>, around: &Surroundings<'_>) -> Self {
        let default = Self::default();
        let Some(section) = source.section("http", "[source.http]") else {
            return default;
        };
        let timeout = section.duration("timeout", 10 * MS..=300 * SECOND);
        let connect_timeout = section.duration("connect_timeout", 10 * MS..=60 * SECOND);
        let max_body = section.parsed("max_body", |text| match quantity::size(text)? {
            bytes @ 1_024..=0x400_0000 => Ok(bytes),
            _ => Err("must be from 1KiB to 64MiB".to_owned()),
        });
        let user_agent = section.parsed("user_agent", |text| {
            HeaderValue::from_str(text).map_err(|_| "cannot stand in a header".to_owned())
        });
        let headers = Self::headers(&section, around);
        section.finish();
        Self {
            timeout: timeout.unwrap_or(default.timeout),
            connect_timeout: connect_timeout.unwrap_or(default.connect_timeout),
            max_body: max_body.unwrap_or(default.max_body),
            user_agent: user_agent.unwrap_or(default.user_agent),
            headers,
        }
    }

    fn headers(section: &Section<'_>, around: &Surroundings<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some(table) = section.section("headers", "[source.http.headers]") else {
            return headers;
        };
        for (key, value) in table.entries() {
            let Some(text) = table.as_text(key.text, value) else {
                continue;
            };
            let Ok(name) = HeaderName::from_bytes(key.text.as_bytes()) else {
                table.problem_at(key.text, &key.at, "is no name of a header");
                continue;
            };
            match quantity::substituted(text.text, around).map(|text| HeaderValue::from_str(&text)) {
                Ok(Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.insert(name, value);
                }
                Ok(Err(_)) => table.problem_at(key.text, &text.at, "cannot stand in a header"),
                Err(problem) => table.problem_at(key.text, &text.at, problem),
            }
        }
        headers
    }
}

impl Limits {
    pub(super) fn decode(source: &Section<'_>) -> Self {
        let default = Self::default();
        let Some(section) = source.section("limits", "[source.limits]") else {
            return default;
        };
        let limits = Self {
            requests_per_second: section.number(
                "requests_per_second",
                0.01..=1_000.0,
                default.requests_per_second,
            ),
            burst: section.integer("burst", 1..=1_000, default.burst),
            concurrency: section.integer("concurrency", 1..=64, default.concurrency),
        };
        section.finish();
        limits
    }
}

impl Retry {
    pub(super) fn decode(source: &Section<'_>) -> Self {
        let default = Self::default();
        let Some(section) = source.section("retry", "[source.retry]") else {
            return default;
        };
        let attempts = section.integer("attempts", 1..=10, default.attempts);
        let base = section.duration("base", MS..=60 * SECOND);
        let max = section.duration("max", MS..=600 * SECOND);
        let statuses = statuses(&section, "on_status");
        let respect_retry_after = section.boolean("respect_retry_after", default.respect_retry_after);
        section.finish();
        Self {
            attempts,
            base: base.unwrap_or(default.base),
            max: max.unwrap_or(default.max),
            on_status: statuses.unwrap_or(default.on_status),
            respect_retry_after,
        }
    }
}

/// An array of HTTP statuses that are no success, if it is there.
pub(super) fn statuses(section: &Section<'_>, key: &'static str) -> Option<BTreeSet<u16>> {
    section.value(key)?;
    let statuses = section.array(key).into_iter();
    let statuses = statuses.filter_map(|value| section.as_integer(key, value, 400..=599));
    Some(statuses.filter_map(|status| u16::try_from(status).ok()).collect())
}
