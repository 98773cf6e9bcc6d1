//! Server-Sent Events, as the HTML standard says, from the pieces in which a body comes.

use bytes::BytesMut;

/// Bytes of one event above which a stream is not one of ours: an envelope has at most 64 KiB of data.
const EVENT_MAX_BYTES: usize = 1 << 20;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// The position, where the event has one.
    pub(crate) id: Option<String>,
    /// What it is called.
    pub(crate) event: String,
    /// Its lines, joined.
    pub(crate) data: String,
}

/// Takes events out of a body.
#[derive(Debug, Default)]
pub(crate) struct SseReader {
    bytes: BytesMut,
    /// Bytes that have no line end, looked at already.
    looked_at: usize,
    event: SseEvent,
    has_data: bool,
}

/// Why a body is no stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    #[error("an event of more than 1 MiB")]
    TooBig,
    #[error("an event that is not UTF-8")]
    NotUtf8,
}

impl SseReader {
    /// Adds a piece of the body.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// The next event that is whole.
    ///
    /// # Errors
    /// When this is no stream of ours.
    pub(crate) fn next(&mut self) -> Result<Option<SseEvent>, SseError> {
        loop {
            let new = &self.bytes[self.looked_at..];
            let Some(end) = new.iter().position(|byte| *byte == b'\n') else {
                self.looked_at = self.bytes.len();
                let held = self.bytes.len() + self.event.data.len();
                return if held > EVENT_MAX_BYTES {
                    Err(SseError::TooBig)
                } else {
                    Ok(None)
                };
            };
            let line = self.bytes.split_to(self.looked_at + end + 1);
            self.looked_at = 0;
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = std::str::from_utf8(line).map_err(|_| SseError::NotUtf8)?;
            if !line.is_empty() {
                self.take(line)?;
            } else if std::mem::take(&mut self.has_data) {
                return Ok(Some(std::mem::take(&mut self.event)));
            } else {
                self.event = SseEvent::default();
            }
        }
    }

    fn take(&mut self, line: &str) -> Result<(), SseError> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.event),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments keep a connection open; our own waits take the place of `retry`.
            _ => {}
        }
        if self.event.data.len() > EVENT_MAX_BYTES {
            return Err(SseError::TooBig);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nid: c1\nevent: odds_update\ndata: {\"team\":\"Thessaåsen\"}\n\nretry: 5\n\nevent: x\r\ndata:a\r\ndata: b\r\n\r\n";

    fn read(stream: &[u8], piece: usize) -> Vec<SseEvent> {
        let mut reader = SseReader::default();
        let mut events = Vec::new();
        for piece in stream.chunks(piece) {
            reader.push(piece);
            while let Some(event) = reader.next().unwrap() {
                events.push(event);
            }
        }
        events
    }

    #[test]
    fn events_are_the_same_whatever_the_pieces_in_which_they_come() {
        let whole = read(STREAM.as_bytes(), STREAM.len());
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[0].id.as_deref(), Some("c1"));
        assert_eq!(whole[0].data, "{\"team\":\"Thessaåsen\"}");
        assert_eq!((whole[1].event.as_str(), whole[1].data.as_str()), ("x", "a\nb"));
        for piece in 1..20 {
            assert_eq!(read(STREAM.as_bytes(), piece), whole, "pieces of {piece}");
        }
    }

    #[test]
    fn a_body_without_an_end_is_given_up() {
        let mut reader = SseReader::default();
        let line = format!("data: {}\n", "x".repeat(100_000));
        let refused = (0..20).find_map(|_| {
            reader.push(line.as_bytes());
            reader.next().err()
        });
        assert_eq!(refused, Some(SseError::TooBig));
    }
}
