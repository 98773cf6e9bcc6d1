//! Faults on demand: what can go wrong at a book, and which book has it at the moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::book::Book;
use crate::world::noise::Noise;

mod alter;
mod inject;

pub(crate) use inject::inject;

/// The longest latency, in milliseconds.
pub const MAX_LATENCY_MS: u64 = 600_000;

/// One thing that goes wrong. The list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The answer comes late; the page then shows the moment at which it is sent.
    Latency {
        /// How late, in real milliseconds, 1 to [`MAX_LATENCY_MS`].
        ms: u64,
    },
    /// The answer comes late, each time by another amount: log-normal, so that most are quick and some are very slow.
    LatencyLogNormal {
        /// The median, in real milliseconds, 1 to [`MAX_LATENCY_MS`].
        median_ms: u64,
        /// The standard deviation of its logarithm, in percent, 1 to 300.
        sigma_percent: u32,
    },
    /// Status 429 with `Retry-After`.
    RateLimited {
        /// The value of `Retry-After`, 0 to 86400.
        retry_after_s: u32,
        /// Whether it is written as a date in place of seconds.
        #[serde(default)]
        as_date: bool,
    },
    /// A server error with a plain text body.
    ServerError {
        /// The status, 500 to 599.
        status: u16,
    },
    /// The headers announce the whole body, half of it comes, then the connection is torn down.
    ResetInBody,
    /// Status 200 and valid headers, but the body ends in its middle.
    TruncatedJson,
    /// Status 200 with an HTML page that asks for a captcha.
    BlockPage,
    /// The whole answer, in [`PIECES`] pieces with a pause before each.
    SlowDrip {
        /// The pause, in real milliseconds, 1 to [`MAX_LATENCY_MS`].
        ms: u64,
        /// Whether each piece is a single byte, however many those are.
        #[serde(default)]
        bytewise: bool,
    },
    /// The right body with `content-type: application/octet-stream`.
    WrongContentType,
    /// A small gzip body that inflates to so much more.
    GzipBomb {
        /// Mebibytes inflated, 1 to 1024.
        mib: u32,
    },
    /// Status 302 to the same page, again and again.
    RedirectLoop,
    /// Status 302 to the same page at a private address: this machine's loopback, as an IPv6 address writes it.
    RedirectPrivate,
    /// Lists show their first row a second time at their end, as a list does that moves while it is read.
    PageShift,
    /// Only the match result is there; all other markets have vanished.
    MarketsVanish,
    /// Dates that say that they are UTC no longer say so.
    NaiveDates,
    /// The site's own clock, in the header `date`, is wrong.
    ClockSkew {
        /// By so many seconds, -31536000 to 31536000.
        s: i64,
    },
    /// robots.txt forbids the book's pages.
    RobotsDisallow,
    /// robots.txt asks for a pause between requests.
    RobotsCrawlDelay {
        /// Of so many seconds, 1 to 86400.
        s: u32,
    },
    /// robots.txt itself is an error.
    RobotsError {
        /// The status, 400 to 599.
        status: u16,
    },
    /// Status 200, but the keys of the JSON or the classes and data attributes of the HTML have other names.
    LayoutDrift,
}

/// Into how many pieces a slow answer is cut.
pub const PIECES: usize = 16;

/// The kinds of [`Fault`], as the control interface names them.
pub const KINDS: [&str; 20] = [
    "latency",
    "latency_log_normal",
    "rate_limited",
    "server_error",
    "reset_in_body",
    "truncated_json",
    "block_page",
    "slow_drip",
    "wrong_content_type",
    "gzip_bomb",
    "redirect_loop",
    "redirect_private",
    "page_shift",
    "markets_vanish",
    "naive_dates",
    "clock_skew",
    "robots_disallow",
    "robots_crawl_delay",
    "robots_error",
    "layout_drift",
];

/// The body of `POST /__demo/faults`: gives books a fault in the place of the one they have, or takes it away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOrder {
    /// The key of a book, or `*` for each of them.
    pub book: String,
    /// The fault; `null` takes the fault away. The field must be there.
    #[serde(deserialize_with = "Option::deserialize")]
    pub fault: Option<Fault>,
    /// Only the next so many requests of each book that match fail, at least 1; without it all of them do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Only requests whose path contains this text fail. The path begins with the book's key, as in
    /// `/alpha/api/events/7`; the query is no part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_contains: Option<String>,
}

