//! The dashboard: a panel a metric, a row a service.

use oddswire_kit::metrics::Entry;
use serde_json::{Value, json};

const WIDTH: usize = 8;
const HEIGHT: usize = 7;
const ACROSS: usize = 24 / WIDTH;

/// The file for Grafana.
pub(super) fn dashboard(services: &[(&str, Vec<Entry>)]) -> String {
    let mut panels = Vec::new();
    let mut y = 0;
    for (service, entries) in services {
        let place = json!({ "x": 0, "y": y, "w": 24, "h": 1 });
        panels.push(json!({
            "id": panels.len() + 1, "type": "row", "title": service, "collapsed": false, "panels": [], "gridPos": place
        }));
        y += 1;
        for (at, entry) in entries.iter().enumerate() {
            let place = json!({
                "x": at % ACROSS * WIDTH, "y": y + at / ACROSS * HEIGHT, "w": WIDTH, "h": HEIGHT
            });
            panels.push(panel(panels.len() + 1, entry, &place));
        }
        y += entries.len().div_ceil(ACROSS) * HEIGHT;
    }
    let dashboard = json!({
        "uid": "oddswire", "title": "Oddswire", "tags": ["oddswire"], "schemaVersion": 39, "version": 1,
        "editable": true, "refresh": "10s", "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": [{
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"
        }] },
        "panels": panels,
    });
    format!("{dashboard:#}\n")
}

fn panel(id: usize, entry: &Entry, place: &Value) -> Value {
    let unit = match (entry.unit(), entry.kind) {
        ("seconds", _) => "s",
        ("bytes", "counter") => "Bps",
        ("bytes", _) => "bytes",
        (_, "counter") => "cps",
        _ => "short",
    };
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let targets: Vec<Value> = queries(entry)
        .into_iter()
        .zip(["A", "B"])
        .map(|((expr, legend), id)| json!({ "refId": id, "expr": expr, "legendFormat": legend, "datasource": source }))
        .collect();
    json!({
        "id": id, "type": "timeseries", "title": entry.name, "description": entry.help, "datasource": source,
        "gridPos": place, "fieldConfig": { "defaults": { "unit": unit, "min": 0 }, "overrides": [] }, "targets": targets,
    })
}

/// What to ask, each with what the line is called.
fn queries(entry: &Entry) -> Vec<(String, String)> {
    let name = &entry.name;
    let mut by = vec!["instance"];
    by.extend(entry.labels);
    let (legend, by) = (legend(&by), by.join(", "));
    match entry.kind {
        "counter" => vec![(format!("sum by ({by}) (rate({name}[$__rate_interval]))"), legend)],
        "histogram" => ["0.5", "0.99"]
            .map(|share| {
                let rate = format!("sum by (le, {by}) (rate({name}_bucket[$__rate_interval]))");
                (
                    format!("histogram_quantile({share}, {rate})"),
                    format!("{share} {legend}"),
                )
            })
            .into(),
        _ => vec![(name.clone(), legend)],
    }
}

fn legend(labels: &[&str]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| format!("{{{{{label}}}}}")).collect();
    labels.join(" ")
}
