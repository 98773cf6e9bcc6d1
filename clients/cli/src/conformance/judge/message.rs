//! Envelopes, to the byte.

use crate::conformance::check::{ensure, shortened};
use serde_json::{Value, value::RawValue};

/// A message of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// As it came.
    pub(crate) text: String,
    json: Value,
    /// The `id:` line, over Server-Sent Events.
    pub(crate) id: Option<String>,
    /// The `event:` line, over Server-Sent Events.
    pub(crate) event: Option<String>,
}

/// The types whose `data` is a publisher's.
pub(crate) const EVENTS: [&str; 3] = ["scrape_progress", "odds_update", "odds_confirmed"];

/// The parts of an envelope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) timestamp: &'a str,
    pub(crate) data: &'a str,
    pub(crate) id: Option<&'a str>,
}

impl Message {
    /// One of this type, for tests of judges.
    #[cfg(test)]
    pub(crate) fn made(kind: &str, data: &Value) -> Self {
        let text = format!(r#"{{"type":"{kind}","timestamp":"2026-02-06T01:30:00.123Z","data":{data}}}"#);
        Self::of_text(text).unwrap()
    }

    pub(crate) fn of_text(text: String) -> Result<Self, String> {
        let json = serde_json::from_str(&text)
            .map_err(|error| format!("no JSON: {error}: {}", shortened(&text, 200)))?;
        Ok(Self {
            text,
            json,
            id: None,
            event: None,
        })
    }

    pub(crate) fn kind(&self) -> &str {
        self.json["type"].as_str().unwrap_or_default()
    }

    pub(crate) fn data(&self) -> &Value {
        &self.json["data"]
    }

    pub(crate) fn is_event(&self) -> bool {
        EVENTS.contains(&self.kind())
    }

    /// The newest position that the message tells, over either transport.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.data()["cursor"]
            .as_str()
            .or(self.json["id"].as_str())
            .or(self.id.as_deref())
    }

    /// What has to be the same everywhere: the text without the position of this connection.
    pub(crate) fn everywhere(&self) -> Result<String, String> {
        let Parts { timestamp, data, .. } = self.parts()?;
        let kind = self.kind();
        Ok(format!(
            r#"{{"type":"{kind}","timestamp":"{timestamp}","data":{data}}}"#
        ))
    }

    /// Takes the envelope apart.
    ///
    /// # Errors
    /// When it is not exactly `type`, `timestamp`, `data` and at most `id`, in this order and compact.
    pub(crate) fn parts(&self) -> Result<Parts<'_>, String> {
        let complain = |what: &str| format!("{what}: {}", shortened(&self.text, 300));
        let kind = self.json["type"]
            .as_str()
            .ok_or_else(|| complain("no \"type\" that is a text"))?;
        let rest = self
            .text
            .strip_prefix("{\"type\":\"")
            .and_then(|rest| rest.strip_prefix(kind)?.strip_prefix('"'))
            .ok_or_else(|| complain("does not begin with {\"type\":\"…\""))?;
        let rest = rest
            .strip_prefix(",\"timestamp\":\"")
            .ok_or_else(|| complain("\"timestamp\" is not the second key, or a space is between"))?;
        let (timestamp, rest) = rest
            .split_once('"')
            .ok_or_else(|| complain("\"timestamp\" has no end"))?;
        let rest = rest
            .strip_prefix(",\"data\":")
            .ok_or_else(|| complain("\"data\" is not the third key, or a space is between"))?;
        if rest.starts_with(char::is_whitespace) {
            return Err(complain("a space is before \"data\""));
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let data = match values.next() {
            Some(Ok(data)) => data.get(),
            _ => return Err(complain("\"data\" is no JSON")),
        };
        let id = match &rest[values.byte_offset()..] {
            "}" => None,
            rest => Some(
                rest.strip_prefix(",\"id\":\"")
                    .and_then(|rest| rest.strip_suffix("\"}"))
                    .ok_or_else(|| complain("more follows \"data\" than an \"id\""))?,
            ),
        };
        Ok(Parts { timestamp, data, id })
    }
}

