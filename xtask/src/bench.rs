//! `cargo xtask bench`: gets a NATS server, builds with optimisation, and becomes the bench.

use crate::{nats, process, product};
use anyhow::Result;
use std::process::ExitCode;

/// Runs the bench with these arguments until it ends.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let server = nats::server()?;
    let mut bench = process::command(product::build_bench()?);
    process::become_it(bench.args(args).env(nats::VARIABLE, server))
}
