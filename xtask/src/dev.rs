//! `cargo xtask dev`: gets a NATS server, builds, and becomes `oddswire dev`.

use crate::{nats, page, process, product};
use anyhow::Result;
use std::process::{ExitCode, Stdio};

/// Runs `oddswire dev` with these arguments until it ends.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let server = nats::server()?;
    page::build()?;
    let oddswire = product::build()?;
    let mut dev = process::command(oddswire);
    dev.arg("dev")
        .args(args)
        .env(nats::VARIABLE, server)
        .stdin(Stdio::inherit());
    process::become_it(&mut dev)
}
