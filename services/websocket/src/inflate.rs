//! Inflating a compressed message, RFC 7692, 7.2.2, within a limit.

use crate::{Violation, message::append};
use flate2::{Decompress, FlushDecompress, Status};
use std::cell::RefCell;

/// What a thread needs to inflate, about 50 KiB. Messages are inflated whole, so no connection holds one.
struct Inflater {
    decompress: Decompress,
    piece: Box<[u8]>,
}

/// How much is inflated before the limit is looked at again.
const PIECE_BYTES: usize = 4096;

thread_local! {
    static INFLATER: RefCell<Inflater> = RefCell::new(Inflater {
        decompress: Decompress::new(false),
        piece: vec![0; PIECE_BYTES].into(),
    });
}

/// The tail that a message goes without, and after it an empty block that says it is the last. Only where the message
/// ended between two blocks does the stream end with exactly this.
const TAIL: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// The message that `deflated` is, if it has at most `limit` bytes. Never is more memory than that taken.
pub(crate) fn inflate(deflated: &[u8], limit: usize) -> Result<Vec<u8>, Violation> {
    // Nothing at all is not a deflate stream, but there are senders for whom it is the empty message.
    if deflated.is_empty() {
        return Ok(Vec::new());
    }
    INFLATER.with_borrow_mut(|inflater| {
        let mut output = Vec::new();
        inflater.decompress.reset(false);
        inflater.feed(deflated, &mut output, limit)?;
        let ended = inflater.feed(&TAIL, &mut output, limit)?;
        if ended {
            Ok(output)
        } else {
            Err(Violation::BadDeflate)
        }
    })
}

impl Inflater {
    /// Inflates all of `input`; says whether the stream ended with its last byte. A block that says it is the last may
    /// be followed by others all the same: RFC 7692, 7.2.3.4.
    fn feed(&mut self, mut input: &[u8], output: &mut Vec<u8>, limit: usize) -> Result<bool, Violation> {
        loop {
            let before = (self.decompress.total_in(), self.decompress.total_out());
            let status = self
                .decompress
                .decompress(input, &mut self.piece, FlushDecompress::Sync)
                .map_err(|_| Violation::BadDeflate)?;
            let taken = since(before.0, self.decompress.total_in());
            let given = since(before.1, self.decompress.total_out());
            if given > limit - output.len() {
                return Err(Violation::TooLong);
            }
            append(output, &self.piece[..given], limit);
            input = &input[taken..];
            match status {
                Status::StreamEnd if input.is_empty() => return Ok(true),
                Status::StreamEnd => self.decompress.reset(false),
                // A full piece may have more behind it.
                _ if input.is_empty() && given < self.piece.len() => return Ok(false),
                _ if taken == 0 && given == 0 => return Err(Violation::BadDeflate),
                _ => {}
            }
        }
    }
}

fn since(before: u64, now: u64) -> usize {
    usize::try_from(now - before).expect("no more than a slice's length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    const LIMIT: usize = 1 << 16;

    /// A raw deflate stream up to a flush.
    fn deflated(message: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut output = Vec::with_capacity(message.len() + 1024);
        let mut compress = Compress::new(Compression::default(), false);
        compress.compress_vec(message, &mut output, flush).unwrap();
        output
    }

    fn sent(message: &[u8]) -> Vec<u8> {
        let whole = deflated(message, FlushCompress::Sync);
        whole.strip_suffix(&TAIL[..4]).unwrap().to_vec()
    }

    /// # Source
    /// RFC 7692, 7.2.3: the message "Hello" in one block, in two, stored, and in a block that says it is the last.
    #[test]
    fn the_examples_of_the_rfc_inflate() {
        for hello in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        ] {
            assert_eq!(inflate(hello, LIMIT).unwrap(), b"Hello", "{hello:x?}");
        }
        assert_eq!(inflate(&[0], LIMIT).unwrap(), b"");
        assert_eq!(inflate(&[], LIMIT).unwrap(), b"");
    }

    #[test]
    fn blocks_may_follow_one_that_says_it_is_the_last() {
        let mut stream = deflated(b"first, ", FlushCompress::Finish);
        stream.extend(sent(b"second"));
        assert_eq!(inflate(&stream, LIMIT).unwrap(), b"first, second");
    }

    #[test]
    fn the_limit_is_exact_and_keeps_a_bomb_small() {
        let message = vec![b'a'; LIMIT];
        assert_eq!(inflate(&sent(&message), LIMIT).unwrap(), message);
        assert_eq!(inflate(&sent(&message), LIMIT - 1), Err(Violation::TooLong));
        let bomb = sent(&vec![0; 8 << 20]);
        assert!(bomb.len() < LIMIT, "{}", bomb.len());
        assert_eq!(inflate(&bomb, LIMIT), Err(Violation::TooLong));
        let inflated = inflate(&sent(&message), LIMIT).unwrap();
        assert!(inflated.capacity() <= LIMIT);
    }

    #[test]
    fn what_is_cut_off_or_no_stream_is_refused() {
        let message = (0..200)
            .map(|n| format!("price {n}"))
            .collect::<Vec<_>>()
            .join("; ");
        let stream = sent(message.as_bytes());
        for len in 1..stream.len() {
            assert_eq!(
                inflate(&stream[..len], LIMIT),
                Err(Violation::BadDeflate),
                "{len}"
            );
        }
        assert_eq!(inflate(&[0xff; 8], LIMIT), Err(Violation::BadDeflate));
        assert_eq!(
            inflate(&[&stream[..], &[0xff; 8]].concat(), LIMIT),
            Err(Violation::BadDeflate)
        );
    }
}
