//! Bodies of the REST interface.

use crate::{
    BatchId, RunId, SourceKey,
    job::{SourceRecord, WorkerRecord},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/scrapes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartScrapes {
    /// The sources; none or an empty list: all that are enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// Repeats what failed in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<RunId>,
}

/// Answer to `POST /api/scrapes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Started {
    /// The runs that this request started, together.
    pub batch_id: BatchId,
    /// One a source.
    pub runs: Vec<StartedRun>,
    /// Sources that have a run already.
    pub busy: Vec<BusySource>,
    /// Workers alive; with 0 the runs wait.
    pub workers: usize,
}

/// A run that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartedRun {
    /// The run.
    pub run_id: RunId,
    /// Its source.
    pub source: SourceKey,
    /// Where its state is, relative to this host.
    pub location: String,
}

/// A source that has a run already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BusySource {
    /// The source.
    pub source: SourceKey,
    /// Its run; null when that ended in between.
    pub run_id: Option<RunId>,
}

/// Answer to `GET /api/sources`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sources {
    /// Ordered by key.
    pub sources: Vec<SourceRecord>,
}

/// Answer to `POST /api/tickets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketGiven {
    /// Opens one stream, once, as `ticket` in its query.
    pub ticket: String,
    /// Seconds for which it holds.
    pub expires_in_s: u64,
}

/// Answer to `GET /api/workers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workers {
    /// Those alive, ordered by id.
    pub workers: Vec<WorkerRecord>,
}
