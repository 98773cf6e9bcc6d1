//! `cargo xtask chaos`: the chaos test for as long as you like, with a seed that can be run again.

use crate::{nats, process};
use anyhow::{Result, bail};
use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

/// Runs it for `minutes`, with `seed` or a new one.
pub(crate) fn run(minutes: u64, seed: Option<u64>) -> Result<ExitCode> {
    let seed = seed.unwrap_or_else(new_seed);
    println!(
        "chaos for {minutes} min; run it again with: cargo xtask chaos --minutes {minutes} --seed {seed}"
    );
    let mut test = process::command("cargo");
    test.args([
        "test",
        "--package",
        "oddswire-e2e",
        "--test",
        "it",
        "--",
        "--nocapture",
        "chaos::every_client",
    ])
    .env(nats::VARIABLE, nats::server()?)
    .env("ODDSWIRE_CHAOS_SECONDS", (minutes * 60).to_string())
    .env("ODDSWIRE_CHAOS_SEED", seed.to_string());
    if !test.status()?.success() {
        bail!("seed {seed} found something");
    }
    Ok(ExitCode::SUCCESS)
}

/// A seed that was not asked for.
#[expect(
    clippy::disallowed_methods,
    reason = "a seed is any number that is another one each time"
)]
pub(crate) fn new_seed() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
