//! Generated files. `cargo xtask types` writes them, a check fails when they are stale.

use crate::process;
use anyhow::Result;

/// Writes them all.
pub(crate) fn write() -> Result<()> {
    process::run(process::cargo().args(["run", "--package", "oddswire-protocol", "--example", "schemas"]))
}

/// Compares those that no cargo test compares; `None` while there is none. The schemas have a test of their own, beside
/// the types that they come from; what other languages generate from them belongs here.
pub(crate) fn check() -> Option<Result<()>> {
    None
}
