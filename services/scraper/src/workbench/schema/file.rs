//! The whole file, `[source]` and what is below it, and `[expect]`.

use super::{markets::MarketsTable, step::StepTable};
use schemars::JsonSchema;
use std::collections::BTreeMap;

/// How one bookmaker is asked, what its pages look like, and what its markets are in our words. docs/sources.md
/// describes every key.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "Oddswire source file")]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct SourceFile {
    /// 1.
    #[schemars(range(min = 1, max = 1))]
    version: u32,
    source: SourceTable,
    /// The kinds of pages, in the order in which they are asked for. The last one has `[step.event]`.
    #[schemars(length(min = 1))]
    step: Vec<StepTable>,
    expect: Option<ExpectTable>,
    markets: MarketsTable,
}

/// The source and its site.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct SourceTable {
    /// The source in topics and subjects; unique in the folder.
    #[schemars(regex(pattern = "^[a-z0-9_-]{1,64}$"))]
    key: String,
    /// For people.
    title: String,
    /// Put before every `url`: `http://` or `https://`, host, optional path. `${NAME:-default}` stands for an
    /// environment variable.
    base_url: String,
    /// The sport of all events, such as `soccer`.
    #[schemars(regex(pattern = "^[a-z0-9_-]{1,64}$"))]
    sport: String,
    /// Between the starts of scheduled runs, 1 s to 24 h. Without it and without `cron` the source runs on request only.
    #[schemars(regex(pattern = r"^\d+(ms|s|m|h)$"))]
    interval: Option<String>,
    /// Times of scheduled runs: minute, hour, day of month, month, day of week, as in `*/5 8-23 * * *`.
    cron: Option<String>,
    /// The zone whose clocks `cron` means: `UTC`, `+01:00` or `Europe/Berlin`. Default: UTC.
    cron_zone: Option<String>,
    /// By which share of the time to the next one a start may be later. Default: 10%, with `cron` 0%.
    #[schemars(regex(pattern = r"^[0-9.]+%$"))]
    jitter: Option<String>,
    /// After this time a quote that was not confirmed is stale, 1 s to 7 days. Default: 3 × interval, or 90s; `cron` has
    /// none.
    #[schemars(regex(pattern = r"^\d+(ms|s|m|h)$"))]
    stale_after: Option<String>,
    /// Whether it runs when nobody names it. Default: true.
    enabled: Option<bool>,
    /// After how many complete runs in a row without it a quote is withdrawn. Default: 2.
    #[schemars(range(min = 1, max = 100))]
    withdraw_after: Option<u32>,
    /// Whether the site may be at a loopback, private or link-local address. Default: false.
    allow_private: Option<bool>,
    /// Whether robots.txt is kept to. Default: obey.
    robots: Option<RobotsName>,
    http: Option<HttpTable>,
    limits: Option<LimitsTable>,
    retry: Option<RetryTable>,
}

/// What robots.txt is worth.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum RobotsName {
    /// What it forbids is not asked for.
    Obey,
    /// It is not read.
    Ignore,
}

/// How requests are sent.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct HttpTable {
    /// One try of one request, its body included, 10 ms to 5 m. Default: 10s.
    #[schemars(regex(pattern = r"^\d+(ms|s|m|h)$"))]
    timeout: Option<String>,
    /// Its connection, 10 ms to 1 m. Default: 3s.
    #[schemars(regex(pattern = r"^\d+(ms|s|m|h)$"))]
    connect_timeout: Option<String>,
    /// Longest body after decompression, 1KiB to 64MiB. Default: 8MiB.
    #[schemars(regex(pattern = r"^\d+(B|KiB|MiB)$"))]
    max_body: Option<String>,
    /// Redirects that are followed for one request. Default: 3.
    #[schemars(range(min = 0, max = 10))]
    max_redirects: Option<u32>,
    /// Whether the site is asked if a page has changed. Default: true.
    conditional: Option<bool>,
    /// What we call ourselves. Default: oddswire/<version>.
    user_agent: Option<String>,
    /// Sent with each request. Secrets by `${NAME}` or `${file:PATH}`, never in the file.
    headers: Option<BTreeMap<String, String>>,
}

