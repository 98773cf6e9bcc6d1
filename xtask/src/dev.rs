//! `cargo xtask dev`: gets a NATS server, builds, and becomes `oddswire dev`.

use crate::{nats, process, product};
use anyhow::Result;
use std::process::{ExitCode, Stdio};

/// Runs `oddswire dev` with these arguments until it ends.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let server = nats::server()?;
    // The page is built here, before the binary that carries it, once clients/dashboard exists.
    let oddswire = product::build()?;
    let mut dev = process::command(oddswire);
    dev.arg("dev")
        .args(args)
        .env(nats::VARIABLE, server)
        .stdin(Stdio::inherit());
    process::become_it(&mut dev)
}
