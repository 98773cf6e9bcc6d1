//! `cargo xtask chaos`, `cargo xtask siege` and `cargo xtask slow`: tests that go on for as long as you like, with a seed that can be run
//! again.

use crate::{deadline, nats, process};
use anyhow::{Result, bail};
use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

/// A test that can go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Long {
    /// The task that runs it.
    task: &'static str,
    filter: &'static str,
    /// Whether chance plays a part, which a seed repeats.
    seeded: bool,
}

/// Clients that hop between gateways and a bus that are killed.
pub(crate) const CHAOS: Long = Long {
    task: "chaos",
    filter: "chaos::every_client",
    seeded: true,
};
/// Hostile clients beside well-behaved ones.
pub(crate) const SIEGE: Long = Long {
    task: "siege",
    filter: "siege::",
    seeded: true,
};
/// Clients that read slowly and all the time.
pub(crate) const SLOW: Long = Long {
    task: "slow",
    filter: "steady::who",
    seeded: false,
};

/// Runs it for `minutes`, with `seed` or a new one.
pub(crate) fn run(test: Long, minutes: u64, seed: Option<u64>) -> Result<ExitCode> {
    let Long { task, filter, seeded } = test;
    let seed = seed.unwrap_or_else(new_seed);
    let again = if seeded {
        format!(" --seed {seed}")
    } else {
        String::new()
    };
    println!("{task} for {minutes} min; run it again with: cargo xtask {task} --minutes {minutes}{again}");
    let mut test = process::command("cargo");
    test.args([
        "test",
        "--package",
        "oddswire-e2e",
        "--test",
        "it",
        "--",
        "--nocapture",
        filter,
    ])
    .env(nats::VARIABLE, nats::server()?)
    .env("ODDSWIRE_CHAOS_SECONDS", (minutes * 60).to_string())
    .env("ODDSWIRE_CHAOS_SEED", seed.to_string());
    if !process::status_within(&mut test, deadline::beyond(minutes))?.success() {
        bail!("it found something; the same again: cargo xtask {task} --minutes {minutes}{again}");
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
