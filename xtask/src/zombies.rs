//! `cargo xtask zombies`: scrapers that are killed or frozen in the middle of runs, as often as you like.

use crate::{chaos, deadline, nats, process};
use anyhow::{Result, bail};
use std::process::ExitCode;

/// Makes `times` rounds of each kind, with `seed` or a new one.
pub(crate) fn run(times: u32, seed: Option<u64>) -> Result<ExitCode> {
    let seed = seed.unwrap_or_else(chaos::new_seed);
    println!("{times} rounds each; run them again with: cargo xtask zombies --times {times} --seed {seed}");
    let mut test = process::command("cargo");
    test.args([
        "test",
        "--package",
        "oddswire-scraper",
        "--test",
        "runs",
        "--",
        "--nocapture",
        "--test-threads=1",
        "zombies::",
    ])
    .env(nats::VARIABLE, nats::server()?)
    .env("ODDSWIRE_ZOMBIES_TIMES", times.to_string())
    .env("ODDSWIRE_ZOMBIES_SEED", seed.to_string());
    // A round takes seconds.
    let limit = deadline::beyond(u64::from(times));
    if !process::status_within(&mut test, limit)?.success() {
        bail!("seed {seed} found something");
    }
    Ok(ExitCode::SUCCESS)
}
