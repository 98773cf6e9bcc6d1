//! Runs and odds as far as they are shown. Keys and words that later releases may add are passed over.

use oddswire_protocol::{
    BatchId, EventId, Line, Price, RunId, SourceKey, Timestamp,
    odds::QuoteStatus,
    progress::{Phase, Status},
};
use serde::{Deserialize, Serialize};

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunImage {
    pub(crate) run_id: RunId,
    pub(crate) batch_id: BatchId,
    pub(crate) source: SourceKey,
    pub(crate) seq: u64,
    #[serde(default)]
    pub(crate) attempt: u32,
    #[serde(default)]
    pub(crate) worker_id: Option<String>,
    pub(crate) status: Status,
    pub(crate) phase: Phase,
    #[serde(default)]
    pub(crate) current: u64,
    #[serde(default)]
    pub(crate) total: Option<u64>,
    #[serde(default)]
    pub(crate) unit: String,
    #[serde(default)]
    pub(crate) events_count: u64,
    #[serde(default)]
    pub(crate) changed_count: u64,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) finished_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) elapsed_ms: u64,
    #[serde(default)]
    pub(crate) rate_per_s: Option<f64>,
    #[serde(default)]
    pub(crate) eta_ms: Option<u64>,
    #[serde(default)]
    pub(crate) outcome: Option<String>,
    #[serde(default)]
    pub(crate) errors: Vec<RunError>,
    #[serde(default)]
    pub(crate) error: Option<RunError>,
}

impl RunImage {
    /// One that no worker has begun.
    pub(crate) fn queued(run_id: RunId, batch_id: BatchId, source: SourceKey) -> Self {
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
            unit: String::new(),
            events_count: 0,
            changed_count: 0,
            message: String::new(),
            finished_at: None,
            elapsed_ms: 0,
            rate_per_s: None,
            eta_ms: None,
            outcome: None,
            errors: Vec::new(),
            error: None,
        }
    }

    /// How often something went wrong.
    pub(crate) fn errors_count(&self) -> u64 {
        self.errors.iter().map(|group| group.count).sum()
    }
}

/// What went wrong in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunError {
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) count: u64,
}

/// The word of a phase.
pub(crate) fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Initializing => "initializing",
        Phase::Discovering => "discovering",
        Phase::Scraping => "scraping",
        Phase::Mapping => "mapping",
        Phase::Storing => "storing",
        Phase::Completed => "completed",
        Phase::Failed => "failed",
        Phase::Cancelled => "cancelled",
    }
}

/// A market of an event at a source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct OddsImage {
    pub(crate) source: SourceKey,
    pub(crate) event: EventImage,
    pub(crate) market: MarketImage,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct EventImage {
    pub(crate) event_id: EventId,
    #[serde(default)]
    pub(crate) league: String,
    #[serde(default)]
    pub(crate) country: Option<String>,
    pub(crate) commence_time: Timestamp,
    #[serde(default)]
    pub(crate) home_team: String,
    #[serde(default)]
    pub(crate) away_team: String,
}

/// A market.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct MarketImage {
    pub(crate) key: String,
    pub(crate) period: String,
    pub(crate) quotes: Vec<QuoteImage>,
}

/// The prices of one line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct QuoteImage {
    pub(crate) line: Option<Line>,
    pub(crate) status: QuoteStatus,
    pub(crate) outcomes: Vec<OutcomeImage>,
    pub(crate) confirmed_at: Timestamp,
}

/// One thing that can happen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct OutcomeImage {
    pub(crate) name: String,
    pub(crate) price: Option<Price>,
    pub(crate) status: QuoteStatus,
}

/// A source was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confirmation {
    pub(crate) source: SourceKey,
    pub(crate) confirmed_at: Timestamp,
    #[serde(default)]
    pub(crate) unconfirmed_event_ids: Vec<EventId>,
    #[serde(default)]
    pub(crate) all_unconfirmed: bool,
}
