//! Event streams: the chunks that they come in, and the events in them.

use std::ops::Range;

/// Takes the chunk framing out of a body, whatever the pieces in which it comes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chunks {
    /// There is none: the body ends with the connection.
    Plain,
    /// In the line before a chunk, with the digits so far.
    Size(usize),
    /// Behind the digits.
    Extension(usize),
    /// In a chunk, with the bytes that are still to come.
    Data(usize),
    /// In the line break behind a chunk.
    Break,
    /// Behind the last chunk.
    End,
}

impl Chunks {
    /// Takes a piece of a body and leaves its content at the front; gives the content's length.
    pub(crate) fn unwrap(&mut self, bytes: &mut [u8]) -> usize {
        let (mut read, mut written) = (0, 0);
        while read < bytes.len() {
            let byte = bytes[read];
            match *self {
                Self::Plain => return bytes.len(),
                Self::End => return written,
                Self::Data(left) => {
                    let taken = left.min(bytes.len() - read);
                    bytes.copy_within(read..read + taken, written);
                    read += taken;
                    written += taken;
                    *self = if taken == left {
                        Self::Break
                    } else {
                        Self::Data(left - taken)
                    };
                    continue;
                }
                Self::Break if byte == b'\n' => *self = Self::Size(0),
                Self::Size(0) | Self::Extension(0) if byte == b'\n' => *self = Self::End,
                Self::Size(size) | Self::Extension(size) if byte == b'\n' => *self = Self::Data(size),
                Self::Size(size) => {
                    *self = match char::from(byte).to_digit(16) {
                        Some(digit) => Self::Size(size * 16 + digit as usize),
                        None => Self::Extension(size),
                    };
                }
                Self::Break | Self::Extension(_) => {}
            }
            read += 1;
        }
        written
    }
}

/// The first event of `bytes`: its length with the empty line, and where its data is. `None` while it is not whole.
pub(crate) fn event(bytes: &[u8]) -> Option<(usize, Option<Range<usize>>)> {
    const DATA: &[u8] = b"data: ";
    let end = memchr::memmem::find(bytes, b"\n\n")?;
    let block = &bytes[..end];
    let data = memchr::memmem::find(block, DATA)
        .filter(|at| *at == 0 || block[at - 1] == b'\n')
        .map(|at| {
            let begin = at + DATA.len();
            let length = memchr::memchr(b'\n', &block[begin..]);
            begin..length.map_or(end, |length| begin + length)
        });
    Some((end + 2, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"3\r\n:\n\n\r\n1C;x=y\r\nid: A\nevent: odds\ndata: {}\n\n\r\n0\r\n\r\n";
    const CONTENT: &[u8] = b":\n\nid: A\nevent: odds\ndata: {}\n\n";

    #[test]
    fn chunks_come_out_whole_however_they_are_cut() {
        for cut in 1..BODY.len() {
            let mut chunks = Chunks::Size(0);
            let mut content = Vec::new();
            for piece in BODY.chunks(cut) {
                let mut piece = piece.to_vec();
                let length = chunks.unwrap(&mut piece);
                content.extend_from_slice(&piece[..length]);
            }
            assert_eq!(content, CONTENT, "cut every {cut}");
            assert!(matches!(chunks, Chunks::End));
        }
    }

    #[test]
    fn a_body_without_chunks_stays_as_it_is() {
        let mut content = CONTENT.to_vec();
        assert_eq!(Chunks::Plain.unwrap(&mut content), CONTENT.len());
        assert_eq!(content, CONTENT);
    }

    #[test]
    fn events_and_comments_are_told_apart() {
        assert_eq!(event(CONTENT), Some((3, None)));
        let (length, data) = event(&CONTENT[3..]).unwrap();
        assert_eq!(
            (length, &CONTENT[3..][data.unwrap()]),
            (CONTENT.len() - 3, &b"{}"[..])
        );
        assert_eq!(event(&CONTENT[3..CONTENT.len() - 1]), None);
        // A value that only looks like a field.
        assert_eq!(event(b"id: data: x\n\n"), Some((13, None)));
    }
}
