//! The progress of a run: `scrape_progress`.
//!
//! A run is one scrape of one source by one worker. Each message is an **image**: the last one of a run is its whole
//! state, so a reader that missed all others knows what there is to know.

use crate::{BatchId, RunId, SourceKey, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a run is. Closed: an unknown word is refused. The last three end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Claims the run and loads what was acknowledged before.
    Initializing,
    /// Finds what there is to fetch.
    Discovering,
    /// Fetches pages and takes the raw rows out of them.
    Scraping,
    /// Turns raw rows into quotes in our names.
    Mapping,
    /// Compares with what was acknowledged and publishes the changes.
    Storing,
    /// Over: everything that could be done was done; `outcome` says how well.
    Completed,
    /// Over: could not be done; `error` says why.
    Failed,
    /// Over: somebody asked it to stop.
    Cancelled,
}

impl Phase {
    /// Whether the run is over with this phase.
    pub fn is_terminal(self) -> bool {
        self >= Self::Completed
    }
}

/// What a run is doing, in one word for lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for a worker; there is no event of it yet.
    Queued,
    /// A worker is at it.
    Running,
    /// Somebody asked it to stop and its worker knows.
    Cancelling,
    /// Over, done.
    Completed,
    /// Over, could not be done.
    Failed,
    /// Over, stopped on request.
    Cancelled,
}

impl Status {
    /// Whether a run with this status is over: exactly one such event ends each run.
    pub fn is_terminal(self) -> bool {
        self >= Self::Completed
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::str::FromStr for Status {
    type Err = StatusError;
    fn from_str(text: &str) -> Result<Self, StatusError> {
        [
            Self::Queued,
            Self::Running,
            Self::Cancelling,
            Self::Completed,
            Self::Failed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|s| s.as_str() == text)
        .ok_or(StatusError)
    }
}

/// A text is not a [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of queued, running, cancelling, completed, failed, cancelled")]
pub struct StatusError;

/// How well a run that is over went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RunOutcome")] // the field says outcome of what is bet on, too
pub enum Outcome {
    /// Every page was read.
    Complete,
    /// Some pages could not be read; what was read is published, the rest is unconfirmed.
    Partial,
    /// The site answered properly and offers nothing.
    Empty,
    /// The site could not be reached, or answered with errors alone: nothing was read.
    Unreachable,
    /// The site refused us: block page, captcha, 403.
    Blocked,
    /// The site answered in a form that the source definition does not know.
    Broken,
}

/// What `current` and `total` count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Leagues or other listings found.
    Leagues,
    /// Pages fetched.
    Pages,
    /// Sporting events.
    Events,
    /// Markets of events.
    Markets,
}

/// `data` of `scrape_progress`: the state of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScrapeProgress {
    /// The run.
    pub run_id: RunId,
    /// The request that started it, together with others.
    pub batch_id: BatchId,
    /// The source that is scraped.
    pub source: SourceKey,
    /// 1 for the first event of the run, then one more each, across attempts.
    pub seq: u64,
    /// 1 for the first worker, one more for each that took over.
    pub attempt: u32,
    /// The worker, null while queued.
    pub worker_id: Option<String>,
    /// What the run is doing.
    pub status: Status,
    /// Where the run is.
    pub phase: Phase,
    /// How many `unit`s are done in this phase; never falls inside a phase and an attempt.
    pub current: u64,
    /// How many there are; null while unknown.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: Unit,
    /// Events read so far in the run.
    pub events_count: u64,
    /// Images published so far in the run: markets whose odds changed.
    pub changed_count: u64,
    /// One sentence for a person.
    pub message: String,
    /// When the worker began; null while queued.
    pub started_at: Option<Timestamp>,
    /// When the run was over.
    pub finished_at: Option<Timestamp>,
    /// Milliseconds of work, by a monotonic clock.
    pub elapsed_ms: u64,
    /// `unit`s a second in this phase; null before there is one.
    pub rate_per_s: Option<f64>,
    /// Milliseconds to the end of this phase at this rate; null when unknown.
    pub eta_ms: Option<u64>,
    /// How well it went; null before the end, and when it was cancelled.
    pub outcome: Option<Outcome>,
    /// The phases so far, in order, the present one last.
    pub phases: Vec<PhaseProgress>,
    /// What went wrong, grouped.
    pub errors: Vec<ErrorGroup>,
    /// The last of what went wrong.
    pub error: Option<ErrorGroup>,
}

impl ScrapeProgress {
    /// The state of a run that no worker has begun.
    pub fn queued(run_id: RunId, batch_id: BatchId, source: SourceKey) -> Self {
        Self {
            run_id,
            batch_id,
            source,
            seq: 0,
            attempt: 0,
            worker_id: None,
            status: Status::Queued,
            phase: Phase::Initializing,
            current: 0,
            total: None,
            unit: Unit::Pages,
            events_count: 0,
            changed_count: 0,
            message: "waits for a worker".into(),
            started_at: None,
            finished_at: None,
            elapsed_ms: 0,
            rate_per_s: None,
            eta_ms: None,
            outcome: None,
            phases: Vec::new(),
            errors: Vec::new(),
            error: None,
        }
    }
}

/// One phase of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseProgress {
    /// Which.
    pub phase: Phase,
    /// `unit`s done.
    pub current: u64,
    /// `unit`s in all; null when never known.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: Unit,
    /// Milliseconds in it.
    pub elapsed_ms: u64,
}

/// The kinds of things that go wrong in a run. Stable: clients may act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorType {
    /// The site did not answer in time, or the run's time was up.
    Timeout,
    /// No connection, or it was cut, or the site's address is not public.
    Connect,
    /// An HTTP status that is no success.
    HttpStatus,
    /// The site asked for fewer requests (429), or the run had asked for as many pages as it may.
    RateLimited,
    /// robots.txt forbids it, or cannot be had.
    Robots,
    /// A block page or captcha in place of the content.
    Blocked,
    /// Not the format that was expected: truncated JSON, wrong content type.
    Parse,
    /// The right format, but required fields are missing: the layout changed.
    SchemaDrift,
    /// A market or an outcome that could not be mapped.
    Mapping,
    /// The bus did not take an event.
    Publish,
    /// Somebody asked the run to stop.
    Cancelled,
    /// The worker vanished.
    Stale,
}

/// Things that went wrong in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorGroup {
    /// The kind.
    pub error_type: ErrorType,
    /// One sentence for a person; never a token or a full query string.
    pub message: String,
    /// Whether trying again may help.
    pub recoverable: bool,
    /// The HTTP status, where there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub http_status: Option<u16>,
    /// Milliseconds until the next try, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_in_ms: Option<u64>,
    /// How often.
    pub count: u64,
    /// First time.
    pub first_at: Timestamp,
    /// Last time.
    pub last_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_these_words_and_no_others() {
        let words = [
            "initializing",
            "discovering",
            "scraping",
            "mapping",
            "storing",
            "completed",
            "failed",
            "cancelled",
        ];
        for word in words {
            let phase: Phase = serde_json::from_value(word.into()).unwrap();
            assert_eq!(serde_json::to_value(phase).unwrap(), word);
        }
        for word in ["starting", "discovery", "Scraping", "", "scraping "] {
            assert!(serde_json::from_value::<Phase>(word.into()).is_err(), "{word:?}");
        }
    }
}
