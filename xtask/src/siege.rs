//! `cargo xtask siege`: hostile clients beside well-behaved ones, for as long as you like.

use crate::{chaos::new_seed, nats, process};
use anyhow::{Result, bail};
use std::process::ExitCode;

/// Lays it for `minutes`, with `seed` or a new one.
pub(crate) fn run(minutes: u64, seed: Option<u64>) -> Result<ExitCode> {
    let seed = seed.unwrap_or_else(new_seed);
    println!(
        "siege for {minutes} min; run it again with: cargo xtask siege --minutes {minutes} --seed {seed}"
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
        "siege::",
    ])
    .env(nats::VARIABLE, nats::server()?)
    .env("ODDSWIRE_CHAOS_SECONDS", (minutes * 60).to_string())
    .env("ODDSWIRE_CHAOS_SEED", seed.to_string());
    if !test.status()?.success() {
        bail!("seed {seed} found something");
    }
    Ok(ExitCode::SUCCESS)
}
