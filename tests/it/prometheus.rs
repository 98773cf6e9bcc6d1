//! A real Prometheus, from `PATH`, with the configuration that is deployed: it reads both services, and every rule that it
//! evaluates finds what it asks for.

use crate::{
    harness::within,
    signals::{entries, names_in},
    truth::Pair,
};
use oddswire_e2e::signals::ALERTS;
use oddswire_protocol::envelope::MessageType;
use serde_json::Value;
use std::{collections::BTreeSet, fs, net::TcpListener, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::process::{Child, Command};

struct Prometheus {
    address: String,
    _process: Child,
    _folder: TempDir,
}

fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/prometheus")
        .join(name);
    fs::read_to_string(path).unwrap()
}

/// The address of an operations port, without its scheme.
fn at(ops: &str) -> &str {
    ops.trim_start_matches("http://").trim_end_matches("/readyz")
}

impl Prometheus {
    /// One that looks at these two, and every second: they are found by address instead of by Docker's names.
    fn start(gateway: &str, scraper: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = deployed("prometheus.yml");
        for (name, port, here) in [("gateway", 8081, gateway), ("scraper", 8082, scraper)] {
            let found = format!(
                "dns_sd_configs: [{{ names: [{name}], type: A, port: {port}, refresh_interval: 10s }}]"
            );
            assert!(config.contains(&found), "{config}");
            config = config.replace(&found, &format!("static_configs: [{{ targets: [\"{here}\"] }}]"));
        }
        let config = config.replace("_interval: 10s", "_interval: 1s");
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        fs::write(folder.path().join("alerts.yml"), deployed("alerts.yml")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let place = folder.path().display();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={place}/prometheus.yml"))
            .arg(format!("--storage.tsdb.path={place}/data"))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus is on PATH: `cargo xtask test` installs it");
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// The answer to an API call, asked again until it is as it should be.
    async fn says(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let url = format!("http://{}/api/v1/{path}", self.address);
        within(what, async {
            loop {
                if let Ok(answer) = reqwest::get(&url).await
                    && let Ok(bytes) = answer.bytes().await
                    && let Ok(said) = serde_json::from_slice::<Value>(&bytes)
                    && holds(&said["data"])
                {
                    return said["data"].clone();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
    }
}

fn all(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

#[tokio::test]
async fn prometheus_reads_both_services_and_every_rule_finds_what_it_asks_for() {
    let pair = Pair::new().await;
    let (gateway, scraper) = (at(&pair.gateway.ops), at(&pair.scraper_ready));
    let prometheus = Prometheus::start(gateway, scraper);
    prometheus
        .says("both to be read", "targets", |data| {
            let targets = all(&data["activeTargets"]);
            targets.len() == 2 && targets.iter().all(|target| target["health"] == "up")
        })
        .await;
    let rules = prometheus
        .says("every rule to be evaluated", "rules", |data| {
            let rules = all(&data["groups"][0]["rules"]);
            rules.len() == ALERTS.len() && rules.iter().all(|rule| rule["health"] != "unknown")
        })
        .await;
    for rule in all(&rules["groups"][0]["rules"]) {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_eq!(rule["state"], "inactive", "all is well: {rule}");
    }
    // Where one is too many, the count is there before it is made: nobody sees a rise from nothing.
    for (series, count) in [
        ("oddswire_gateway_refused_total", "3"),
        ("oddswire_scraper_run_outcomes_total{outcome=\"blocked\"}", "4"),
        ("oddswire_scraper_runs_total{end=\"failed\"}", "4"),
        ("oddswire_scraper_refused_total", "3"),
    ] {
        let query = format!("query?query=count({series}==0)");
        prometheus
            .says(series, &query, |data| data["result"][0]["value"][1] == count)
            .await;
    }
    // What else counts by label is there from the first thing that it counts.
    let mut client = pair.gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    pair.start("").await;
    for metric in [
        "oddswire_gateway_delivery_delay_seconds_bucket",
        "oddswire_gateway_resumes_total",
        "oddswire_scraper_confirmed_at_seconds",
        "oddswire_scraper_publish_delay_seconds_bucket",
        "oddswire_scraper_runs_total",
    ] {
        let query = format!("query?query=count({metric})");
        prometheus
            .says(metric, &query, |data| !all(&data["result"]).is_empty())
            .await;
    }
    let metadata = prometheus
        .says("what the metrics are", "targets/metadata", |data| {
            !all(data).is_empty()
        })
        .await;
    let told: BTreeSet<&str> = all(&metadata)
        .iter()
        .filter_map(|entry| entry["metric"].as_str())
        .collect();
    let entries = entries();
    for alert in ALERTS {
        for name in names_in(alert.expr) {
            let entry = entries.iter().find(|entry| entry.name == name).unwrap();
            let is_told = told.contains(name.trim_end_matches("_total"));
            assert!(
                is_told || !entry.labels.is_empty(),
                "{}: no {name} in {told:?}",
                alert.name
            );
        }
    }
}
