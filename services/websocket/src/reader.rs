//! Reading what a client sends.

use crate::{
    CloseReason, Violation, close,
    frame::Opcode,
    head::{Head, PartialHead},
    mask::unmask,
    message::{Message, append},
};

/// Takes the bytes of one client apart, in whatever pieces they come.
///
/// Idle, it owns no memory but itself. In the middle of a message it holds what has come of it, and no more than the
/// limit; in the middle of a control frame, at most 125 bytes.
///
/// ```
/// use oddswire_websocket::{Incoming, Limits, Reader};
///
/// let mut reader = Reader::new(Limits { message_bytes: 1024 }, false);
/// let mut received = &b"\x81\x82\0\0\0\0hi\x89\x80\0\0\0\0"[..];
/// let mut incoming = Vec::new();
/// while !received.is_empty() {
///     let (taken, message) = reader.read(received)?;
///     received = &received[taken..];
///     incoming.extend(message);
/// }
/// assert_eq!(incoming, [Incoming::Text("hi".into()), Incoming::Ping(Vec::new())]);
/// # Ok::<(), oddswire_websocket::Violation>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    state: State,
    /// The message whose last frame has not come.
    message: Option<Box<Message>>,
    /// The payload of a control frame.
    control: Vec<u8>,
    /// Whether compressed messages were agreed on.
    deflate: bool,
}

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest message in bytes, inflated.
    pub message_bytes: usize,
}

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// Wants a pong with the same payload, of at most 125 bytes.
    Ping(Vec<u8>),
    /// Answers a ping, or nothing.
    Pong(Vec<u8>),
    /// Nothing comes after it. It wants a close frame back: with the same code, or empty if it says nothing.
    Close(Option<CloseReason>),
}

#[derive(Debug)]
enum State {
    Head(PartialHead),
    Payload {
        head: Head,
        taken: u64,
    },
    /// After a close frame or a violation.
    Ended,
}

impl Reader {
    /// At the start of a connection, behind the handshake. `deflate` says whether permessage-deflate was agreed on.
    pub fn new(limits: Limits, deflate: bool) -> Self {
        Self {
            limits,
            state: State::Head(PartialHead::default()),
            message: None,
            control: Vec::new(),
            deflate,
        }
    }

