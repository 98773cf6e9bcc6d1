//! An event of the bus is one line of JSON that its type can be read from, or a fault on one short line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oddswire_protocol::{
    EventKey, Subjects,
    event::check_event,
    odds::{OddsConfirmed, OddsUpdate},
    progress::ScrapeProgress,
};

const SUBJECTS: [&str; 3] = [
    "oddswire.feed.odds.quote.soccer.e1.alpha.totals-h1",
    "oddswire.feed.odds.confirmed.alpha",
    "oddswire.feed.run.alpha.r1",
];

fuzz_target!(|payload: &[u8]| {
    for subject in SUBJECTS {
        let key = Subjects::default().parse(subject).expect("a subject of the contract");
        let header = |name: &str| match name {
            "ce-specversion" | "Oddswire-Attempt" => Some(if name.starts_with("ce") { "1.0" } else { "2" }),
            "ce-id" | "ce-source" => Some("x"),
            "ce-type" => Some(oddswire_protocol::event::message_type(&key).as_str()),
            "ce-time" => Some("2026-02-06T01:30:00.123Z"),
            "Oddswire-Status" => Some("running"),
            "Oddswire-Batch" => Some("b1"),
            _ => None,
        };
        match check_event(&key, header, payload) {
            Ok(_) => {
                assert!(!payload.contains(&b'\n') && !payload.contains(&b'\r'));
                let read = match key {
                    EventKey::Quote { .. } => serde_json::from_slice::<OddsUpdate>(payload).map(drop),
                    EventKey::Confirmed { .. } => serde_json::from_slice::<OddsConfirmed>(payload).map(drop),
                    EventKey::Run { .. } => serde_json::from_slice::<ScrapeProgress>(payload).map(drop),
                };
                read.expect("what passes can be read");
            }
            Err(fault) => {
                let text = fault.to_string();
                assert!(text.len() <= 4_000 && !text.contains('\n'), "{text}");
            }
        }
    }
});
