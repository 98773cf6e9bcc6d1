//! The browser tests: Node's own test runner drives a Chromium of the machine.

use crate::{apt, node, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const VARIABLE: &str = "CHROMIUM";
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
const ENDINGS: [&str; 3] = [".test.mjs", ".test.js", ".test.cjs"];

/// Whether there is a test to run.
pub(crate) fn has_tests() -> Result<bool> {
    let folder = folder();
    Ok(folder.is_dir() && holds_tests(&folder)?)
}

/// The command that runs every test.
pub(crate) fn prepare() -> Result<Command> {
    let mut tests = command()?;
    // Without a path it finds every *.test.* below here: what it makes of a folder's name differs between versions.
    tests.args(["--test", "--test-reporter=spec"]);
    Ok(tests)
}

/// The command that runs a script that stands beside the tests.
pub(crate) fn script(name: &str) -> Result<Command> {
    let mut script = command()?;
    script.arg(name);
    Ok(script)
}

/// Installs Chromium and the locked packages; gives Node with both.
fn command() -> Result<Command> {
    // Asked first: without it nothing else is worth installing.
    let mut node = node::node()?;
    let chromium = chromium()?;
    node.current_dir(node::install("tests/browser")?)
        .env(VARIABLE, chromium);
    Ok(node)
}

fn folder() -> PathBuf {
    process::root().join("tests/browser")
}

pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(named) = process::variable(VARIABLE) {
        if !named.is_file() {
            bail!("{VARIABLE} names {}, which does not exist", named.display());
        }
        return Ok(named);
    }
    if process::on_path(&NAMES).is_none() {
        apt::install(&["chromium"])
            .with_context(|| format!("no Chromium on PATH; {VARIABLE} may name one that lies elsewhere"))?;
    }
    process::on_path(&NAMES).context("apt-get installed chromium, but it is not on PATH")
}

fn holds_tests(folder: &Path) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_test = ENDINGS.iter().any(|end| name.ends_with(end));
        if is_test || (path.is_dir() && name != "node_modules" && holds_tests(&path)?) {
            return Ok(true);
        }
    }
    Ok(false)
}
