//! Faults on demand: what can go wrong at a book, and which book has it at the moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::book::Book;

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
    /// Status 429 with `Retry-After` in seconds.
    RateLimited {
        /// The value of `Retry-After`, 0 to 86400.
        retry_after_s: u32,
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
    /// Status 200, but the keys of the JSON or the classes and data attributes of the HTML have other names.
    LayoutDrift,
}

/// The kinds of [`Fault`], as the control interface names them.
pub const KINDS: [&str; 7] = [
    "latency",
    "rate_limited",
    "server_error",
    "reset_in_body",
    "truncated_json",
    "block_page",
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
        if entry
            .path_contains
            .as_ref()
            .is_some_and(|part| !path.contains(part))
        {
            return None;
        }
        let fault = entry.fault;
        entry.hits += 1;
        if let Some(remaining) = &mut entry.remaining {
            *remaining -= 1;
            if *remaining == 0 {
                active.remove(&book);
            }
        }
        Some(fault)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Book, ActiveFault>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn check(self) -> Result<(), Error> {
        match self {
            Self::Latency { ms } => within("ms", ms, 1, MAX_LATENCY_MS),
            Self::RateLimited { retry_after_s } => {
                within("retry_after_s", u64::from(retry_after_s), 0, 86_400)
            }
            Self::ServerError { status } => within("status", u64::from(status), 500, 599),
            Self::ResetInBody | Self::TruncatedJson | Self::BlockPage | Self::LayoutDrift => Ok(()),
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
