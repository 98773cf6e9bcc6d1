//! The reader from outside: what a client may send arrives, what it may not is named.

mod client;
mod laws;
mod violations;

use oddswire_websocket::{Incoming, Limits, Reader, Violation};

/// The limit of every reader here.
const LIMIT: usize = 4096;

/// What comes of bytes that arrive in pieces: the messages, and how it ended if it did.
fn read_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    deflate: bool,
) -> (Vec<Incoming>, Option<Violation>) {
    let mut reader = Reader::new(Limits { message_bytes: LIMIT }, deflate);
    let mut incoming = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            match reader.read(piece) {
                Ok((taken, message)) => {
                    piece = &piece[taken..];
                    incoming.extend(message);
                }
                Err(violation) => return (incoming, Some(violation)),
            }
        }
    }
    (incoming, None)
}
