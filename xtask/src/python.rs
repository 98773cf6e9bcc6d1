//! Python: pip brings pinned packages, a virtual environment under `target/` keeps them apart from the machine's own.

use crate::{apt, process, product};
use anyhow::{Context, Result, anyhow};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The machine's Python 3.
pub(crate) fn python() -> Result<Command> {
    let path = process::on_path(&["python3", "python"]).ok_or_else(|| {
        anyhow!("Python 3 is missing (Debian: apt-get install python3 python3-pip python3-venv)")
    })?;
    Ok(process::command(path))
}

/// Downloads what a lock file names, by hash, into a folder.
pub(crate) fn download(lock: &Path, folder: &Path) -> Result<()> {
    let mut pip = python()?;
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
        .args(LOCKED)
        .arg(lock)
        .arg("--dest")
        .arg(folder);
    process::run(&mut pip)
}

/// Downloads one version of a package for this machine into a folder, without a hash: for looking at versions that nothing
/// else here uses.
pub(crate) fn download_version(package: &str, version: &str, folder: &Path) -> Result<()> {
    let mut pip = python()?;
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ])
    .args(["--only-binary", ":all:"])
    .arg(format!("{package}=={version}"))
    .arg("--dest")
    .arg(folder);
    process::run(&mut pip)
}

/// Packages that go into an environment together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment {
    /// The folder below `target/`.
    pub(crate) folder: &'static str,
    /// Names them by hash; a path from the top.
    pub(crate) lock: &'static str,
    /// What Python can import once they are there.
    pub(crate) modules: &'static str,
}

/// What the checks need.
pub(crate) const CHECKS: Environment = Environment {
    folder: "py",
    lock: "xtask/python.lock",
    modules: "ruamel.yaml, nats, fastjsonschema",
};

impl Environment {
    /// Its Python, which has exactly what the lock names; made on first use and after a change.
    pub(crate) fn python(self) -> Result<PathBuf> {
        let lock = process::root().join(self.lock);
        let folder = product::target_dir()?.join(self.folder);
        let python = folder.join(if cfg!(windows) {
            "Scripts/python.exe"
        } else {
            "bin/python"
        });
        let wanted = fs::read_to_string(&lock)?;
        let stamp = folder.join("installed.lock");
        let import = format!("import {}", self.modules);
        let works = process::capture(process::command(&python).args(["-c", &import])).is_ok();
        if works && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(python);
        }
        create(&folder)?;
        let mut pip = process::command(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(LOCKED)
            .arg(&lock);
        process::run(&mut pip).with_context(|| format!("cannot install what {} names", self.lock))?;
        fs::write(&stamp, wanted)?;
        Ok(python)
    }
}

/// Only wheels, only those whose hash is written down, nothing that they would like to bring along.
const LOCKED: [&str; 5] = [
    "--no-deps",
    "--only-binary",
    ":all:",
    "--require-hashes",
    "--requirement",
];

fn create(folder: &Path) -> Result<()> {
    let make = || process::capture(python()?.args(["-m", "venv", "--clear"]).arg(folder));
    if make().is_err() {
        // Debian ships Python without the part that makes environments.
        apt::install(&["python3-venv"])?;
        make().context("cannot make a Python environment")?;
    }
    Ok(())
}
