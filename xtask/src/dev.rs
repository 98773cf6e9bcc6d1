//! `cargo xtask dev`: gets a NATS server, builds, and becomes `oddswire dev`.

use crate::{nats, process, product};
use anyhow::Result;
use std::process::{Command, ExitCode, Stdio};

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
    become_it(&mut dev)
}

/// Takes this process's place (as `cargo run` did before), so that Ctrl-C, signals and the exit code are its own.
#[cfg(unix)]
fn become_it(dev: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(dev.exec().into())
}

#[cfg(not(unix))]
fn become_it(dev: &mut Command) -> Result<ExitCode> {
    let code = dev.status()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
