//! How messages look on a client's socket.

use oddswire_protocol::{
    Cursor,
    envelope::{Envelope, MessageType},
};
use oddswire_websocket::{
    Deflater,
    frame::{Header, Opcode},
};
use std::cell::RefCell;

/// The form of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// A text frame of WebSocket.
    Ws,
    /// The same, compressed where that pays.
    WsDeflated,
    /// An event of an event stream.
    Sse,
}

/// How long an EventSource waits before it comes back, in milliseconds: drawn anew each time, so that those that were cut
/// off together do not come back together. Less would send it to a gateway that is not back yet.
const RETRY_MS: std::ops::Range<u32> = 1_000..3_000;

/// How an event stream begins. It ends with its line: a blank one would be an empty message to some libraries
/// (@microsoft/fetch-event-source 2.0 has pages parse it).
pub fn greeting() -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    put_retry(&mut out);
    out
}

fn put_retry(out: &mut Vec<u8>) {
    let retry_ms = rand::random_range(RETRY_MS);
    out.extend_from_slice(format!("retry: {retry_ms}\n").as_bytes());
}

thread_local! {
    /// It keeps nothing between messages but its memory, of about 300 KiB.
    static DEFLATER: RefCell<Deflater> = RefCell::new(Deflater::new());
}

impl Form {
    /// Appends a message. On WebSocket the messages of the bus alone carry a position.
    pub fn put(self, out: &mut Vec<u8>, envelope: &Envelope, id: Option<&Cursor>) {
        match self {
            Self::Sse => put_event(out, envelope, id),
            Self::Ws | Self::WsDeflated => {
                let id = id.filter(|_| envelope.message_type().is_of_the_bus());
                put_text(out, envelope, id, self == Self::WsDeflated);
            }
        }
    }
}

fn put_event(out: &mut Vec<u8>, envelope: &Envelope, id: Option<&Cursor>) {
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.to_string().as_bytes());
        out.push(b'\n');
    }
    if envelope.message_type() == MessageType::Reconnect {
        put_retry(out);
    }
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(match envelope.message_type() {
        // "error" would fire EventSource's own handler.
        MessageType::Error => b"fault",
        other => other.as_str().as_bytes(),
    });
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(envelope.bytes());
    out.extend_from_slice(b"\n\n");
}

fn put_text(out: &mut Vec<u8>, envelope: &Envelope, id: Option<&Cursor>, deflate: bool) {
    let with_id = id.map(|id| envelope.with_id(id));
    let text = with_id.as_ref().unwrap_or(envelope.bytes());
    if deflate {
        let done = DEFLATER.with_borrow_mut(|deflater| {
            let payload = deflater.deflate(text)?;
            out.extend_from_slice(&Header::new(Opcode::Text, payload.len(), true));
            out.extend_from_slice(payload);
            Some(())
        });
        if done.is_some() {
            return;
        }
    }
    out.extend_from_slice(&Header::new(Opcode::Text, text.len(), false));
    out.extend_from_slice(text);
}