/// One active fault, as `GET /__demo/faults` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveFault {
    /// The book that has it.
    pub book: Book,
    /// The fault.
    pub fault: Fault,
    /// How many more requests will fail; `None` means all.
    pub remaining: Option<u32>,
    /// Only requests whose path contains this text fail.
    pub path_contains: Option<String>,
    /// How many requests have failed since it was set.
    pub hits: u64,
}

/// What the faults route answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultList {
    /// At most one fault for each book, ordered by book.
    pub faults: Vec<ActiveFault>,
}

/// Why an order was refused; the faults are as they were.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// No book has this key.
    #[error("unknown book `{0}`, expected one of `alpha`, `bravo`, `charlie`, `delta`, `*`")]
    UnknownBook(String),
    /// A number is out of its range.
    #[error("{field} must be within {from} and {to}, got {got}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The least legal value.
        from: u64,
        /// The greatest legal value.
        to: u64,
        /// The refused value.
        got: u64,
    },
}

/// Which book has which fault. At most one for each book.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Mutex<BTreeMap<Book, ActiveFault>>,
}

impl Faults {
    pub(crate) fn list(&self) -> FaultList {
        FaultList {
            faults: self.locked().values().cloned().collect(),
        }
    }

    pub(crate) fn clear(&self) {
        self.locked().clear();
    }

    /// Applies an order completely or not at all.
    pub(crate) fn apply(&self, order: &FaultOrder) -> Result<(), Error> {
        let books = match order.book.as_str() {
            "*" => Book::ALL.to_vec(),
            key => vec![Book::from_key(key).ok_or_else(|| Error::UnknownBook(key.to_owned()))?],
        };
        if let Some(count) = order.count {
            within("count", u64::from(count), 1, u64::from(u32::MAX))?;
        }
        if let Some(fault) = order.fault {
            fault.check()?;
        }
        let mut active = self.locked();
        for book in books {
            match order.fault {
                None => active.remove(&book),
                Some(fault) => active.insert(
                    book,
                    ActiveFault {
                        book,
                        fault,
                        remaining: order.count,
                        path_contains: order.path_contains.clone(),
                        hits: 0,
                    },
                ),
            };
        }
        Ok(())
    }

    /// Gives the fault that a request meets, and counts it. A fault that is used up disappears.
    pub(crate) fn meet(&self, book: Book, path: &str) -> Option<Fault> {
        let mut active = self.locked();
        let entry = active.get_mut(&book)?;
        if entry.fault.is_of_robots() {
            return None;
        }
        if entry
            .path_contains
            .as_ref()
            .is_some_and(|part| !path.contains(part))
        {
            return None;
        }
        let fault = entry.fault.drawn(entry.hits);
        entry.hits += 1;
        if let Some(remaining) = &mut entry.remaining {
            *remaining -= 1;
            if *remaining == 0 {
                active.remove(&book);
            }
        }
        Some(fault)
    }

    /// Gives the fault of robots.txt that a book has, if it has one, and counts it.
    pub(crate) fn meet_robots(&self, book: Book) -> Option<Fault> {
        let mut active = self.locked();
        let entry = active.get_mut(&book).filter(|entry| entry.fault.is_of_robots())?;
        entry.hits += 1;
        Some(entry.fault)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Book, ActiveFault>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    /// Whether it is one of robots.txt, and of no page.
    fn is_of_robots(self) -> bool {
        matches!(
            self,
            Self::RobotsDisallow | Self::RobotsCrawlDelay { .. } | Self::RobotsError { .. }
        )
    }

    /// What is random about it, drawn for the request of this number.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a latency; it is limited to its range after the cast, which saturates"
    )]
    fn drawn(self, hit: u64) -> Self {
        let Self::LatencyLogNormal {
            median_ms,
            sigma_percent,
        } = self
        else {
            return self;
        };
        let draw = Noise::new(hit).named("latency");
        // Twelve uniform numbers make a normal one, well enough.
        let normal = (0..12).map(|number| draw.at(number).unit()).sum::<f64>() - 6.0;
        let ms = median_ms as f64 * (normal * f64::from(sigma_percent) / 100.0).exp();
        Self::Latency {
            ms: (ms as u64).clamp(1, MAX_LATENCY_MS),
        }
    }

    fn check(self) -> Result<(), Error> {
        match self {
            Self::Latency { ms } | Self::SlowDrip { ms, .. } => within("ms", ms, 1, MAX_LATENCY_MS),
            Self::LatencyLogNormal {
                median_ms,
                sigma_percent,
            } => within("median_ms", median_ms, 1, MAX_LATENCY_MS)
                .and_then(|()| within("sigma_percent", u64::from(sigma_percent), 1, 300)),
            Self::GzipBomb { mib } => within("mib", u64::from(mib), 1, 1_024),
            Self::ClockSkew { s } => within("s", s.unsigned_abs(), 0, 31_536_000),
            Self::RobotsCrawlDelay { s } => within("s", u64::from(s), 1, 86_400),
            Self::RobotsError { status } => within("status", u64::from(status), 400, 599),
            Self::RateLimited { retry_after_s, .. } => {
                within("retry_after_s", u64::from(retry_after_s), 0, 86_400)
            }
            Self::ServerError { status } => within("status", u64::from(status), 500, 599),
            Self::ResetInBody
            | Self::TruncatedJson
            | Self::BlockPage
            | Self::WrongContentType
            | Self::RedirectLoop
            | Self::RedirectPrivate
            | Self::PageShift
            | Self::MarketsVanish
            | Self::NaiveDates
            | Self::RobotsDisallow
            | Self::LayoutDrift => Ok(()),
        }
    }
}

