//! Generated files. `cargo xtask types` writes them, a check fails when they are stale.

use crate::{node, process};
use anyhow::Result;
use std::process::Command;

/// Writes them all.
pub(crate) fn write() -> Result<()> {
    for (package, example) in [
        ("oddswire-protocol", "schemas"),
        ("oddswire-e2e", "signals"),
        ("oddswire-e2e", "contract"),
    ] {
        process::run(process::cargo().args(["run", "--package", package, "--example", example]))?;
    }
    process::run(&mut typescript()?)
}

/// Compares the types in TypeScript with the schemas, and holds OpenAPI and AsyncAPI against their specifications. That
/// the schemas themselves, these two and what is written from the metrics are up to date are tests of their own, beside
/// what they come from.
pub(crate) fn check() -> Result<()> {
    process::run(typescript()?.arg("--check"))?;
    let mut contract = node::node()?;
    contract
        .arg("check.mjs")
        .current_dir(node::install("tests/contract")?);
    process::run(&mut contract)
}

/// What writes the client library's types.
fn typescript() -> Result<Command> {
    let mut script = node::node()?;
    script
        .arg("scripts/types.mjs")
        .current_dir(node::install("clients/js")?);
    Ok(script)
}
