//! Bodies of the REST interface.

use crate::{
    BatchId, Cursor, EventId, RunId, SourceKey, Timestamp,
    envelope::Received,
    job::{SourceRecord, WorkerRecord},
    odds::{OddsConfirmed, OddsUpdate},
    progress::{ScrapeProgress, Status},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// Answer to `GET /api/scrapes`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Scrapes {
    /// The last image of each, newest first; queued ones on the first page.
    pub runs: Vec<ScrapeProgress>,
    /// Asks for those that are older; null at the end.
    pub next_page: Option<RunId>,
}

/// Answer to `POST /api/scrapes/{run_id}/cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// The run.
    pub run_id: RunId,
    /// `cancelling`, or how it had ended already.
    pub status: Status,
}

/// Answer to `GET /api/odds`: the board now.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Board {
    /// Continue with it as `since` of a stream.
    pub cursor: Cursor,
    /// The last image of each market, the one that changed longest ago first.
    pub markets: Vec<OddsUpdate>,
    /// What was confirmed last, by source.
    pub confirmed: BTreeMap<SourceKey, OddsConfirmed>,
    /// Asks for the next page; null at the end.
    pub next_page: Option<String>,
}

/// Answer to `GET /api/odds/{event_id}/history`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct History {
    /// The event.
    pub event_id: EventId,
    /// From when.
    pub since: Timestamp,
    /// The messages of type `odds_update` as they were sent, oldest first.
    pub images: Vec<Received<OddsUpdate>>,
    /// Asks for the next page; null at the end.
    pub next_page: Option<String>,
}

/// Answer to `GET /quarantine` of the operations port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantinedEvents {
    /// How many messages this gateway has met since it started that are not what the contract says.
    pub count: u64,
    /// The newest of them, the newest first; 256 at most.
    pub events: Vec<Quarantined>,
}

/// A message of the bus that is not what the contract says, and is shown to no client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quarantined {
    /// `run` or `odds`.
    pub feed: String,
    /// Its sequence in the feed's stream.
    pub seq: u64,
    /// The subject that it was published to, control characters escaped.
    pub subject: String,
    /// `subject`, `header`, `size`, `json`, `schema` or `mismatch`.
    pub reason: String,
    /// Where and why, for a person.
    pub detail: String,
    /// When the bus stored it.
    pub stored_at: Timestamp,
    /// When this gateway met it.
    pub met_at: Timestamp,
}

/// Answer to `GET /api/schemas/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Schemas {
    /// Ordered by name.
    pub schemas: Vec<SchemaAddress>,
}

/// Where a JSON Schema is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaAddress {
    /// `message.` and a message's type, for its `data`; `client.` and a command's; `api.` and a body's; or `envelope`,
    /// `job`, `problem`.
    pub name: String,
    /// Relative to this host.
    pub url: String,
}
