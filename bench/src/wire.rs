//! What a client reads, with as little work as it takes to count it: heads of answers, frames, chunks, events.

pub(crate) mod head;
pub(crate) mod sse;
pub(crate) mod ws;

/// What a message to a client is, as far as the bench cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// An event, with the number that its publisher gave it.
    Event(u64),
    /// `connection_ack`, with the conflation that was granted.
    Granted {
        /// Milliseconds.
        conflate_ms: u64,
    },
    /// `caught_up`: what comes from here on is live.
    CaughtUp,
    /// Anything else: a heartbeat, a word about being slow.
    Other,
}

/// How every message begins.
const TYPE: &[u8] = br#"{"type":""#;
/// What stands before the number in every payload of the bench.
pub(crate) const NUMBER: &str = r#"{"n":""#;
/// Digits of a number, zeros in front.
pub(crate) const DIGITS: usize = 10;

/// Tells what a message is.
pub(crate) fn message(text: &[u8]) -> Message {
    let Some(rest) = text.strip_prefix(TYPE) else {
        return Message::Other;
    };
    for event in [&b"odds_update"[..], b"scrape_progress"] {
        if rest.starts_with(event) {
            return number(text, event.len()).map_or(Message::Other, Message::Event);
        }
    }
    if rest.starts_with(b"caught_up") {
        return Message::CaughtUp;
    }
    if rest.starts_with(b"connection_ack") {
        return Message::Granted {
            conflate_ms: granted_ms(rest),
        };
    }
    Message::Other
}

/// The number of an event whose type has so many letters: envelopes have one form, so its place is known.
fn number(text: &[u8], type_length: usize) -> Option<u64> {
    const BETWEEN: usize = br#"","timestamp":"2026-11-22T22:49:48.370Z","data":"#.len();
    let payload = text.get(TYPE.len() + type_length + BETWEEN..)?;
    let digits = payload.strip_prefix(NUMBER.as_bytes())?.get(..DIGITS)?;
    digits.iter().try_fold(0u64, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u64::from(digit - b'0'))
    })
}

fn granted_ms(text: &[u8]) -> u64 {
    const KEY: &[u8] = br#""conflate_ms":"#;
    let Some(at) = memchr::memmem::find(text, KEY) else {
        return 0;
    };
    text[at + KEY.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |ms, digit| ms * 10 + u64::from(digit - b'0'))
}

/// The value of a key of a message whose value is plain text: an `id`, a `cursor`.
pub(crate) fn text_value(text: &[u8], key: &str) -> Option<String> {
    let key = format!("\"{key}\":\"");
    let at = memchr::memmem::rfind(text, key.as_bytes())? + key.len();
    let length = memchr::memchr(b'"', &text[at..])?;
    String::from_utf8(text[at..at + length].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        for (text, message_is) in [
            (
                r#"{"type":"odds_update","timestamp":"2026-11-22T22:49:48.370Z","data":{"n":"0000004711","x":1}}"#,
                Message::Event(4711),
            ),
            (
                r#"{"type":"scrape_progress","timestamp":"2026-11-22T22:49:48.370Z","data":{"n":"0000000001"},"id":"A"}"#,
                Message::Event(1),
            ),
            (
                r#"{"type":"connection_ack","timestamp":"x","data":{"heartbeat_ms":1,"conflate_ms":250,"limits":{}}}"#,
                Message::Granted { conflate_ms: 250 },
            ),
            (r#"{"type":"caught_up","timestamp":"x"}"#, Message::CaughtUp),
            (r#"{"type":"heartbeat","timestamp":"x"}"#, Message::Other),
            (r#"{"type":"odds_update","timestamp":"2026"}"#, Message::Other),
            ("", Message::Other),
        ] {
            assert_eq!(message(text.as_bytes()), message_is, "{text}");
        }
    }

    #[test]
    fn the_last_of_two_ids_counts() {
        let text = br#"{"type":"odds_update","data":{"id":"no"},"id":"AQNA"}"#;
        assert_eq!(text_value(text, "id").as_deref(), Some("AQNA"));
        assert_eq!(text_value(text, "cursor"), None);
    }
}
