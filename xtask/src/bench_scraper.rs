//! `cargo xtask bench-scraper`: how fast and how large the scraper is, on this machine.

use crate::{nats, process};
use anyhow::Result;

/// Builds it optimised and runs it; `events` is the size of the bookmakers' world.
pub(crate) fn run(events: u32) -> Result<()> {
    let mut bench = process::cargo();
    bench
        .args([
            "run",
            "--release",
            "--package",
            "oddswire-scraper",
            "--example",
            "bench_scrape",
        ])
        .args(["--", "--events", &events.to_string()])
        .env(nats::VARIABLE, nats::server()?);
    process::run(&mut bench)
}
