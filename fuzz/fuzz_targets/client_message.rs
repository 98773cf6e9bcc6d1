//! A text message of a client is read or answered with an error that is short enough to be sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oddswire_protocol::client::ClientMessage;

fuzz_target!(|text: &str| {
    if let Err(error) = ClientMessage::parse(text) {
        assert!(error.detail.len() <= text.len() + 400, "{}", error.detail);
    }
});
