//! Jobs and control records: what gateways, schedulers and workers tell each other.

use crate::{BatchId, RunId, SourceKey, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of a job. Its subject names the source; until it is acknowledged it is the source's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// The run that it starts.
    pub run_id: RunId,
    /// The request that it belongs to.
    pub batch_id: BatchId,
    /// The source.
    pub source: SourceKey,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// By whom.
    pub requested_by: RequestedBy,
    /// The run of which it repeats what failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_of: Option<RunId>,
}

/// Who started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestedBy {
    /// Somebody, through the REST interface.
    Api,
    /// The source's interval.
    Schedule,
}

/// How a source does, as its last run found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceHealth {
    /// Never scraped.
    Unknown,
    /// The last run read everything.
    Ok,
    /// The last run read a part.
    Degraded,
    /// The last run read nothing.
    Down,
}

/// CONTROL `source.<key>`: what is known of a source, written by the scrapers that have its definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceRecord {
    /// The source.
    pub source: SourceKey,
    /// For people.
    pub title: String,
    /// Whether it is scraped when nobody names it.
    pub enabled: bool,
    /// Milliseconds between scheduled runs; null when it runs at set times or on request only.
    pub interval_ms: Option<u64>,
    /// The times of scheduled runs as a cron expression and its time zone, `0 9 * * MON (Europe/Berlin)`; null when it
    /// runs by an interval or on request only.
    #[serde(default)]
    pub cron: Option<String>,
    /// Milliseconds after which an unconfirmed quote is stale.
    pub stale_after_ms: u64,
    /// Which definition the scrapers have.
    pub definition_hash: String,
    /// How its last run went.
    pub health: SourceHealth,
    /// Its last run that is over.
    pub last_run_id: Option<RunId>,
    /// When this was written.
    pub updated_at: Timestamp,
}

/// CONTROL `worker.<id>`: a worker that is alive. Vanishes 30 s after its last sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerRecord {
    /// The worker.
    pub worker_id: String,
    /// Its build.
    pub version: String,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// Its last sign of life.
    pub seen_at: Timestamp,
    /// Runs at once.
    pub concurrency: usize,
    /// Runs that it is at.
    pub running: Vec<RunId>,
    /// Sources of which it has the definition.
    pub sources: Vec<SourceKey>,
}

/// Milliseconds after its last sign of life that a worker's record vanishes.
pub const WORKER_TTL_MS: u64 = 30_000;
/// How long a wish to cancel is kept, in seconds.
pub const CANCEL_TTL_S: u64 = 24 * 3600;

/// GATEWAY `cancel.<run_id>`: somebody wants the run to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelIntent {
    /// The run.
    pub run_id: RunId,
    /// When.
    pub requested_at: Timestamp,
}
