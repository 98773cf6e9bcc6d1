//! The query and the `Last-Event-ID` of a stream, judged as both transports judge them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oddswire_gateway::http::fuzzing;

fuzz_target!(|input: &str| {
    // The query is the first line, the header the rest.
    let (query, last_event_id) = input.split_once('\n').unwrap_or((input, ""));
    fuzzing::judge_query(query, last_event_id.as_bytes());
});
