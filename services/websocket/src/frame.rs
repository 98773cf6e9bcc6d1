//! The frames of a server: whole messages without a mask, the same bytes for every client.

use crate::close::REASON_MAX_BYTES;
use bytes::{BufMut as _, Bytes, BytesMut};
use std::ops::Deref;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message before it.
    Continuation = 0x0,
    /// UTF-8.
    Text = 0x1,
    /// Bytes.
    Binary = 0x2,
    /// The last frame of a side.
    Close = 0x8,
    /// Asks for a pong with the same payload.
    Ping = 0x9,
    /// Answers a ping, or nothing.
    Pong = 0xa,
}

impl Opcode {
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        [
            Self::Continuation,
            Self::Text,
            Self::Binary,
            Self::Close,
            Self::Ping,
            Self::Pong,
        ]
        .into_iter()
        .find(|opcode| *opcode as u8 == bits)
    }

    pub(crate) fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// What a server writes before a payload: 2, 4 or 10 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; Self::MAX_BYTES],
    len: u8,
}

impl Header {
    /// The longest header.
    pub const MAX_BYTES: usize = 10;

    /// Of a message in one frame. `deflated` says that the payload comes from a [`crate::Deflater`]; only text and
    /// binary can be.
    pub fn new(opcode: Opcode, payload_len: usize, deflated: bool) -> Self {
        let mut bytes = [0; Self::MAX_BYTES];
        bytes[0] = 0x80 | (u8::from(deflated) << 6) | opcode as u8;
        let long = (payload_len as u64).to_be_bytes();
        let len = match payload_len {
            0..=125 => {
                bytes[1] = long[7];
                2
            }
            126..=0xffff => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&long[6..]);
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&long);
                10
            }
        };
        Self { bytes, len }
    }
}

impl Deref for Header {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A text message. That it is UTF-8 is the caller's word: a client ends the connection over one that is not.
pub fn text(payload: impl AsRef<[u8]>) -> Bytes {
    whole(Opcode::Text, payload.as_ref(), false)
}

/// A binary message.
pub fn binary(payload: &[u8]) -> Bytes {
    whole(Opcode::Binary, payload, false)
}

/// A ping; a payload beyond 125 bytes is cut off.
pub fn ping(payload: &[u8]) -> Bytes {
    whole(Opcode::Ping, control(payload), false)
}

/// A pong; a payload beyond 125 bytes is cut off, which that of a ping never is.
pub fn pong(payload: &[u8]) -> Bytes {
    whole(Opcode::Pong, control(payload), false)
}

/// A close frame; a reason beyond 123 bytes is cut off between two characters.
pub fn close(code: u16, reason: &str) -> Bytes {
    let fits = |end: &usize| reason.is_char_boundary(*end);
    let end = (0..=REASON_MAX_BYTES.min(reason.len())).rev().find(fits);
    let reason = &reason[..end.unwrap_or(0)];
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    whole(Opcode::Close, &payload, false)
}

/// A close frame that says nothing, the answer to one that said nothing.
pub fn empty_close() -> Bytes {
    Bytes::from_static(&[0x88, 0])
}

/// The longest payload of a control frame in bytes.
const CONTROL_MAX_BYTES: usize = 125;

fn control(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(CONTROL_MAX_BYTES)]
}

pub(crate) fn whole(opcode: Opcode, payload: &[u8], deflated: bool) -> Bytes {
    let header = Header::new(opcode, payload.len(), deflated);
    let mut frame = BytesMut::with_capacity(header.len() + payload.len());
    frame.put_slice(&header);
    frame.put_slice(payload);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_their_shortest_form() {
        for (len, header) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (0xffff, &[0x82, 126, 0xff, 0xff]),
            (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            assert_eq!(&*Header::new(Opcode::Binary, len, false), header);
        }
    }

    #[test]
    fn a_frame_is_its_header_and_its_payload() {
        assert_eq!(text("Hello"), &b"\x81\x05Hello"[..]);
        assert_eq!(binary(b"\x00"), &b"\x82\x01\x00"[..]);
        assert_eq!(ping(b"p"), &b"\x89\x01p"[..]);
        assert_eq!(pong(b"p"), &b"\x8a\x01p"[..]);
        assert_eq!(close(1000, "bye"), &b"\x88\x05\x03\xe8bye"[..]);
        assert_eq!(Header::new(Opcode::Text, 7, true)[0], 0xc1);
    }

    #[test]
    fn control_frames_never_exceed_125_bytes() {
        assert_eq!(ping(&[7; 200]).len(), 2 + 125);
        // 123 bytes end within the 62nd character.
        assert_eq!(close(1011, &"ü".repeat(100)).len(), 2 + 2 + 122);
    }
}
