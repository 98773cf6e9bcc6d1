//! `cargo xtask bench`: gets a NATS server, builds with optimisation, and runs the bench. `bench-page` measures the page.

use crate::{browser, deadline, nats, node, page, process, product};
use anyhow::Result;
use std::process::ExitCode;

/// Runs the bench with these arguments until it ends.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let server = nats::server()?;
    let mut bench = process::command(product::build_bench()?);
    bench.args(args).env(nats::VARIABLE, server);
    process::status_within(&mut bench, deadline::LONGEST).map(process::code)
}

/// Measures the page in a browser: `tests/browser/bench.mjs`.
pub(crate) fn run_page() -> Result<()> {
    page::build()?;
    node::install("clients/js")?;
    let mut bench = browser::script("bench.mjs")?;
    bench
        .env(product::VARIABLE, product::build()?)
        .env(nats::VARIABLE, nats::server()?);
    process::run(&mut bench)
}
