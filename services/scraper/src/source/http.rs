//! How a source is asked: `[source.http]`, `[source.limits]`, `[source.retry]`.

use super::{quantity, section::Section, surroundings::Surroundings};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::{collections::BTreeSet, time::Duration};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// `[source.http]`.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    /// For one try of one request, body included.
    pub(crate) timeout: Duration,
    /// For its connection.
    pub(crate) connect_timeout: Duration,
    /// The longest body in bytes, after decompression.
    pub(crate) max_body: usize,
    /// Redirects that are followed for one request.
    pub(crate) max_redirects: u32,
    /// Whether the site is asked if a page has changed, where it says by what to know that.
    pub(crate) conditional: bool,
    /// What we call ourselves, if not as the process does.
    pub(crate) user_agent: Option<HeaderValue>,
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
    /// Requests to the host in flight; sources of one host share the lowest.
    pub(crate) concurrency: u32,
    /// Whether requests slow down with the host.
    pub(crate) adaptive: bool,
    /// So many requests in flight the adaptive delay leads to; `None`: `concurrency`.
    pub(crate) target_concurrency: Option<f64>,
    /// The longest adaptive delay.
    pub(crate) max_delay: Duration,
    /// Pages that one run asks for.
    pub(crate) max_pages: u32,
    /// The time that one run takes to fetch.
    pub(crate) max_duration: Duration,
}

/// When a host that fails is left alone: `breaker` in `[source.retry]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerRule {
    /// After so many failures in a row; 0: never.
    pub(crate) failures: u32,
    /// For so long.
    pub(crate) open_for: Duration,
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
    /// When the host is left alone.
    pub(crate) breaker: BreakerRule,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            timeout: 10 * SECOND,
            connect_timeout: 3 * SECOND,
            max_body: 8 << 20,
            max_redirects: 3,
            conditional: true,
            user_agent: None,
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
            adaptive: true,
            target_concurrency: None,
            max_delay: 60 * SECOND,
            max_pages: 100_000,
            max_duration: 3_600 * SECOND,
        }
    }
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            failures: 10,
            open_for: 30 * SECOND,
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
            breaker: BreakerRule::default(),
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
        let max_redirects = section.integer("max_redirects", 0..=10, default.max_redirects);
        let conditional = section.boolean("conditional", default.conditional);
        let user_agent = section.parsed("user_agent", |text| {
            HeaderValue::from_str(text).map_err(|_| "cannot stand in a header".to_owned())
        });
        let headers = Self::headers(&section, around);
        section.finish();
        Self {
            timeout: timeout.unwrap_or(default.timeout),
            connect_timeout: connect_timeout.unwrap_or(default.connect_timeout),
            max_body: max_body.unwrap_or(default.max_body),
            max_redirects,
            conditional,
            user_agent,
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
            adaptive: section.boolean("adaptive", default.adaptive),
            target_concurrency: section
                .has("target_concurrency")
                .then(|| section.number("target_concurrency", 0.1..=64.0, 1.0)),
            max_delay: section
                .duration("max_delay", MS..=600 * SECOND)
                .unwrap_or(default.max_delay),
            max_pages: section.integer("max_pages", 1..=10_000_000, default.max_pages),
            max_duration: section
                .duration("max_duration", SECOND..=24 * 3_600 * SECOND)
                .unwrap_or(default.max_duration),
        };
        // Known, even where it is not there.
        section.value("target_concurrency");
        section.finish();
        limits
    }

    /// Between two requests, 1 ms to 100 s.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.requests_per_second)
    }

    /// So many requests in flight the adaptive delay leads to.
    pub(crate) fn target_concurrency(&self) -> f64 {
        self.target_concurrency
            .unwrap_or_else(|| f64::from(self.concurrency))
    }

    /// What both bear, of what is shared by the sources of a host. What is each run's own is left as it is.
    pub(crate) fn stricter(self, other: Self) -> Self {
        Self {
            requests_per_second: self.requests_per_second.min(other.requests_per_second),
            burst: self.burst.min(other.burst),
            concurrency: self.concurrency.min(other.concurrency),
            adaptive: self.adaptive || other.adaptive,
            target_concurrency: Some(self.target_concurrency().min(other.target_concurrency())),
            max_delay: self.max_delay.max(other.max_delay),
            ..self
        }
    }
}

