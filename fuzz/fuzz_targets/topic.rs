//! A text is one topic, written in one way, or an error that is short enough to be sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oddswire_protocol::Topic;

fuzz_target!(|text: &str| {
    match text.parse::<Topic>() {
        Ok(topic) => {
            assert_eq!(topic.to_string(), text);
            assert!(topic.filters().iter().all(|filter| !filter.contains(' ')));
        }
        Err(error) => assert!(error.to_string().chars().count() <= 2_000),
    }
});
