//! `oddswire-bench launch`: becomes another program, on one core, that dies when the bench does.

use crate::host;
use anyhow::{Context, Result};
use clap::Args;
use nix::sys::{prctl, signal::Signal};
use std::{env, ffi::OsString, os::unix::process::CommandExt, process::Command};

/// What to become, and where.
#[derive(Debug, Args)]
pub(crate) struct LaunchOptions {
    /// The core.
    #[arg(long)]
    core: usize,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// The words before a command that has it launched on a core.
pub(crate) fn launcher(core: usize) -> Result<Vec<OsString>> {
    let me = env::current_exe().context("find the bench's own program")?;
    let core = core.to_string();
    Ok([
        me.as_os_str(),
        "launch".as_ref(),
        "--core".as_ref(),
        core.as_ref(),
        "--".as_ref(),
    ]
    .map(OsString::from)
    .to_vec())
}

/// Becomes the program. Only comes back when that cannot be.
pub(crate) fn run(options: &LaunchOptions) -> Result<()> {
    // Holds over exec: the bench's main thread is its parent, and the end of that thread its own.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    host::pin(options.core)?;
    host::raise_files()?;
    let error = Command::new(&options.command[0])
        .args(&options.command[1..])
        .exec();
    Err(error).with_context(|| format!("run {}", options.command[0].display()))
}