/// Judges the form of an envelope.
pub(crate) fn judge(message: &Message) -> Result<(), String> {
    let parts = message.parts()?;
    ensure(is_timestamp(parts.timestamp), || {
        format!(
            "\"timestamp\" is {:?}, not UTC with milliseconds and a Z",
            parts.timestamp
        )
    })?;
    ensure(parts.data.starts_with('{'), || {
        format!("\"data\" of {} is no object", message.kind())
    })?;
    ensure(!parts.data.contains(['\n', '\r']), || {
        format!("\"data\" of {} is not on one line", message.kind())
    })
}

/// Judges who has an `id`: events with a position of a WebSocket client that sent `since`, and nobody else. Where the
/// client conflates, an event may have none.
pub(crate) fn judge_ids(messages: &[Message], takes_part: bool) -> Result<(), String> {
    for message in messages {
        let id = message.parts()?.id;
        ensure(id.is_none() || takes_part && message.is_event(), || {
            format!("an \"id\" on {}, which has none", message.kind())
        })?;
        ensure(id.is_some() || !takes_part || !message.is_event(), || {
            format!("no \"id\" on {}, though since was sent", message.kind())
        })?;
        ensure(id.is_none_or(is_cursor), || format!("{id:?} is no cursor"))?;
    }
    Ok(())
}

/// Whether this is a time as the contract writes all of them.
pub(crate) fn is_timestamp(text: &str) -> bool {
    const FORM: &[u8] = b"dddd-dd-ddTdd:dd:dd.dddZ";
    let number = |from: usize| text[from..from + 2].parse().unwrap_or(99_u8);
    text.len() == FORM.len()
        && text.bytes().zip(FORM).all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            form => byte == *form,
        })
        && (1..=12).contains(&number(5))
        && (1..=31).contains(&number(8))
        && number(11) < 24
        && number(14) < 60
        && number(17) <= 60
}

/// Whether this may be a cursor: at most 90 characters, safe in a URL.
pub(crate) fn is_cursor(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    (1..=90).contains(&text.len()) && text.bytes().all(is_safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::of_text(text.to_owned()).unwrap()
    }

    const GOOD: &str = r#"{"type":"pong","timestamp":"2026-02-06T01:30:00.123Z","data":{"a":"}, x"}}"#;

    #[test]
    fn an_envelope_has_its_three_keys_in_order_and_compact() {
        assert_eq!(judge(&message(GOOD)), Ok(()));
        for (bad, complaint) in [
            (GOOD.replace("\"timestamp\"", "\"timestamq\""), "timestamp"),
            (GOOD.replace(":{", ": {"), "data"),
            (
                GOOD.replace("},", "}").replace("}}", "},\"x\":1}"),
                "more follows",
            ),
            (GOOD.replace(".123Z", "Z"), "UTC"),
            (GOOD.replace(".123Z", "+01:00"), "UTC"),
            (GOOD.replace("02-06", "13-06"), "UTC"),
            (GOOD.replace(r#"{"a":"}, x"}"#, "[]"), "object"),
            (GOOD.replace(r#"{"a""#, "{\n\"a\""), "one line"),
            (
                r#"{"timestamp":"2026-02-06T01:30:00.123Z","type":"pong","data":{}}"#.to_owned(),
                "begin",
            ),
        ] {
            let said = judge(&message(&bad)).unwrap_err();
            assert!(said.contains(complaint), "{bad}: {said}");
        }
    }

    #[test]
    fn ids_are_on_events_of_those_who_said_where_to_begin() {
        let plain = r#"{"type":"odds_update","timestamp":"2026-02-06T01:30:00.123Z","data":{}}"#;
        let with_id = plain.replace("{}}", "{},\"id\":\"AQN\"}");
        let (plain, with_id, pong) = (message(plain), message(&with_id), message(GOOD));
        assert_eq!(judge_ids(&[with_id.clone(), pong.clone()], true), Ok(()));
        assert_eq!(judge_ids(&[plain.clone(), pong], false), Ok(()));
        assert!(judge_ids(std::slice::from_ref(&plain), true).is_err());
        assert!(judge_ids(std::slice::from_ref(&with_id), false).is_err());
        assert_eq!(with_id.everywhere(), plain.everywhere());
    }
}
