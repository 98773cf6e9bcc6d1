//! Events of the bus, and the check that one is what docs/protocol.md says.

use crate::{
    EventKey, PAYLOAD_MAX_BYTES,
    envelope::MessageType,
    header::{ATTEMPT, BATCH, CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TIME, CE_TYPE, STATUS},
    odds::{OddsConfirmed, OddsUpdate},
    progress::ScrapeProgress,
    time::is_timestamp,
    validator::{
        Invalid, InvalidKind,
        Rule::{self, AtLeast, Equals},
        Validator,
    },
};
use schemars::JsonSchema;
use std::sync::LazyLock;

/// Why an event of the bus is not shown to clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    /// A header is missing, or not what it has to be.
    #[error("header {name}: {why}")]
    Header {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The payload is larger than [`PAYLOAD_MAX_BYTES`].
    #[error("the payload has {0} bytes, more than {PAYLOAD_MAX_BYTES}")]
    Size(usize),
    /// The payload is not one line of UTF-8 that is a JSON object.
    #[error("the payload is not one line of JSON in UTF-8 that is an object")]
    Line,
    /// The payload is not what its schema says, or not what subject and headers say.
    #[error(transparent)]
    Payload(#[from] Invalid),
}

impl EventFault {
    /// The word for metrics: `header`, `size`, `json`, `schema` or `mismatch`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Header { .. } => "header",
            Self::Size(_) => "size",
            Self::Line => "json",
            Self::Payload(invalid) => match invalid.kind {
                InvalidKind::Json => "json",
                InvalidKind::Schema => "schema",
                InvalidKind::Mismatch => "mismatch",
            },
        }
    }
}

/// The type of message that a key carries.
pub fn message_type(key: &EventKey) -> MessageType {
    match key {
        EventKey::Run { .. } => MessageType::ScrapeProgress,
        EventKey::Quote { .. } => MessageType::OddsUpdate,
        EventKey::Confirmed { .. } => MessageType::OddsConfirmed,
    }
}

static ODDS_UPDATE: LazyLock<Validator> = LazyLock::new(|| {
    of::<OddsUpdate>(&[
        ("source", Equals(0)),
        ("event_ids[]", Equals(1)),
        ("event.event_id", Equals(1)),
        ("event.sport_key", Equals(2)),
        ("market.key", Equals(3)),
        ("market.period", Equals(4)),
    ])
});
static ODDS_CONFIRMED: LazyLock<Validator> = LazyLock::new(|| of::<OddsConfirmed>(&[("source", Equals(0))]));
static SCRAPE_PROGRESS: LazyLock<Validator> = LazyLock::new(|| {
    of::<ScrapeProgress>(&[
        ("source", Equals(0)),
        ("run_id", Equals(1)),
        ("status", Equals(2)),
        ("attempt", Equals(3)),
        ("batch_id", Equals(4)),
        // A run without an event is told of with 0 in answers, and on the bus never.
        ("seq", AtLeast(1)),
    ])
});

fn of<T: JsonSchema>(rules: &[(&str, Rule)]) -> Validator {
    Validator::of::<T>(rules).expect("a test compiles the schemas of all events")
}

/// Checks an event of the bus, before it is shown to anyone: its headers, its size, and that the payload is one line of
/// JSON that is what the schema of its type says and that agrees with subject and headers. `header` gives the value of a
/// header. The payload is read once, and no value is made of it.
///
/// # Errors
/// The first [`EventFault`] found.
pub fn check_event<'h>(
    key: &EventKey,
    header: impl Fn(&str) -> Option<&'h str>,
    payload: &[u8],
) -> Result<MessageType, EventFault> {
    let message_type = message_type(key);
    let fault = |name, why| EventFault::Header { name, why };
    let present = |name| {
        header(name)
            .filter(|value| !value.is_empty())
            .ok_or(fault(name, "is missing"))
    };
    if present(CE_SPECVERSION)? != "1.0" {
        return Err(fault(CE_SPECVERSION, "is not 1.0"));
    }
    present(CE_ID)?;
    present(CE_SOURCE)?;
    if present(CE_TYPE)? != message_type.as_str() {
        return Err(fault(CE_TYPE, "does not belong to the subject"));
    }
    if !is_timestamp(present(CE_TIME)?) {
        return Err(fault(CE_TIME, "is not of the form 2026-02-06T01:30:00.123Z"));
    }
    let text = line(payload)?;
    match key {
        EventKey::Run { source, run_id } => {
            let expected = [
                source.as_str(),
                run_id.as_str(),
                present(STATUS)?,
                present(ATTEMPT)?,
                present(BATCH)?,
            ];
            SCRAPE_PROGRESS.validate(text, &expected)
        }
        EventKey::Quote {
            sport,
            event_id,
            source,
            market,
        } => {
            // No period is empty: a market without one agrees with no payload.
            let (market, period) = market.as_str().rsplit_once('-').unwrap_or((market.as_str(), ""));
            let expected = [source.as_str(), event_id.as_str(), sport.as_str(), market, period];
            ODDS_UPDATE.validate(text, &expected)
        }
        EventKey::Confirmed { source } => ODDS_CONFIRMED.validate(text, &[source.as_str()]),
    }?;
    Ok(message_type)
}

/// The payload as a text that can be spliced into an envelope on one line.
fn line(payload: &[u8]) -> Result<&str, EventFault> {
    if payload.len() > PAYLOAD_MAX_BYTES {
        return Err(EventFault::Size(payload.len()));
    }
    let is_object = payload.first() == Some(&b'{') && payload.last() == Some(&b'}');
    if !is_object || payload.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return Err(EventFault::Line);
    }
    std::str::from_utf8(payload).map_err(|_| EventFault::Line)
}

#[cfg(test)]
mod tests;
