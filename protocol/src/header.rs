//! Headers of bus events.
//!
//! CloudEvents 1.0 in binary mode plus a few of our own. Headers and subject are all that a gateway acts on.

use crate::{EventKey, Timestamp, event::message_type};

/// CloudEvents: always `1.0`.
pub const CE_SPECVERSION: &str = "ce-specversion";
/// CloudEvents: the id of the event, the same as `Nats-Msg-Id`.
pub const CE_ID: &str = "ce-id";
/// CloudEvents: who made it, `/oddswire/scraper/<worker>` or `/oddswire/gateway`.
pub const CE_SOURCE: &str = "ce-source";
/// CloudEvents: the envelope's `type`.
pub const CE_TYPE: &str = "ce-type";
/// CloudEvents: the envelope's `timestamp`, to the letter.
pub const CE_TIME: &str = "ce-time";
/// JetStream's de-duplication id.
pub const MSG_ID: &str = "Nats-Msg-Id";
/// W3C trace context; lowercase, since NATS header names are case-sensitive.
pub const TRACEPARENT: &str = "traceparent";
/// Run messages: the run's status, so that a gateway knows the terminal one without parsing the payload.
pub const STATUS: &str = "Oddswire-Status";
/// Run messages: the attempt.
pub const ATTEMPT: &str = "Oddswire-Attempt";
/// Run messages: the batch, for lists.
pub const BATCH: &str = "Oddswire-Batch";
/// Terminal run messages: the last sequence of ODDS that the run wrote; it is shown after that one.
pub const AFTER: &str = "Oddswire-After";
/// Odds messages: the RUNS sequence of the writer's claim; a greater one wins.
pub const FENCE: &str = "Oddswire-Fence";

/// Terms of ODDS: which one begins. Nobody reads anything out of it.
pub const TERM: &str = "Oddswire-Term";

/// Headers that the server sets on what it republishes and stores. A publisher that set one itself would leave two
/// values, its own first: publishers refuse to, and readers take the last value.
pub const RESERVED: [&str; 5] = [
    "Nats-Stream",
    "Nats-Subject",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Last-Sequence",
];

/// The CloudEvents headers of an event of the bus.
///
/// `id` is its `Nats-Msg-Id`, `made_by` the process that makes it (`scraper/w1`), `time` the envelope's timestamp.
pub fn cloud_event(key: &EventKey, id: &str, made_by: &str, time: Timestamp) -> Vec<(&'static str, String)> {
    vec![
        (CE_SPECVERSION, "1.0".into()),
        (CE_ID, id.into()),
        (CE_SOURCE, format!("/oddswire/{made_by}")),
        (CE_TYPE, message_type(key).as_str().into()),
        (CE_TIME, time.to_string()),
    ]
}
