//! A client's side, as far as tests need it.

use flate2::{Compress, Compression, FlushCompress};

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

pub(crate) const LAST: u8 = 0x80;
pub(crate) const DEFLATED: u8 = 0x40;

/// A masked frame; `first` is its first byte.
pub(crate) fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let long = (payload.len() as u64).to_be_bytes();
    let mut frame = vec![first];
    match payload.len() {
        0..=125 => frame.push(0x80 | long[7]),
        126..=0xffff => {
            frame.push(0xfe);
            frame.extend(&long[6..]);
        }
        _ => {
            frame.push(0xff);
            frame.extend(long);
        }
    }
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// A frame under a mask that changes nothing.
pub(crate) fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, payload, [0; 4])
}

/// A message's payload as RFC 7692 wants it, and without a context from before.
pub(crate) fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(payload.len() + 100);
    Compress::new(Compression::fast(), false)
        .compress_vec(payload, &mut output, FlushCompress::Sync)
        .expect("raw deflate takes everything");
    let tail = output.len() - 4;
    assert_eq!(output.split_off(tail), [0, 0, 0xff, 0xff]);
    output
}

/// A payload in as many parts as there are cuts and one.
pub(crate) fn parts<'a>(payload: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (payload.len() + 1)).collect();
    cuts.sort_unstable();
    let mut parts = Vec::new();
    let mut rest = payload;
    let mut done = 0;
    for cut in cuts {
        let (part, after) = rest.split_at(cut - done);
        parts.push(part);
        (rest, done) = (after, cut);
    }
    parts.push(rest);
    parts
}
