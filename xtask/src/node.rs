//! Node, and the locked packages of a folder.

use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `npm ci` was done for last, beside what it installed, so that both go together.
const STAMP: &str = "node_modules/.installed-lock.json";

/// Node's own command.
pub(crate) fn node() -> Result<Command> {
    let Some(node) = process::on_path(&["node", "node.exe"]) else {
        bail!("Node is missing: install version 20 or later (nodejs and npm)");
    };
    Ok(process::command(node))
}

/// npm's own command.
pub(crate) fn npm() -> Result<Command> {
    node()?;
    let npm = process::on_path(&["npm", "npm.cmd"]).context("npm is missing: install it beside Node")?;
    Ok(process::command(npm))
}

/// A folder with a `package.json` at the top of the repository, its locked packages installed. They are installed anew
/// only when the lock file is not the one that they were installed for.
pub(crate) fn install(folder: &str) -> Result<PathBuf> {
    let folder = process::root().join(folder);
    if !is_installed(&folder) {
        let mut npm = npm()?;
        npm.args(["ci", "--no-audit", "--no-fund"]);
        process::run(npm.current_dir(&folder))?;
        fs::copy(folder.join("package-lock.json"), folder.join(STAMP))
            .with_context(|| format!("npm installed nothing in {}", folder.display()))?;
    }
    Ok(folder)
}

fn is_installed(folder: &Path) -> bool {
    let read = |name: &str| fs::read(folder.join(name)).ok();
    is_the_same(read("package-lock.json"), read(STAMP))
}

fn is_the_same(lock: Option<Vec<u8>>, installed_for: Option<Vec<u8>>) -> bool {
    lock.is_some() && lock == installed_for
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_count_as_installed_for_the_very_lock_file() {
        let file = |text: &str| Some(text.as_bytes().to_vec());
        assert!(is_the_same(file("one"), file("one")));
        assert!(!is_the_same(file("two"), file("one")));
        assert!(!is_the_same(file("one"), None));
        assert!(!is_the_same(None, None), "npm is to say what is missing");
    }
}
