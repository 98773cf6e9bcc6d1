//! Compressed messages, RFC 7692: each by itself, so that one frame serves every client that takes them.

use crate::frame::{self, Opcode};
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};
use std::fmt;

/// Compresses messages without a context between them. About 300 KiB: have one a thread that encodes, not one a
/// connection.
pub struct Deflater {
    compress: Compress,
    /// A little longer than the longest payload so far.
    scratch: Vec<u8>,
}

/// Level 1 saves next to nothing on 300 bytes (docs/decisions/websocket-layer.md).
const LEVEL: u32 = 6;
/// Below this a message is sent as it is: it gets hardly shorter, and fits into the same packet.
const WORTH_BYTES: usize = 128;
/// What ends a sync flush, and is left out of a message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

impl Deflater {
    /// Ready.
    pub fn new() -> Self {
        Self {
            compress: new_compress(),
            scratch: Vec::new(),
        }
    }

    /// A compressed text message; `None` when it is not worth it: it is short, or would not become shorter. That it is
    /// UTF-8 is the caller's word, as in [`frame::text`].
    pub fn text(&mut self, payload: impl AsRef<[u8]>) -> Option<Bytes> {
        let deflated = self.deflate(payload.as_ref())?;
        Some(frame::whole(Opcode::Text, deflated, true))
    }

    /// The same for bytes.
    pub fn binary(&mut self, payload: &[u8]) -> Option<Bytes> {
        let deflated = self.deflate(payload)?;
        Some(frame::whole(Opcode::Binary, deflated, true))
    }

    /// The payload of a compressed frame, to go behind a [`frame::Header`] that says so; `None` as for
    /// [`Deflater::text`].
    pub fn deflate(&mut self, payload: &[u8]) -> Option<&[u8]> {
        if payload.len() < WORTH_BYTES {
            return None;
        }
        let room = room(payload.len());
        if self.scratch.len() < room {
            self.scratch.resize(room, 0);
        }
        let output = &mut self.scratch[..room];
        self.compress.reset();
        let status = self.compress.compress(payload, output, FlushCompress::Sync);
        let written = usize::try_from(self.compress.total_out()).unwrap_or(room);
        // Room that is left is the sign that the flush came to its end.
        if !matches!(status, Ok(Status::Ok)) || written >= room {
            self.compress = new_compress();
            return None;
        }
        let deflated = output[..written].strip_suffix(&TAIL)?;
        (deflated.len() < payload.len()).then_some(deflated)
    }
}

fn new_compress() -> Compress {
    Compress::new(Compression::new(LEVEL), false)
}

/// More than a message of this length can become. There must always be enough: zlib-rs 0.6.8 does not forget output that
/// it could not give away when it is reset, and panics some messages later.
fn room(payload_len: usize) -> usize {
    payload_len + payload_len / 8 + payload_len / 64 + 64
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inflate::inflate;
    use proptest::prelude::*;

    const LIMIT: usize = 1 << 20;

    #[test]
    fn what_is_short_or_random_goes_as_it_is() {
        let mut deflater = Deflater::new();
        assert_eq!(deflater.text("a".repeat(WORTH_BYTES - 1)), None);
        let random: Vec<u8> = (0..1000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
            .collect();
        assert_eq!(deflater.binary(&random), None);
        assert!(deflater.text("a".repeat(WORTH_BYTES)).is_some());
    }

    #[test]
    fn a_message_does_not_depend_on_those_before_it() {
        let mut deflater = Deflater::new();
        let message = r#"{"type":"odds_update","source":"alpha"}"#.repeat(8);
        let first = deflater.text(&message).unwrap();
        deflater.text("something else ".repeat(50)).unwrap();
        assert_eq!(deflater.text(&message).unwrap(), first);
        assert_eq!(first[0], 0xc1);
    }

    #[test]
    fn what_cannot_be_compressed_does_no_harm_to_what_follows() {
        let mut deflater = Deflater::new();
        let mut random = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random.to_be_bytes()[0]
        })
        .take(15_000)
        .collect();
        for _ in 0..10 {
            assert_eq!(deflater.binary(&noise), None);
        }
        let text = "some words and some more words ".repeat(1000);
        let deflated = deflater.deflate(text.as_bytes()).unwrap();
        assert_eq!(inflate(deflated, LIMIT).unwrap(), text.as_bytes());
    }

    proptest! {
        #[test]
        fn what_is_deflated_inflates_to_itself(words in prop::collection::vec("[a-f]{1,9}|[0-9]{4}", 0..600)) {
            let message = words.join(" ");
            let mut deflater = Deflater::new();
            if let Some(deflated) = deflater.deflate(message.as_bytes()) {
                prop_assert!(deflated.len() < message.len());
                prop_assert_eq!(inflate(deflated, LIMIT).unwrap(), message.as_bytes());
            }
        }
    }
}
