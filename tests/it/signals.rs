//! What operators look at says what the services count, and nothing else.

use crate::harness::{Connection, Gateway, Transport, World, until};
use oddswire_e2e::signals::{ALERTS, files, services};
use oddswire_kit::metrics::{Entry, undocumented};
use oddswire_protocol::{RunId, envelope::MessageType, progress::Status};
use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap_or_default()
}

pub(crate) fn entries() -> Vec<Entry> {
    services().into_iter().flat_map(|(_, entries)| entries).collect()
}

/// The names of ours in an expression, each as the registry knows it.
pub(crate) fn names_in(expr: &str) -> BTreeSet<&str> {
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| {
        let services = ["oddswire_gateway_", "oddswire_scraper_"];
        services.iter().any(|service| word.starts_with(service))
    });
    ours.map(|word| word.trim_end_matches("_bucket")).collect()
}

#[test]
fn generated_files_are_current() {
    for (name, text) in files() {
        assert!(read(name) == text, "{name} is stale: cargo xtask types writes it");
    }
}

#[test]
fn every_metric_has_a_help_a_unit_and_its_labels() {
    let mut names = BTreeSet::new();
    for entry in entries() {
        assert!(names.insert(entry.name.clone()), "{} twice", entry.name);
        assert!(entry.help.len() > 10 && !entry.help.contains('|'), "{entry:?}");
        assert!(["count", "seconds", "bytes"].contains(&entry.unit()));
        assert_ne!(entry.kind, "unknown", "{entry:?}");
        // A client chooses none of these, and their values are few.
        let few = [
            "transport",
            "reason",
            "verdict",
            "from",
            "feed",
            "outcome",
            "source",
            "end",
            "kind",
            "class",
        ];
        assert!(entry.labels.iter().all(|label| few.contains(label)), "{entry:?}");
        if entry.kind == "histogram" {
            assert_eq!(entry.unit(), "seconds", "{entry:?}");
        }
    }
}

#[test]
fn alerts_ask_for_metrics_that_there_are() {
    let entries = entries();
    for alert in ALERTS {
        let names = names_in(alert.expr);
        assert!(
            !names.is_empty() || alert.expr.starts_with("up{"),
            "{}",
            alert.name
        );
        for name in names {
            let entry = entries.iter().find(|entry| entry.name == name);
            let entry = entry.unwrap_or_else(|| panic!("{} asks for {name}, which there is not", alert.name));
            let asks_for_buckets = alert.expr.contains(&format!("{name}_bucket"));
            assert_eq!(asks_for_buckets, entry.kind == "histogram", "{}", alert.name);
            // What an alert selects or tells by a label has that label.
            for label in [
                "feed",
                "source",
                "outcome",
                "reason",
                "end",
                "verdict",
                "transport",
            ] {
                let selects = [
                    format!("{label}=\""),
                    format!("{label}=~\""),
                    format!("{label}!~\""),
                ];
                let asked = selects.iter().any(|select| alert.expr.contains(select))
                    || alert.summary.contains(&format!("$labels.{label} "));
                assert!(!asked || entry.labels.contains(&label), "{}: {label}", alert.name);
            }
        }
    }
}

#[test]
fn every_alert_leads_to_what_to_do() {
    let page = read("docs/operations.md");
    let anchors: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| {
            heading
                .to_lowercase()
                .replace(' ', "-")
                .replace(['.', ',', ':', '\'', '`'], "")
        })
        .collect();
    for alert in ALERTS {
        assert!(
            anchors.contains(alert.section),
            "{}: {}",
            alert.name,
            alert.section
        );
        assert!(page.contains(alert.name), "the page does not name {}", alert.name);
    }
}

#[test]
fn the_runbook_names_metrics_that_there_are() {
    let entries = entries();
    for name in names_in(&read("docs/operations.md")) {
        assert!(entries.iter().any(|entry| entry.name == name), "{name}");
    }
}

async fn shown_by(gateway: &Gateway) -> String {
    let answer = reqwest::get(format!("{}/metrics", gateway.ops)).await.unwrap();
    answer.text().await.unwrap()
}

#[tokio::test]
async fn what_a_gateway_shows_is_documented_and_tells_what_happened() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    gateway.wait_ready().await;
    let mut client = Connection::open(Transport::Ws, &gateway.address, "scrape_progress", "now").await;
    client.joined().await;
    world.run_event("alpha", &RunId::new(), 1, Status::Running).await;
    client.next_of(MessageType::ScrapeProgress).await;
    let mut back = Connection::open(Transport::Sse, &gateway.address, "scrape_progress", "snapshot").await;
    back.next_of(MessageType::ScrapeProgress).await;
    drop(back);
    let wanted = [
        "oddswire_gateway_resumes_total{verdict=\"live\",transport=\"Ws\"} 1",
        "oddswire_gateway_resumes_total{verdict=\"snapshot\",transport=\"Sse\"} 1",
        "oddswire_gateway_joins_total{from=\"ring\"} 1",
        "oddswire_gateway_joins_total{from=\"log\"} 1",
        "oddswire_gateway_sessions_closed_total{transport=\"Sse\",reason=\"gone\"} 1",
        "oddswire_gateway_upstream_connected 1",
        "oddswire_gateway_deaf_shards 0",
    ];
    until("what happened in numbers", async || {
        let text = shown_by(&gateway).await;
        wanted.iter().all(|line| text.contains(line))
    })
    .await;
    // The first event may have come before the client was a shard's.
    until("delays", async || {
        world.run_event("alpha", &RunId::new(), 1, Status::Running).await;
        let text = shown_by(&gateway).await;
        let delays = ["ingest", "delivery"].map(|to| format!("_{to}_delay_seconds_count{{feed=\"run\"}}"));
        delays.iter().all(|delay| text.contains(delay))
    })
    .await;
    let text = shown_by(&gateway).await;
    assert_eq!(undocumented(&entries(), &text), Vec::<String>::new());
}
