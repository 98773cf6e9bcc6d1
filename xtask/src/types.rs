//! Generated files. `cargo xtask types` writes them, a check fails when they are stale.

use crate::process;
use anyhow::Result;

/// Writes them all.
pub(crate) fn write() -> Result<()> {
    for (package, example) in [("oddswire-protocol", "schemas"), ("oddswire-e2e", "signals")] {
        process::run(process::cargo().args(["run", "--package", package, "--example", example]))?;
    }
    Ok(())
}

/// Compares those that no cargo test compares; `None` while there is none. The schemas, and what is written from the
/// metrics, have a test of their own, beside what they come from; what other languages generate from them belongs here.
pub(crate) fn check() -> Option<Result<()>> {
    None
}