    /// Takes bytes up to the end of a message or of `bytes`, and says how many; at least one if there is one. Call it
    /// again with the rest until nothing is left.
    ///
    /// After a close frame and after a violation everything is taken and nothing comes of it.
    ///
    /// # Errors
    /// The client broke the protocol: answer with [`Violation::code`] and end the connection.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<Incoming>), Violation> {
        let result = self.read_on(bytes);
        let is_over = matches!(result, Err(_) | Ok((_, Some(Incoming::Close(_)))));
        if is_over {
            *self = Self::new(self.limits, self.deflate);
            self.state = State::Ended;
        }
        result
    }

    /// How many bytes of memory it holds for what has not all come.
    pub fn held_bytes(&self) -> usize {
        self.control.capacity() + self.message.as_ref().map_or(0, |message| message.held_bytes())
    }

    /// Whether it stands between two messages, and so holds no memory.
    pub fn is_idle(&self) -> bool {
        self.message.is_none() && !matches!(self.state, State::Payload { .. })
    }

    fn read_on(&mut self, bytes: &[u8]) -> Result<(usize, Option<Incoming>), Violation> {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            match &mut self.state {
                State::Ended => return Ok((bytes.len(), None)),
                State::Head(partial) => {
                    let (count, head) = partial.read(rest)?;
                    taken += count;
                    let Some(head) = head else {
                        return Ok((taken, None));
                    };
                    self.begin(&head)?;
                    self.state = State::Payload { head, taken: 0 };
                }
                State::Payload { head, taken: before } => {
                    let (head, before) = (*head, *before);
                    let rest = &rest[..shorter(rest.len(), head.payload_len - before)];
                    self.push(&head, before, rest)?;
                    taken += rest.len();
                    let now = before + rest.len() as u64;
                    if now < head.payload_len {
                        self.state = State::Payload { head, taken: now };
                        return Ok((taken, None));
                    }
                    self.state = State::Head(PartialHead::default());
                    if let Some(incoming) = self.end(&head)? {
                        return Ok((taken, Some(incoming)));
                    }
                }
            }
        }
    }

    /// Judges a frame by its head, before anything is stored.
    fn begin(&mut self, head: &Head) -> Result<(), Violation> {
        if head.opcode.is_control() {
            return Ok(());
        }
        let is_first = head.opcode != Opcode::Continuation;
        // Only the first frame of a message says that it is compressed.
        if head.deflated && !(is_first && self.deflate) {
            return Err(Violation::ReservedBit);
        }
        match (is_first, self.message.is_some()) {
            (true, true) => return Err(Violation::UnfinishedMessage),
            (false, false) => return Err(Violation::StrayContinuation),
            _ => {}
        }
        let message = self
            .message
            .get_or_insert_with(|| Box::new(Message::new(head.opcode, head.deflated)));
        message.admit(head.payload_len, self.limits.message_bytes)
    }

    fn push(&mut self, head: &Head, before: u64, bytes: &[u8]) -> Result<(), Violation> {
        let offset = usize::from(before.to_le_bytes()[0] % 4);
        match &mut self.message {
            Some(message) if !head.opcode.is_control() => {
                let off = |bytes: &mut [u8]| unmask(bytes, head.mask, offset);
                message.push(bytes, off, self.limits.message_bytes)
            }
            _ => {
                let start = self.control.len();
                append(&mut self.control, bytes, shorter(usize::MAX, head.payload_len));
                unmask(&mut self.control[start..], head.mask, offset);
                Ok(())
            }
        }
    }

    fn end(&mut self, head: &Head) -> Result<Option<Incoming>, Violation> {
        match head.opcode {
            Opcode::Ping => Ok(Some(Incoming::Ping(std::mem::take(&mut self.control)))),
            Opcode::Pong => Ok(Some(Incoming::Pong(std::mem::take(&mut self.control)))),
            Opcode::Close => close::parse(&self.control).map(|close| Some(Incoming::Close(close))),
            _ if !head.last => Ok(None),
            _ => self
                .message
                .take()
                .map(|message| message.finish(self.limits.message_bytes))
                .transpose(),
        }
    }
}

/// The shorter of two lengths.
fn shorter(len: usize, other: u64) -> usize {
    usize::try_from(other).map_or(len, |other| other.min(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_reader_is_small_and_owns_nothing() {
        assert!(size_of::<Reader>() <= 80, "{}", size_of::<Reader>());
        let mut reader = Reader::new(Limits { message_bytes: 100 }, true);
        assert!(reader.is_idle());
        reader.read(b"\x01\x82\0\0\0\0hi").unwrap();
        assert!(!reader.is_idle());
        reader.read(b"\x80\x82\0\0\0\0ho").unwrap();
        assert!(reader.is_idle() && reader.message.is_none());
        assert_eq!(reader.control.capacity(), 0);
    }

    #[test]
    fn a_declared_length_takes_no_memory() {
        let limits = Limits {
            message_bytes: 1 << 30,
        };
        let mut reader = Reader::new(limits, false);
        reader.read(b"\x82\xff\0\0\0\0\x40\0\0\0\0\0\0\0half").unwrap();
        let held = format!("{:?}", reader.message);
        assert!(held.contains("bytes: [104, 97, 108, 102]"), "{held}");
    }

    #[test]
    fn after_the_end_nothing_comes() {
        let mut reader = Reader::new(Limits { message_bytes: 100 }, false);
        let close = b"\x88\x80\0\0\0\0";
        assert_eq!(reader.read(close), Ok((6, Some(Incoming::Close(None)))));
        assert_eq!(reader.read(b"\x89\x80\0\0\0\0"), Ok((6, None)));
        let mut reader = Reader::new(Limits { message_bytes: 100 }, false);
        assert_eq!(reader.read(b"\x81\x00"), Err(Violation::Unmasked));
        assert_eq!(reader.read(close), Ok((6, None)));
    }
}
