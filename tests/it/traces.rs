//! One trace from the request that asks for a run, over its job, to each event that the run publishes.

use crate::{
    harness::{until, within},
    truth::Pair,
};
use oddswire_kit::log::Stored;
use oddswire_protocol::{RunId, api::Started, header::TRACEPARENT};
use std::collections::BTreeSet;

const ASKED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn start(pair: &Pair, source: &str, traceparent: &str) -> RunId {
    let asked = reqwest::Client::new()
        .post(pair.gateway.url("/api/scrapes"))
        .header("content-type", "application/json")
        .header("traceparent", traceparent)
        .body(format!(r#"{{"sources":["{source}"]}}"#))
        .send();
    let answer = within("the answer", asked).await.unwrap().bytes().await.unwrap();
    let started: Started = serde_json::from_slice(&answer).unwrap();
    started.runs[0].run_id.clone()
}

async fn all_of(pair: &Pair, stream: &str) -> Vec<Stored> {
    let bus = &pair.world.bus;
    let mut read = bus.read(stream, ">".to_owned(), 1, u64::MAX);
    let mut found = Vec::new();
    while let Some(page) = read.next_page().await.unwrap() {
        found.extend(page);
    }
    found
}

fn is_of(message: &Stored, run_id: &RunId) -> bool {
    let id = message.header("ce-id").unwrap_or_default();
    id.starts_with(run_id.as_str())
}

/// The `traceparent` of every event of a run that is over, of its progress and of its odds.
async fn traces(pair: &Pair, run_id: &RunId) -> Vec<String> {
    let names = pair.world.bus.names();
    until("the end of the run", async || {
        let runs = all_of(pair, &names.runs).await;
        let ended = |m: &Stored| is_of(m, run_id) && m.header("Oddswire-Status") == Some("completed");
        runs.iter().any(ended)
    })
    .await;
    let (runs, odds) = (all_of(pair, &names.runs).await, all_of(pair, &names.odds).await);
    assert!(odds.iter().any(|message| is_of(message, run_id)));
    let of_run = runs.iter().chain(&odds).filter(|message| is_of(message, run_id));
    of_run
        .map(|message| message.header(TRACEPARENT).unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_a_run_is_of_the_trace_of_the_request_that_asked_for_it() {
    let pair = Pair::new().await;
    let asked = start(&pair, "alpha", ASKED).await;
    let seen = traces(&pair, &asked).await;
    assert!(seen.len() > 3);
    assert!(
        seen.iter().all(|trace| trace.starts_with(&ASKED[..36])),
        "{seen:?}"
    );
    // Each is a span of its own, and none the request's.
    let spans: BTreeSet<&str> = seen.iter().map(|trace| &trace[36..52]).collect();
    assert_eq!(spans.len(), seen.len());
    assert!(!spans.contains(&ASKED[36..52]));

    // Without a trace that can be read there is one nevertheless: the run's own.
    let unasked = start(&pair, "bravo", "nonsense").await;
    let own = format!("00-{}-", unasked.as_str().replace('-', ""));
    let seen = traces(&pair, &unasked).await;
    assert!(seen.iter().all(|trace| trace.starts_with(&own)), "{seen:?}");
}
