use super::*;
use crate::{
    connection::Clock,
    image::Confirmation,
    text::width_of,
    top::{snapshot::Snapshot, state::State},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

const LOOK: Look = Look {
    colours: false,
    unicode: true,
};

fn read<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

fn source(key: &str, health: &str, interval_ms: Option<u64>, cron: Option<&str>) -> SourceRecord {
    read(json!({
        "source": key, "title": key, "enabled": true, "interval_ms": interval_ms, "cron": cron,
        "stale_after_ms": 30_000, "definition_hash": "h", "health": health, "last_run_id": null,
        "updated_at": "2026-11-23T09:43:00.000Z"
    }))
}

fn run(source: &str, id: &str, status: &str, outcome: Option<&str>) -> RunImage {
    read(json!({
        "run_id": id, "batch_id": "b", "source": source, "seq": 5, "status": status, "phase": "scraping",
        "current": 13, "total": 24, "unit": "pages", "events_count": 24, "elapsed_ms": 3_600, "rate_per_s": 7.0,
        "eta_ms": 1_500, "outcome": outcome, "finished_at": outcome.map(|_| "2026-11-23T09:43:03.000Z")
    }))
}

fn state() -> State {
    let confirmed: Confirmation =
        read(json!({"source": "alpha", "confirmed_at": "2026-11-23T09:43:00.000Z"}));
    let worker = read(json!({
        "worker_id": "dev-1", "version": "0.1.0", "started_at": "2026-11-23T09:30:00.000Z",
        "seen_at": "2026-11-23T09:43:08.000Z", "concurrency": 4, "running": ["r3"], "sources": ["alpha", "bravo"]
    }));
    let gateway = |ops: &str, ready| Sign {
        ops: ops.into(),
        ready,
        sessions: ready.map(|_| 3.0),
        delivered_total: ready.map(|_| 500.0),
        queue_bytes: ready.map(|_| 20_480.0),
        upstream_connected: ready.map(|_| 1.0),
    };
    State::new(Snapshot {
        address: "http://127.0.0.1:8080".into(),
        clock: Clock::default(),
        sources: vec![
            source("alpha", "ok", Some(10_000), None),
            source("bravo", "down", None, Some("0 9 * * MON (Europe/Berlin)")),
        ],
        workers: vec![worker],
        runs: vec![
            run("alpha", "r3", "running", None),
            run("alpha", "r2", "completed", Some("complete")),
            run("bravo", "r1", "failed", Some("blocked")),
        ],
        confirmed: [(confirmed.source.clone(), confirmed)].into(),
        gateways: vec![
            gateway("http://127.0.0.1:8081", Some(true)),
            gateway("http://127.0.0.1:8091", None),
        ],
    })
}

fn picture(state: &State, rates: Option<&Rates>, width: usize) -> String {
    let now = "2026-11-23T09:43:10.000Z".parse().unwrap();
    let lines = lines(state, rates, now, width, LOOK);
    let lines: Vec<String> = lines.iter().map(|line| line.rendered(LOOK)).collect();
    lines.join("\n")
}

#[test]
fn the_picture_fits_a_terminal_of_80_columns_and_24_rows() {
    let picture = picture(&state(), Some(&Rates::new(Instant::now())), 80);
    let expected = "\
oddswire top  http://127.0.0.1:8080  09:43:10 UTC  odds 0.0/s  runs 0.0/s

RUNS  1 going on, 0 queued
  alpha  scraping      ━━━━━━━───────  13/24 pages      7.0/s   ~2 s

SOURCES
  source  health  confirmed         next  odds/s  last run
  alpha   ok           10 s          now     0.0  complete 7 s ago: 24 events i…
  bravo   down        never  0 9 * * MON     0.0  blocked 7 s ago: 24 events in…

WORKERS
  worker  runs  sources      up  seen  version
  dev-1    1/4        2  13 min   2 s  0.1.0

GATEWAYS
  operations port        state      clients  sent/s  waiting  bus
  http://127.0.0.1:8081  ready            3          20.5 kB  connected
  http://127.0.0.1:8091  no answer

q leaves";
    assert_eq!(picture, expected);
    assert!(expected.lines().count() <= 24);
}

#[test]
fn without_a_stream_there_are_no_rates_and_nothing_is_wider_than_asked_for() {
    assert!(!picture(&state(), None, 80).contains("odds/s"));
    for width in 1..130 {
        let picture = picture(&state(), Some(&Rates::new(Instant::now())), width);
        assert!(picture.lines().all(|line| width_of(line) <= width), "{width}");
    }
}

#[test]
fn a_run_that_ends_leaves_the_runs_and_an_older_image_of_it_changes_nothing() {
    let mut state = state();
    let event = |run: &RunImage| crate::sse::SseEvent {
        id: None,
        event: "scrape_progress".into(),
        data: json!({"type": "scrape_progress", "timestamp": "2026-11-23T09:43:10.000Z", "data": run})
            .to_string(),
    };
    state.take(&event(&run("alpha", "r3", "completed", Some("partial"))));
    assert!(state.going.is_empty());
    state.take(&event(&run("alpha", "r3", "running", None)));
    state.take(&event(&run("alpha", "r2", "running", None)));
    assert!(state.going.is_empty());
    assert_eq!(how(&state.over[&"alpha".parse().unwrap()]), "partial");
}
