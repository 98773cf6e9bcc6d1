//! Headers of bus events, and the check that an event is what the contract says.
//!
//! CloudEvents 1.0 in binary mode plus a few of our own. Headers and subject are all that a gateway acts on.

use crate::{EventKey, PAYLOAD_MAX_BYTES, Timestamp, envelope::MessageType};

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

/// Why an event of the bus is not shown to clients. It is counted and skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    /// No `ce-type`, or one that this subject does not carry.
    #[error("ce-type is missing or does not belong to the subject")]
    Type,
    /// No `ce-time`, or not in the one form.
    #[error("ce-time is missing or not of the form 2026-02-06T01:30:00.123Z")]
    Time,
    /// Payload over [`PAYLOAD_MAX_BYTES`].
    #[error("payload over 64 KiB")]
    TooBig,
    /// Payload is not one line holding one JSON object in UTF-8.
    #[error("payload is not one line of JSON holding an object")]
    Payload,
}

/// The type of message that a key carries.
pub fn message_type(key: &EventKey) -> MessageType {
    match key {
        EventKey::Run { .. } => MessageType::ScrapeProgress,
        EventKey::Quote { .. } => MessageType::OddsUpdate,
        EventKey::Confirmed { .. } => MessageType::OddsConfirmed,
    }
}

/// Checks an event of the bus once, before it is shown to anyone: type and time by header, and that the payload is
/// one line of JSON holding an object. The payload is walked, not parsed into values.
///
/// # Errors
/// The first [`EventFault`] found.
pub fn check_event(
    key: &EventKey,
    ce_type: Option<&str>,
    ce_time: Option<&str>,
    payload: &[u8],
) -> Result<MessageType, EventFault> {
    let expected = message_type(key);
    if ce_type != Some(expected.as_str()) {
        return Err(EventFault::Type);
    }
    if ce_time.is_none_or(|time| time.parse::<Timestamp>().is_err()) {
        return Err(EventFault::Time);
    }
    if payload.len() > PAYLOAD_MAX_BYTES {
        return Err(EventFault::TooBig);
    }
    let one_object = payload.first() == Some(&b'{')
        && payload.last() == Some(&b'}')
        && !payload.iter().any(|b| matches!(b, b'\n' | b'\r'))
        && std::str::from_utf8(payload)
            .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    if one_object {
        Ok(expected)
    } else {
        Err(EventFault::Payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIME: Option<&str> = Some("2026-02-06T01:30:00.123Z");
    const TYPE: Option<&str> = Some("scrape_progress");

    fn run() -> EventKey {
        EventKey::Run {
            source: "alpha".parse().unwrap(),
            run_id: "r1".parse().unwrap(),
        }
    }

    #[test]
    fn a_good_event_passes() {
        let payload = r#"{"a":[1,{"b":"é\n"}]}"#.as_bytes();
        assert_eq!(
            check_event(&run(), TYPE, TIME, payload),
            Ok(MessageType::ScrapeProgress)
        );
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(check_event(&run(), None, TIME, b"{}"), Err(EventFault::Type));
        assert_eq!(
            check_event(&run(), Some("odds_update"), TIME, b"{}"),
            Err(EventFault::Type)
        );
        assert_eq!(check_event(&run(), TYPE, None, b"{}"), Err(EventFault::Time));
        assert_eq!(
            check_event(&run(), TYPE, Some("2026-02-06T01:30:00Z"), b"{}"),
            Err(EventFault::Time)
        );
        let big = format!("{{\"a\":\"{}\"}}", "x".repeat(PAYLOAD_MAX_BYTES));
        assert_eq!(
            check_event(&run(), TYPE, TIME, big.as_bytes()),
            Err(EventFault::TooBig)
        );
        for payload in [
            &b""[..],
            b"[]",
            b"1",
            b"{\"a\":}",
            b"{\n}",
            b"{}{}",
            b"{} ",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\t\"}",
            b"}",
        ] {
            assert_eq!(
                check_event(&run(), TYPE, TIME, payload),
                Err(EventFault::Payload),
                "{payload:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn hostile_payloads_never_panic_and_never_break_a_line(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            if check_event(&run(), TYPE, TIME, &payload).is_ok() {
                prop_assert!(!payload.contains(&b'\n'));
            }
        }
    }
}
