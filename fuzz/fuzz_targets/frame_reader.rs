//! A client's bytes after the handshake: whatever they are, nothing panics, no message exceeds the limit, and the
//! pieces in which they come make no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oddswire_websocket::{Incoming, Limits, Reader, Violation};

const LIMITS: Limits = Limits { message_bytes: 512 };

/// What came of a connection.
type Outcome = (Vec<Incoming>, Option<Violation>);

fn read(bytes: &[u8], deflate: bool, piece: usize) -> Outcome {
    let mut reader = Reader::new(LIMITS, deflate);
    let mut incoming = Vec::new();
    for mut piece in bytes.chunks(piece.max(1)) {
        while !piece.is_empty() {
            match reader.read(piece) {
                Ok((taken, message)) => {
                    assert!(taken > 0, "it makes no progress");
                    piece = &piece[taken..];
                    incoming.extend(message);
                }
                Err(violation) => return (incoming, Some(violation)),
            }
        }
    }
    (incoming, None)
}

fn len(incoming: &Incoming) -> usize {
    match incoming {
        Incoming::Text(text) => text.len(),
        Incoming::Binary(bytes) | Incoming::Ping(bytes) | Incoming::Pong(bytes) => bytes.len(),
        Incoming::Close(close) => close.as_ref().map_or(0, |close| close.reason.len()),
    }
}

fuzz_target!(|input: &[u8]| {
    // Whether compression was agreed on, the length of the pieces, what is sent.
    let [deflate, piece, bytes @ ..] = input else {
        return;
    };
    let deflate = *deflate == b'd';
    let whole = read(bytes, deflate, bytes.len());
    assert!(
        whole
            .0
            .iter()
            .all(|incoming| len(incoming) <= LIMITS.message_bytes)
    );
    assert_eq!(read(bytes, deflate, usize::from(*piece)), whole);
});
