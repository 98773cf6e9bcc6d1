//! Someone who may write to the feeds and writes what is no event: gateways count it, and show it to nobody.

use oddswire_kit::{bus::Bus, publish::Publication};
use oddswire_protocol::RunId;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Subject, headers and payload.
type Forgery = (String, Vec<(&'static str, String)>, Vec<u8>);

/// What is forged; none of it is what the contract says.
fn forgeries(bus: &Bus) -> Vec<Forgery> {
    let feed = |tail: &str| format!("{}.feed.{tail}", bus.subjects().prefix());
    let kind = |kind: &str| {
        vec![
            ("ce-type", kind.to_owned()),
            ("ce-time", "2026-02-06T01:30:00.123Z".to_owned()),
        ]
    };
    vec![
        (feed("run.alpha.no-run-id"), Vec::new(), b"{}".to_vec()),
        (feed("run.alpha.forged"), kind("odds_update"), b"{}".to_vec()),
        (feed("run.ALPHA.%2e%2e"), kind("scrape_progress"), b"{}".to_vec()),
        (
            feed("run.alpha.forged.and.longer"),
            kind("scrape_progress"),
            b"{}".to_vec(),
        ),
        (
            feed("run.alpha.forged"),
            kind("scrape_progress"),
            b"not json".to_vec(),
        ),
        (
            feed("run.alpha.forged"),
            kind("scrape_progress"),
            b"[1,2]".to_vec(),
        ),
        (
            feed("run.alpha.forged"),
            kind("scrape_progress"),
            b"{\"a\":1}\n{\"b\":2}".to_vec(),
        ),
        (
            feed("run.alpha.forged"),
            kind("scrape_progress"),
            vec![0xff, 0xfe, b'{', b'}'],
        ),
        (feed("run.alpha.forged"), kind("connection_ack"), b"{}".to_vec()),
        (feed("odds.quote.soccer"), kind("odds_update"), b"{}".to_vec()),
        (
            feed("odds.confirmed.alpha.more"),
            kind("odds_confirmed"),
            b"{}".to_vec(),
        ),
        (
            feed("odds.quote.soccer.e9.alpha.h2h-ft"),
            kind("odds_update"),
            vec![b'x'; 70_000],
        ),
    ]
}

/// Publishes them again and again until it is stopped.
pub(super) async fn run(bus: Bus, stop: CancellationToken) {
    while !stop.is_cancelled() {
        for (subject, headers, payload) in forgeries(&bus) {
            let message = Publication {
                headers,
                ..Publication::new(subject, RunId::new().to_string(), payload.into())
            };
            // Some of them the server refuses.
            let _ = bus.publish(&message, &stop).await;
            sleep(Duration::from_millis(40)).await;
        }
    }
}
