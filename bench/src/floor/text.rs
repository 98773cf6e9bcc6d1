//! The bytes that the floor sends: as many as the gateway does.

use crate::{
    nats::{Message, header},
    wire::ws,
};
use std::io::Write;

/// What has piled up, framed for either transport.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// WebSocket frames.
    pub(super) ws: Vec<u8>,
    /// One chunk of an event stream.
    pub(super) sse: Vec<u8>,
    content: Vec<u8>,
    envelope: Vec<u8>,
}

/// As long as a gateway's ids on a connection that follows odds alone.
const ID: &str = "AQIQtm5tlAYJr36eAmsDcQ";

impl Batch {
    pub(super) fn clear(&mut self) {
        for part in [&mut self.ws, &mut self.sse, &mut self.content] {
            part.clear();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ws.is_empty()
    }

    /// Frames a message. Nothing of it is checked.
    pub(super) fn add(&mut self, message: &Message<'_>) {
        let part = |name| header(message.headers, name).unwrap_or_default();
        let event = part("ce-type");
        self.envelope.clear();
        for piece in [
            b"{\"type\":\"",
            event,
            b"\",\"timestamp\":\"",
            part("ce-time"),
            b"\",\"data\":",
            message.payload,
            b"}",
        ] {
            self.envelope.extend_from_slice(piece);
        }
        ws::put_text(&mut self.ws, self.envelope.len());
        self.ws.extend_from_slice(&self.envelope);
        for piece in [
            b"id: ",
            ID.as_bytes(),
            b"\nevent: ",
            event,
            b"\ndata: ",
            &self.envelope,
            b"\n\n",
        ] {
            self.content.extend_from_slice(piece);
        }
    }

    /// Makes one chunk of the events.
    pub(super) fn finish(&mut self) {
        // Writing to memory never fails.
        let _ = write!(self.sse, "{:x}\r\n", self.content.len());
        self.sse.extend_from_slice(&self.content);
        self.sse.extend_from_slice(b"\r\n");
    }
}

const ACK: &str =
    r#"{"type":"connection_ack","timestamp":"2026-11-22T22:49:48.370Z","data":{"conflate_ms":0}}"#;
const CAUGHT_UP: &str = r#"{"type":"caught_up","timestamp":"2026-11-22T22:49:48.370Z","data":{}}"#;

/// The handshake's answer and what clients wait for. The bench does not check the key.
pub(super) fn ws_hello() -> Vec<u8> {
    let mut out = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        .to_vec();
    for text in [ACK, CAUGHT_UP] {
        ws::put_text(&mut out, text.len());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// The same of an event stream.
pub(super) fn sse_hello() -> Vec<u8> {
    let mut out =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let content = format!("data: {ACK}\n\ndata: {CAUGHT_UP}\n\n");
    // Writing to memory never fails.
    let _ = write!(out, "{:x}\r\n{content}\r\n", content.len());
    out
}
