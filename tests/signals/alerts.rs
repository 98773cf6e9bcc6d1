//! The alerts: each with the section of docs/operations.md that tells what to do.

use std::fmt::Write;

/// One alert.
#[derive(Debug, Clone, Copy)]
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// When it fires, in PromQL.
    pub expr: &'static str,
    /// How long that must hold.
    pub held: &'static str,
    /// `page`: people are losing something now. `ticket`: somebody should look in working hours.
    pub severity: &'static str,
    /// What it means, in one sentence.
    pub summary: &'static str,
    /// The heading in docs/operations.md, as an anchor.
    pub section: &'static str,
}

/// All of them.
pub const ALERTS: &[Alert] = &[
    Alert {
        name: "OddswireProcessDown",
        expr: r#"up{job=~"oddswire-.*"} == 0"#,
        held: "1m",
        severity: "page",
        summary: "{{ $labels.instance }} of {{ $labels.job }} does not answer.",
        section: "a-process-does-not-answer",
    },
    Alert {
        name: "OddswireGatewayDeaf",
        expr: "oddswire_gateway_deaf_shards > 0",
        held: "30s",
        severity: "page",
        summary: "{{ $value }} shards of {{ $labels.instance }} send their clients nothing.",
        section: "clients-are-connected-and-get-nothing",
    },
    Alert {
        name: "OddswireBusLost",
        expr: "oddswire_gateway_upstream_connected == 0",
        held: "1m",
        severity: "page",
        summary: "{{ $labels.instance }} has no connection to NATS.",
        section: "nats-is-gone",
    },
    Alert {
        name: "OddswireFeedStale",
        expr: "oddswire_gateway_upstream_lag_seconds > 20",
        held: "1m",
        severity: "page",
        summary: "{{ $labels.instance }} cannot tell whether the feed {{ $labels.feed }} misses something.",
        section: "nats-is-gone",
    },
    Alert {
        name: "OddswireDeliverySlow",
        expr: "histogram_quantile(0.99, sum by (le, feed) \
               (rate(oddswire_gateway_delivery_delay_seconds_bucket[5m]))) > 1",
        held: "5m",
        severity: "page",
        summary: "One of a hundred events of the feed {{ $labels.feed }} takes over a second to the sockets.",
        section: "events-come-late",
    },
    Alert {
        name: "OddswireHoles",
        expr: "rate(oddswire_gateway_holes_total[10m]) > 0.1",
        held: "10m",
        severity: "ticket",
        summary: "{{ $labels.instance }} loses live messages again and again, and reads them from the log.",
        section: "events-come-late",
    },
    Alert {
        name: "OddswireClientsLag",
        expr: "sum by (instance) (increase(oddswire_gateway_lagging_total[10m])) \
               > 10 + 0.05 * sum by (instance) (oddswire_gateway_sessions)",
        held: "10m",
        severity: "ticket",
        summary: "Many clients of {{ $labels.instance }} are too slow for what they asked for.",
        section: "clients-are-told-that-they-lag",
    },
    Alert {
        name: "OddswireQueueBytes",
        expr: "oddswire_gateway_queue_bytes > 268435456",
        held: "5m",
        severity: "ticket",
        summary: "{{ $value | humanize1024 }}B wait in {{ $labels.instance }} for slow sockets.",
        section: "clients-are-told-that-they-lag",
    },
    Alert {
        name: "OddswireGaps",
        expr: r#"sum by (instance) (increase(oddswire_gateway_resumes_total{verdict="gap"}[10m])) > 10"#,
        held: "1m",
        severity: "ticket",
        summary: "Clients that come back to {{ $labels.instance }} find their history gone.",
        section: "clients-that-come-back-are-told-gap",
    },
    Alert {
        name: "OddswireEventsQuarantined",
        expr: "increase(oddswire_gateway_quarantined_total[10m]) > 0",
        held: "0s",
        severity: "ticket",
        summary: "Somebody publishes events that break the contract ({{ $labels.feed }}, {{ $labels.reason }}); {{ $labels.instance }} does not show them.",
        section: "events-are-quarantined",
    },
    Alert {
        name: "OddswireGatewayFull",
        expr: r#"increase(oddswire_gateway_refused_total{reason=~"Full|AddressFull"}[5m]) > 0"#,
        held: "2m",
        severity: "page",
        summary: "{{ $labels.instance }} turns clients away: {{ $labels.reason }}.",
        section: "clients-are-turned-away",
    },
    Alert {
        name: "OddswireTokensRefused",
        expr: r#"sum by (instance, outcome) (rate(oddswire_gateway_auth_total{outcome!~"ok|ticket_given"}[5m])) > 5"#,
        held: "5m",
        severity: "ticket",
        summary: "{{ $labels.instance }} refuses many tokens: {{ $labels.outcome }}.",
        section: "clients-are-turned-away",
    },
    Alert {
        name: "OddswireSourceStale",
        expr: "time() - max by (source) (oddswire_scraper_confirmed_at_seconds) > 3600",
        held: "5m",
        severity: "page",
        summary: "Nobody has checked {{ $labels.source }} completely for over an hour.",
        section: "prices-of-a-source-are-old",
    },
    Alert {
        name: "OddswireRunsFail",
        expr: r#"sum by (source) (increase(oddswire_scraper_runs_total{end="failed"}[1h])) >= 3"#,
        held: "0s",
        severity: "ticket",
        summary: "Runs of {{ $labels.source }} fail.",
        section: "runs-fail",
    },
    Alert {
        name: "OddswireSourceBlocked",
        expr: r#"sum by (source) (increase(oddswire_scraper_run_outcomes_total{outcome="blocked"}[1h])) > 0"#,
        held: "0s",
        severity: "ticket",
        summary: "{{ $labels.source }} refuses us.",
        section: "runs-fail",
    },
    Alert {
        name: "OddswireJobsDie",
        expr: "increase(oddswire_scraper_dead_jobs_total[1h]) > 0",
        held: "0s",
        severity: "ticket",
        summary: "A job was handed out too often; its run was ended as failed.",
        section: "runs-do-not-start",
    },
    Alert {
        name: "OddswireTicksSkipped",
        expr: "sum by (source) (increase(oddswire_scraper_skipped_ticks_total[1h])) > 5",
        held: "0s",
        severity: "ticket",
        summary: "Runs of {{ $labels.source }} take longer than the time between them.",
        section: "runs-do-not-start",
    },
    Alert {
        name: "OddswirePublishSlow",
        expr: "histogram_quantile(0.99, sum by (le) (rate(oddswire_scraper_publish_delay_seconds_bucket[5m]))) > 1",
        held: "5m",
        severity: "page",
        summary: "JetStream takes over a second to acknowledge one of a hundred events.",
        section: "jetstream-is-slow-or-refuses",
    },
    Alert {
        name: "OddswirePublishRefused",
        expr: "increase(oddswire_scraper_refused_total[10m]) > 0",
        held: "0s",
        severity: "page",
        summary: "JetStream does not take events: {{ $labels.reason }}.",
        section: "jetstream-is-slow-or-refuses",
    },
    Alert {
        name: "OddswireDefinitionsRefused",
        expr: "oddswire_scraper_definition_problems > 0",
        held: "1m",
        severity: "ticket",
        summary: "The source definitions of {{ $labels.instance }} are wrong; it goes on with those from before.",
        section: "source-definitions-are-refused",
    },
];

/// The file for Prometheus.
pub fn rules() -> String {
    let mut text = "# @generated by `cargo xtask types`: change tests/signals/alerts.rs instead.\n\
        groups:\n  - name: oddswire\n    rules:\n"
        .to_owned();
    for alert in ALERTS {
        // Strings of JSON are strings of YAML. Writing to a string does not fail.
        let _ = writeln!(
            text,
            "      - alert: {}\n        expr: {:?}\n        for: {}\n        labels: {{ severity: {} }}\n        \
             annotations:\n          summary: {:?}\n          runbook: \"docs/operations.md#{}\"",
            alert.name, alert.expr, alert.held, alert.severity, alert.summary, alert.section
        );
    }
    text
}
