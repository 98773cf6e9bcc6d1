//! Each way to break the protocol by its name.

use crate::{
    LIMIT,
    client::{BINARY, CLOSE, CONTINUATION, DEFLATED, LAST, PING, TEXT, deflated, plain},
    read_pieces,
};
use oddswire_websocket::{CloseReason, Incoming, Violation};

/// What is wrong with these bytes; `None` if nothing is.
fn violation(bytes: &[u8], deflate: bool) -> Option<Violation> {
    let (_, whole) = read_pieces([bytes], deflate);
    let (_, dripped) = read_pieces(bytes.chunks(1), deflate);
    assert_eq!(whole, dripped);
    whole
}

fn plain_violation(frames: &[Vec<u8>]) -> Option<Violation> {
    violation(&frames.concat(), false)
}

#[test]
fn reserved_bits_and_opcodes_are_refused() {
    for bit in [0x10, 0x20, 0x40] {
        let frame = plain(LAST | bit | TEXT, b"");
        assert_eq!(plain_violation(&[frame]), Some(Violation::ReservedBit));
    }
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        let frame = plain(LAST | opcode, b"");
        assert_eq!(plain_violation(&[frame]), Some(Violation::ReservedOpcode));
    }
}

#[test]
fn compression_is_for_the_first_frame_of_a_message_where_it_was_agreed_on() {
    let hello = deflated(b"hello");
    let frame = plain(LAST | DEFLATED | TEXT, &hello);
    assert_eq!(violation(&frame, true), None);
    assert_eq!(violation(&frame, false), Some(Violation::ReservedBit));
    let ping = plain(LAST | DEFLATED | PING, b"");
    assert_eq!(violation(&ping, true), Some(Violation::ReservedBit));
    let late = [
        plain(DEFLATED | TEXT, &hello[..2]),
        plain(LAST | DEFLATED | CONTINUATION, &hello[2..]),
    ];
    assert_eq!(violation(&late.concat(), true), Some(Violation::ReservedBit));
}

#[test]
fn frames_out_of_order_are_refused() {
    let stray = plain(LAST | CONTINUATION, b"");
    assert_eq!(plain_violation(&[stray]), Some(Violation::StrayContinuation));
    let second = [plain(TEXT, b"a"), plain(LAST | TEXT, b"b")];
    assert_eq!(plain_violation(&second), Some(Violation::UnfinishedMessage));
    let after = [plain(LAST | TEXT, b"a"), plain(LAST | CONTINUATION, b"b")];
    assert_eq!(plain_violation(&after), Some(Violation::StrayContinuation));
}

#[test]
fn control_frames_are_short_and_whole() {
    assert_eq!(plain_violation(&[plain(LAST | PING, &[0; 125])]), None);
    let long = plain(LAST | PING, &[0; 126]);
    assert_eq!(plain_violation(&[long]), Some(Violation::LongControl));
    let part = plain(PING, b"");
    assert_eq!(plain_violation(&[part]), Some(Violation::FragmentedControl));
}

#[test]
fn a_frame_without_a_mask_is_refused() {
    assert_eq!(violation(b"\x81\x02hi", false), Some(Violation::Unmasked));
}

#[test]
fn a_length_has_its_shortest_form() {
    let long = b"\x81\xfe\x00\x02\0\0\0\0hi";
    assert_eq!(violation(long, false), Some(Violation::BadLength));
}

#[test]
fn what_is_no_text_is_refused_before_its_end() {
    let unfinished = plain(TEXT, b"good \xce\xba\xe1\xbd\xb9\xed\xa0\x80");
    assert_eq!(plain_violation(&[unfinished]), Some(Violation::NotUtf8));
    let cut = [plain(TEXT, &"€".as_bytes()[..2]), plain(LAST | CONTINUATION, b"")];
    assert_eq!(plain_violation(&cut), Some(Violation::NotUtf8));
    let hidden = plain(LAST | DEFLATED | TEXT, &deflated(b"\xff"));
    assert_eq!(violation(&hidden, true), Some(Violation::NotUtf8));
}

#[test]
fn the_limit_counts_the_message_inflated_and_all_its_frames() {
    assert_eq!(plain_violation(&[plain(LAST | BINARY, &[7; LIMIT])]), None);
    // The head alone is enough.
    let head = &plain(LAST | BINARY, &[7; LIMIT + 1])[..8];
    assert_eq!(violation(head, false), Some(Violation::TooLong));
    let frames = [
        plain(BINARY, &[7; LIMIT]),
        plain(CONTINUATION, b""),
        plain(LAST | CONTINUATION, b"7"),
    ];
    assert_eq!(plain_violation(&frames), Some(Violation::TooLong));
    let exact = plain(LAST | DEFLATED | BINARY, &deflated(&[7; LIMIT]));
    assert_eq!(violation(&exact, true), None);
    let over = plain(LAST | DEFLATED | BINARY, &deflated(&[7; LIMIT + 1]));
    assert_eq!(violation(&over, true), Some(Violation::TooLong));
    let endless = plain(LAST | DEFLATED | BINARY, &[0; 2 * LIMIT]);
    assert_eq!(violation(&endless[..8], true), Some(Violation::TooLong));
}

#[test]
fn what_does_not_inflate_is_refused() {
    let hello = deflated(b"hello, hello, hello");
    let cut = plain(LAST | DEFLATED | TEXT, &hello[..hello.len() - 3]);
    assert_eq!(violation(&cut, true), Some(Violation::BadDeflate));
}

#[test]
fn a_close_frame_says_something_that_may_be_said_or_nothing() {
    for (payload, expected) in [
        (&b""[..], None),
        (b"\x03\xe8", None),
        (b"\x03", Some(Violation::BadClose)),
        (b"\x03\xed", Some(Violation::BadClose)),
        (b"\x07\xd0", Some(Violation::BadClose)),
        (b"\x03\xe8\xff", Some(Violation::NotUtf8)),
    ] {
        assert_eq!(
            plain_violation(&[plain(LAST | CLOSE, payload)]),
            expected,
            "{payload:?}"
        );
    }
}

#[test]
fn nothing_comes_after_a_close_frame_even_in_mid_message() {
    let bytes = [
        plain(TEXT, b"half a "),
        plain(LAST | CLOSE, b"\x03\xe9leaving"),
        plain(LAST | CONTINUATION, b"message"),
    ]
    .concat();
    let leaving = CloseReason {
        code: 1001,
        reason: "leaving".into(),
    };
    assert_eq!(
        read_pieces([&bytes[..]], false),
        (vec![Incoming::Close(Some(leaving))], None)
    );
}

#[test]
fn each_violation_has_its_close_code() {
    for (violation, code) in [
        (Violation::ReservedBit, 1002),
        (Violation::ReservedOpcode, 1002),
        (Violation::Unmasked, 1002),
        (Violation::BadLength, 1002),
        (Violation::FragmentedControl, 1002),
        (Violation::LongControl, 1002),
        (Violation::StrayContinuation, 1002),
        (Violation::UnfinishedMessage, 1002),
        (Violation::BadClose, 1002),
        (Violation::NotUtf8, 1007),
        (Violation::BadDeflate, 1007),
        (Violation::TooLong, 1009),
    ] {
        assert_eq!(violation.code(), code, "{violation}");
        assert!(violation.detail().len() <= 123);
    }
}