impl BreakerRule {
    fn decode(retry: &Section<'_>) -> Self {
        let default = Self::default();
        let Some(section) = retry.section("breaker", "[source.retry.breaker]") else {
            return default;
        };
        let failures = section.integer("failures", 0..=1_000, default.failures);
        let open_for = section.duration("open_for", MS..=3_600 * SECOND);
        section.finish();
        Self {
            failures,
            open_for: open_for.unwrap_or(default.open_for),
        }
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
        let breaker = BreakerRule::decode(&section);
        section.finish();
        Self {
            attempts,
            base: base.unwrap_or(default.base),
            max: max.unwrap_or(default.max),
            on_status: statuses.unwrap_or(default.on_status),
            respect_retry_after,
            breaker,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::{parse_at, source, text};

    #[test]
    fn manners_are_read_and_have_the_documented_defaults() {
        let url = "http://example.org";
        let default = source(url, "# no limits");
        assert_eq!(
            (default.limits.max_pages, default.limits.adaptive),
            (100_000, true)
        );
        assert!((default.limits.target_concurrency() - 1.0).abs() < f64::EPSILON);
        assert_eq!(default.retry.breaker, BreakerRule::default());
        assert_eq!((default.http.max_redirects, default.http.conditional), (3, true));
        let more = "robots = \"ignore\"\nallow_private = true\n\
            limits = { concurrency = 8, adaptive = false, target_concurrency = 2.5, max_delay = \"2s\", \
            max_pages = 7, max_duration = \"9s\" }\n\
            http = { max_redirects = 0, conditional = false, user_agent = \"x/1\" }";
        let said = source(url, more);
        assert!(said.allow_private && !said.obey_robots);
        let limits = Limits {
            concurrency: 8,
            adaptive: false,
            target_concurrency: Some(2.5),
            max_delay: 2 * SECOND,
            max_pages: 7,
            max_duration: 9 * SECOND,
            ..Limits::default()
        };
        assert_eq!(said.limits, limits);
        assert_eq!((said.http.max_redirects, said.http.conditional), (0, false));
        assert_eq!(said.http.user_agent.unwrap(), "x/1");
    }

    #[test]
    fn robots_are_obeyed_and_private_addresses_refused_unless_the_file_says_otherwise() {
        let bare = text("");
        let lookup = |name: &str| (name == "URL").then(|| "http://example.org".to_owned());
        let source = crate::source::Source::parse("a.toml".as_ref(), &bare, &lookup).unwrap();
        assert!(source.obey_robots && !source.allow_private);
    }

    #[test]
    fn manners_out_of_range_are_refused() {
        for (line, problem) in [
            ("robots = \"maybe\"", "robots: must be \"obey\" or \"ignore\""),
            (
                "limits = { target_concurrency = 0 }",
                "target_concurrency: must be from 0.1 to 64",
            ),
            (
                "limits = { max_duration = \"25h\" }",
                "max_duration: must be from",
            ),
            (
                "http = { max_redirects = 11 }",
                "max_redirects: must be from 0 to 10",
            ),
        ] {
            let found = parse_at("http://example.org", &text(line)).unwrap_err();
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert!(found.len() == 1 && found[0].contains(problem), "{found:?}");
        }
        let breaker = text("").replace("max = \"10ms\"", "breaker = { failures = 1001 }");
        assert!(parse_at("http://example.org", &breaker).is_err());
        let breaker = text("").replace("max = \"10ms\"", "breaker = { failures = 2, open_for = \"5s\" }");
        let source = parse_at("http://example.org", &breaker).unwrap();
        let rule = BreakerRule {
            failures: 2,
            open_for: 5 * SECOND,
        };
        assert_eq!(source.retry.breaker, rule);
    }
}