fn within(field: &'static str, got: u64, from: u64, to: u64) -> Result<(), Error> {
    if (from..=to).contains(&got) {
        Ok(())
    } else {
        Err(Error::OutOfRange { field, from, to, got })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(body: &str) -> FaultOrder {
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn a_counted_fault_is_used_up_by_matching_requests_only() {
        let faults = Faults::default();
        faults
            .apply(&order(
                r#"{"book":"alpha","fault":{"kind":"block_page"},"count":2,"path_contains":"/events"}"#,
            ))
            .unwrap();
        assert_eq!(faults.meet(Book::Alpha, "/alpha/api/leagues"), None);
        assert_eq!(faults.meet(Book::Bravo, "/bravo/api/events"), None);
        assert_eq!(
            faults.meet(Book::Alpha, "/alpha/api/events/1"),
            Some(Fault::BlockPage)
        );
        assert_eq!(faults.list().faults[0].remaining, Some(1));
        assert_eq!(
            faults.meet(Book::Alpha, "/alpha/api/events/2"),
            Some(Fault::BlockPage)
        );
        assert_eq!(faults.meet(Book::Alpha, "/alpha/api/events/3"), None);
        assert_eq!(faults.list().faults, []);
    }

    #[test]
    fn an_order_for_each_book_counts_each_book_alone() {
        let faults = Faults::default();
        faults
            .apply(&order(
                r#"{"book":"*","fault":{"kind":"server_error","status":503},"count":1}"#,
            ))
            .unwrap();
        for book in Book::ALL {
            assert_eq!(faults.meet(book, "/"), Some(Fault::ServerError { status: 503 }));
            assert_eq!(faults.meet(book, "/"), None);
        }
    }

    #[test]
    fn a_null_fault_clears_one_book() {
        let faults = Faults::default();
        faults
            .apply(&order(r#"{"book":"*","fault":{"kind":"layout_drift"}}"#))
            .unwrap();
        faults.apply(&order(r#"{"book":"delta","fault":null}"#)).unwrap();
        assert_eq!(faults.list().faults.len(), 3);
        assert_eq!(faults.meet(Book::Delta, "/"), None);
    }

    #[test]
    fn bad_orders_are_refused_and_name_what_is_known() {
        let unknown = serde_json::from_str::<FaultOrder>(r#"{"book":"alpha","fault":{"kind":"gremlins"}}"#);
        let message = unknown.unwrap_err().to_string();
        assert!(KINDS.iter().all(|kind| message.contains(kind)), "{message}");
        for body in [
            r#"{"book":"alpha"}"#,
            r#"{"book":"alpha","fault":null,"counts":1}"#,
            r#"{"book":"alpha","fault":{"kind":"latency","ms":1,"s":1}}"#,
            r#"{"book":"alpha","fault":{"kind":"latency"}}"#,
        ] {
            assert!(serde_json::from_str::<FaultOrder>(body).is_err(), "{body}");
        }
        let faults = Faults::default();
        for body in [
            r#"{"book":"echo","fault":null}"#,
            r#"{"book":"alpha","fault":{"kind":"latency","ms":0}}"#,
            r#"{"book":"alpha","fault":{"kind":"server_error","status":200}}"#,
            r#"{"book":"alpha","fault":{"kind":"block_page"},"count":0}"#,
        ] {
            faults.apply(&order(body)).unwrap_err();
        }
        assert_eq!(faults.list().faults, []);
    }
}
