//! What holds for all messages, all ways to cut them, and all bytes.

use crate::{
    LIMIT,
    client::{self, BINARY, CONTINUATION, DEFLATED, LAST, PING, PONG, TEXT},
    read_pieces,
};
use oddswire_websocket::{Incoming, Limits, Reader, Violation, frame};
use proptest::{collection::vec, prelude::*};

/// A message and how it is sent.
#[derive(Debug, Clone)]
struct Sent {
    message: Incoming,
    deflated: bool,
    cuts: Vec<usize>,
    mask: [u8; 4],
    /// Sent between its frames.
    ping: Option<Vec<u8>>,
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let (opcode, payload) = match &self.message {
            Incoming::Text(text) => (TEXT, text.as_bytes()),
            Incoming::Binary(bytes) => (BINARY, &bytes[..]),
            other => panic!("{other:?} is not sent in frames"),
        };
        let payload = if self.deflated {
            client::deflated(payload)
        } else {
            payload.to_vec()
        };
        let parts = client::parts(&payload, &self.cuts);
        let mut bytes = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let mut first = if at == 0 { opcode } else { CONTINUATION };
            if at == 0 && self.deflated {
                first |= DEFLATED;
            }
            if at + 1 == parts.len() {
                first |= LAST;
            }
            if let (Some(ping), 1) = (&self.ping, at) {
                bytes.extend(client::frame(LAST | PING, ping, self.mask));
                bytes.extend(client::frame(LAST | PONG, b"", self.mask));
            }
            bytes.extend(client::frame(first, part, self.mask));
        }
        bytes
    }

    fn expected(&self) -> Vec<Incoming> {
        let ping = self.ping.clone().filter(|_| !self.cuts.is_empty());
        let control = ping.map(|ping| [Incoming::Ping(ping), Incoming::Pong(Vec::new())]);
        let mut expected: Vec<Incoming> = control.into_iter().flatten().collect();
        expected.push(self.message.clone());
        expected
    }
}

fn message() -> impl Strategy<Value = Incoming> {
    prop_oneof![
        "[a-z0-9{}:,\"ü€😀]{0,300}".prop_map(Incoming::Text),
        vec(any::<u8>(), 0..600).prop_map(Incoming::Binary),
        (any::<u8>(), 0..=LIMIT).prop_map(|(byte, len)| Incoming::Binary(vec![byte; len])),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let ping = prop::option::of(vec(any::<u8>(), 0..=125));
    (
        message(),
        any::<bool>(),
        vec(any::<usize>(), 0..5),
        any::<[u8; 4]>(),
        ping,
    )
        .prop_map(|(message, deflated, cuts, mask, ping)| Sent {
            message,
            deflated,
            cuts,
            mask,
            ping,
        })
}

/// How many leading bytes show that this is no UTF-8, if they do.
fn shown_to_be_no_text(bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len()).find(|end| str::from_utf8(&bytes[..*end]).is_err_and(|e| e.error_len().is_some()))
}

proptest! {
    #[test]
    fn messages_arrive_however_they_are_cut(sent in vec(sent(), 1..4), piece in 1..700usize) {
        let bytes: Vec<u8> = sent.iter().flat_map(Sent::bytes).collect();
        let expected: Vec<Incoming> = sent.iter().flat_map(Sent::expected).collect();
        prop_assert_eq!(read_pieces([&bytes[..]], true), (expected.clone(), None));
        prop_assert_eq!(read_pieces(bytes.chunks(piece), true), (expected, None));
    }

    #[test]
    fn any_bytes_are_read_alike_in_any_pieces(bytes in vec(any::<u8>(), 0..300), deflate: bool, piece in 1..40usize) {
        let whole = read_pieces([&bytes[..]], deflate);
        prop_assert_eq!(read_pieces(bytes.chunks(piece), deflate), whole);
    }

    #[test]
    fn any_deflated_payload_is_within_the_limit_or_refused(payload in vec(any::<u8>(), 0..200)) {
        let bytes = client::plain(LAST | DEFLATED | BINARY, &payload);
        match read_pieces([&bytes[..]], true) {
            (incoming, None) => prop_assert!(
                matches!(&incoming[..], [Incoming::Binary(bytes)] if bytes.len() <= LIMIT)
            ),
            (_, Some(violation)) => prop_assert!(
                [Violation::BadDeflate, Violation::TooLong].contains(&violation)
            ),
        }
    }

    #[test]
    fn a_text_is_refused_at_the_byte_that_shows_it_is_none(
        bytes in prop_oneof![vec(any::<u8>(), 1..20), vec(0x80..=0xf5_u8, 1..8), vec(0xe0..=0xf5_u8, 1..3)],
        prefix in "[aü€😀]{0,9}",
        cut: usize,
    ) {
        let payload = [prefix.as_bytes(), &bytes].concat();
        let refused = shown_to_be_no_text(&payload);
        let parts = client::parts(&payload, &[cut]);
        let frames = [client::plain(TEXT, parts[0]), client::plain(CONTINUATION, parts[1])];
        let mut reader = Reader::new(Limits { message_bytes: LIMIT }, false);
        let mut payload_read = 0;
        let mut refused_at = None;
        for (at, byte) in frames.iter().flat_map(|frame| frame.iter().enumerate()) {
            // Two bytes of length and four of mask come first.
            payload_read += usize::from(at >= 6);
            if reader.read(&[*byte]).is_err() {
                refused_at = Some(payload_read);
                break;
            }
        }
        prop_assert_eq!(refused_at, refused);
    }

    #[test]
    fn a_servers_text_is_read_by_the_header_it_has(text in "[a-zü€]{0,400}") {
        let built = frame::text(&text);
        let header = frame::Header::new(frame::Opcode::Text, text.len(), false);
        prop_assert_eq!([&header, text.as_bytes()].concat(), &built[..]);
    }
}
