//! What stands on the lines of an event stream.

use super::message::{Message, is_cursor};
use crate::conformance::check::ensure;

/// The lines between two empty ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Block {
    id: Option<String>,
    event: Option<String>,
    retry: Option<String>,
    data: Vec<String>,
    /// Fields that an EventSource passes over.
    unknown: Vec<String>,
}

/// Messages that have a position though they are no events.
const PLACED: [&str; 4] = ["connection_ack", "caught_up", "heartbeat", "reconnect"];

impl Block {
    pub(crate) fn parse(lines: &str) -> Self {
        let mut block = Self::default();
        for line in lines.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match field {
                // A comment.
                "" => {}
                "id" => block.id = Some(value),
                "event" => block.event = Some(value),
                "retry" => block.retry = Some(value),
                "data" => block.data.push(value),
                field => block.unknown.push(field.to_owned()),
            }
        }
        block
    }

    /// Whether it is no event: a blank line behind a comment or `retry:`, which some libraries hand on as an empty message.
    pub(crate) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The message that an EventSource would get.
    pub(crate) fn message(&self) -> Result<Option<Message>, String> {
        if self.data.is_empty() {
            return Ok(None);
        }
        let mut message = Message::of_text(self.data.join("\n"))?;
        message.id.clone_from(&self.id);
        message.event.clone_from(&self.event);
        Ok(Some(message))
    }

    /// Judges the lines, all but `id:`.
    pub(crate) fn judge(&self) -> Result<(), String> {
        ensure(self.unknown.is_empty(), || {
            format!("lines of unknown fields: {}", self.unknown.join(", "))
        })?;
        let is_number = |retry: &String| !retry.is_empty() && retry.bytes().all(|byte| byte.is_ascii_digit());
        ensure(self.retry.as_ref().is_none_or(is_number), || {
            format!("retry: {:?} is no number of milliseconds", self.retry)
        })?;
        let Some(message) = self.message()? else {
            return ensure(self.event.is_none(), || "an event without data:".into());
        };
        ensure(self.data.len() == 1, || {
            format!("{} data: lines in place of one", self.data.len())
        })?;
        let wanted = match message.kind() {
            "error" => "fault",
            kind => kind,
        };
        ensure(self.event.as_deref() == Some(wanted), || {
            format!("event: is {:?} on {}", self.event, message.kind())
        })
    }
}

/// Judges who has an `id:`: every message with a position.
pub(crate) fn judge_id(message: &Message) -> Result<(), String> {
    let kind = message.kind();
    let is_placed = message.is_event() || PLACED.contains(&kind);
    match &message.id {
        None => ensure(!is_placed, || format!("no id: line on {kind}")),
        Some(id) => ensure(is_placed && is_cursor(id), || {
            format!("id: {id:?} on {kind} is no position")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(lines: &str) -> Block {
        Block::parse(lines)
    }

    const PONG: &str = r#"data: {"type":"caught_up","timestamp":"2026-02-06T01:30:00.123Z","data":{}}"#;

    #[test]
    fn lines_are_those_of_the_contract() {
        let good = block(&format!("id: AQN\nevent: caught_up\n{PONG}"));
        assert_eq!(good.judge(), Ok(()));
        assert_eq!(judge_id(&good.message().unwrap().unwrap()), Ok(()));
        assert!(block(":").is_empty() && block("retry: 1500").is_empty());
        assert_eq!(block("retry: 1500").judge(), Ok(()));
        for bad in [
            format!("ix: AQN\nevent: caught_up\n{PONG}"),
            format!("id: AQN\n{PONG}"),
            format!("event: message\n{PONG}"),
            format!("retry: soon\nevent: caught_up\n{PONG}"),
            PONG.replace("caught_up", "error") + "\nevent: error",
            "event: caught_up".to_owned(),
        ] {
            assert!(block(&bad).judge().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_has_a_position_has_an_id_and_nothing_else_has() {
        let without = block(&format!("event: caught_up\n{PONG}"));
        assert!(judge_id(&without.message().unwrap().unwrap()).is_err());
        let fault = PONG.replace("caught_up", "error");
        let fault = block(&format!("id: AQN\nevent: fault\n{fault}"));
        assert!(judge_id(&fault.message().unwrap().unwrap()).is_err());
    }
}
