//! A text is one cursor, written in one way, or none. The input is a cursor's bytes without their checksum, which no
//! fuzzer guesses, and it is a text as well.
#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use oddswire_protocol::Cursor;

fn check(text: &str) {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string(), text);
    }
}

/// FNV-1a, 32 bits.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = str::from_utf8(input) {
        check(text);
    }
    let summed = [input, &checksum(input).to_be_bytes()].concat();
    check(&URL_SAFE_NO_PAD.encode(summed));
});
