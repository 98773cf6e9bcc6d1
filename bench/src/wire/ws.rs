//! WebSocket frames, as a server sends them and as a client answers a ping.

use std::ops::Range;

/// A whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// 1 text, 8 close, 9 ping, 10 pong.
    pub(crate) opcode: u8,
    /// Whether its payload is compressed.
    pub(crate) compressed: bool,
    /// Where its payload is.
    pub(crate) payload: Range<usize>,
}

/// Text.
pub(crate) const TEXT: u8 = 1;
/// The end.
pub(crate) const CLOSE: u8 = 8;
/// Are you there?
pub(crate) const PING: u8 = 9;
/// I am.
pub(crate) const PONG: u8 = 10;

/// The first frame of `bytes`; `None` while it is not whole. It ends where its payload does.
pub(crate) fn frame(bytes: &[u8]) -> Option<Frame> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    // A server's frames have no mask.
    let (length, begin): (usize, usize) = match second & 0x7f {
        126 => (
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
            4,
        ),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (usize::try_from(length).ok()?, 10)
        }
        length => (usize::from(length), 2),
    };
    let payload = begin..begin.checked_add(length)?;
    (payload.end <= bytes.len()).then_some(Frame {
        opcode: first & 0x0f,
        compressed: first & 0x40 != 0,
        payload,
    })
}

/// Puts a server's text frame behind `out`.
pub(crate) fn put_text(out: &mut Vec<u8>, length: usize) {
    out.push(0x80 | TEXT);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => out.push(short),
        (_, Ok(middle)) => {
            out.push(126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// A client's pong, masked with zeros: the mask protects proxies, and there is none here.
pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len().min(125)).unwrap_or(125);
    let mut out = vec![0x80 | PONG, 0x80 | length, 0, 0, 0, 0];
    out.extend_from_slice(&payload[..usize::from(length)]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_each_length_are_found_when_they_are_whole() {
        for length in [0, 1, 125, 126, 300, 65_535, 65_536] {
            let mut bytes = Vec::new();
            put_text(&mut bytes, length);
            let begin = bytes.len();
            bytes.resize(begin + length, b'x');
            for cut in [0, 1, begin.saturating_sub(1), bytes.len() - 1] {
                assert_eq!(frame(&bytes[..cut]), None, "{length} cut at {cut}");
            }
            bytes.push(0x88); // the next one begins
            let found = frame(&bytes).unwrap();
            assert_eq!((found.opcode, found.payload), (TEXT, begin..begin + length));
        }
    }

    #[test]
    fn a_compressed_frame_says_so() {
        let found = frame(&[0xc1, 2, 1, 2]).unwrap();
        assert!(found.compressed);
    }

    #[test]
    fn a_pong_is_masked_and_short() {
        assert_eq!(pong(b"hi"), [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(pong(&[0; 200]).len(), 6 + 125);
    }
}
