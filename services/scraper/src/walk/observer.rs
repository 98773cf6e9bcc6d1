//! What a walk tells while it goes on.

use crate::{extract, fetch};
use oddswire_protocol::progress::ErrorType;
use std::time::Duration;

/// Hears how a walk goes on. Called from the walk's own task, many times a second: it must not block.
pub trait Observer: Send + Sync {
    /// There are so many units in this phase, as far as is known now; `None`: not known yet. May grow.
    fn total(&self, total: Option<u64>);
    /// So many more units are done, well or not.
    fn advance(&self, units: u64);
    /// So many more events were read.
    fn found_events(&self, events: u64);
    /// A page of a step was read: how many bytes it has, how many rows, and how many of these are bad.
    fn page(&self, _step: &str, _bytes: u64, _rows: u64, _bad: u64) {}
    /// Something went wrong, or went wrong for now and will be tried again.
    fn fault(&self, fault: Fault);
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind.
    pub error_type: ErrorType,
    /// One sentence for a person, with the URL but without its query. Differs from page to page: group by kind and
    /// status.
    pub message: String,
    /// Whether trying again may help.
    pub recoverable: bool,
    /// The HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// Milliseconds until the next try; `None` when there is none, and what was asked for is lost for this run.
    pub retry_in_ms: Option<u64>,
}

impl Fault {
    pub(super) fn fetching(step: &str, error: &fetch::Error, retry_in: Option<Duration>) -> Self {
        Self {
            error_type: error.error_type(),
            message: format!("step {step:?}: {error}"),
            recoverable: error.recoverable(),
            http_status: error.http_status(),
            retry_in_ms: retry_in.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    pub(super) fn extracting(step: &str, place: &str, error: &extract::Error) -> Self {
        Self {
            error_type: error.error_type(),
            message: format!("step {step:?}: {place}: {error}"),
            recoverable: error.recoverable(),
            http_status: None,
            retry_in_ms: None,
        }
    }

    pub(super) fn drift(message: String) -> Self {
        Self {
            error_type: ErrorType::SchemaDrift,
            message,
            recoverable: false,
            http_status: None,
            retry_in_ms: None,
        }
    }
}