/// How often and how much at once the site is asked.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct LimitsTable {
    /// To the host; sources of one host share the lowest. Default: 1.
    #[schemars(range(min = 0.01, max = 1000))]
    requests_per_second: Option<f64>,
    /// Requests that may go out at once after a pause. Default: 1.
    #[schemars(range(min = 1, max = 1000))]
    burst: Option<u32>,
    /// Requests in flight. Default: 1.
    #[schemars(range(min = 1, max = 64))]
    concurrency: Option<u32>,
    /// Whether requests slow down with the host. Default: true.
    adaptive: Option<bool>,
    /// So many requests in flight the adaptive delay leads to. Default: `concurrency`.
    #[schemars(range(min = 0.1, max = 64))]
    target_concurrency: Option<f64>,
    /// The longest adaptive delay, 1 ms to 10 m. Default: 60s.
    #[schemars(regex(pattern = r"^\d+(ms|s|m|h)$"))]
    max_delay: Option<String>,
    /// Pages that one run asks for. Default: 100000.
    #[schemars(range(min = 1, max = 10_000_000))]
    max_pages: Option<u32>,
    /// The time that one run takes to fetch, 1 s to 24 h. Default: 1h.
    #[schemars(regex(pattern = r"^\d+(ms|s|m|h)$"))]
    max_duration: Option<String>,
}

/// When a request is tried again.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct RetryTable {
    /// Tries of one request in all. Default: 4.
    #[schemars(range(min = 1, max = 10))]
    attempts: Option<u32>,
    /// The longest pause after the first try; it doubles with each try. Default: 250ms.
    #[schemars(regex(pattern = r"^\d+(ms|s|m|h)$"))]
    base: Option<String>,
    /// The longest pause of all. Default: 15s.
    #[schemars(regex(pattern = r"^\d+(ms|s|m|h)$"))]
    max: Option<String>,
    /// Statuses after which another try is made.
    #[schemars(inner(range(min = 400, max = 599)))]
    on_status: Option<Vec<u32>>,
    /// Whether `Retry-After` decides how long the pause is. Default: true.
    respect_retry_after: Option<bool>,
    breaker: Option<BreakerTable>,
}

/// When a host that fails is left alone.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct BreakerTable {
    /// After so many failures in a row; 0: never. Default: 10.
    #[schemars(range(min = 0, max = 1000))]
    failures: Option<u32>,
    /// For so long, 1 ms to 1 h. Default: 30s.
    #[schemars(regex(pattern = r"^\d+(ms|s|m|h)$"))]
    open_for: Option<String>,
}

/// What a good run looks like.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct ExpectTable {
    /// A complete run with fewer events is broken. Default: 0.
    #[schemars(range(min = 0, max = 1_000_000))]
    min_events: Option<u32>,
    /// A complete run that lacks a greater share of the events of the last complete one, of the last 24 hours, is broken.
    /// Default: 100%.
    #[schemars(regex(pattern = r"^[0-9.]+%$"))]
    max_drop_vs_last: Option<String>,
    /// An event with fewer mapped quotes counts as a bad row. Default: 0.
    #[schemars(range(min = 0, max = 10_000))]
    min_markets_per_event: Option<u32>,
    /// When a greater share of the rows is bad the run is broken. Default: 2%.
    #[schemars(regex(pattern = r"^[0-9.]+%$"))]
    max_missing_required: Option<String>,
    /// A page to which one of these applies is a block page.
    blocked_when: Option<Vec<BlockTable>>,
}

/// What gives a block page away: `header` and `matches`, or `body_regex`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct BlockTable {
    /// The name of a header.
    header: Option<String>,
    /// A regular expression for its value.
    matches: Option<String>,
    /// A regular expression for the page.
    body_regex: Option<String>,
}
