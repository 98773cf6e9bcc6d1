//! `cargo xtask dist`: what a release is: one archive with the binary and all that is mounted or read beside it.

use crate::{page, process, product};
use anyhow::{Context, Result, bail};
use std::{fs, path::Path, process::Command};

/// What goes beside the binary.
const BESIDE: [&str; 7] = [
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "docs",
    "sources",
    "deploy",
    "docker-compose.yml",
];

/// Builds the archive and its checksum below `target/dist`, and prints where.
pub(crate) fn run() -> Result<()> {
    let commit = commit()?;
    let target = product::target_dir()?;
    // Before the binary that carries it.
    page::build()?;
    process::run(
        process::cargo()
            .args([
                "build",
                "--profile",
                "dist",
                "--locked",
                "--package",
                "oddswire",
                "--features",
                "otlp",
            ])
            .env("ODDSWIRE_COMMIT", &commit),
    )?;
    let binary = target.join("dist/oddswire");
    let said = process::capture(process::command(&binary).arg("--version"))?;
    let version = said
        .split_whitespace()
        .nth(1)
        .context("the binary tells no version")?;
    if !said.contains(&commit) {
        bail!("the binary calls itself {said:?}, without the commit {commit}");
    }
    let name = format!("oddswire-{version}-{}", host()?);
    let folder = target.join("dist").join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    copy(&binary, &folder)?;
    for path in BESIDE {
        copy(&process::root().join(path), &folder)?;
    }
    write_shell(&binary, &folder)?;
    let archive = format!("{name}.tar.gz");
    // The same tree gives the same archive: sorted, without the times and owners of this machine.
    process::run(in_dist(&target, "tar").args([
        "--create",
        "--gzip",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
        "--file",
        &archive,
        &name,
    ]))?;
    let sum = process::capture(in_dist(&target, "sha256sum").arg(&archive))?;
    fs::write(target.join("dist").join(format!("{archive}.sha256")), &sum)?;
    let bytes = fs::metadata(target.join("dist").join(&archive))?.len();
    println!(
        "{said}{} ({:.1} MB)\n{sum}",
        target.join("dist").join(archive).display(),
        mega(bytes)
    );
    Ok(())
}

/// Manual pages and completions: what the binary says of itself.
fn write_shell(binary: &Path, folder: &Path) -> Result<()> {
    process::run(process::command(binary).arg("man").arg(folder.join("man/man1")))?;
    let completions = folder.join("completions");
    fs::create_dir_all(&completions)?;
    // Each under the name by which its shell looks for it.
    for (shell, file) in [
        ("bash", "oddswire"),
        ("zsh", "_oddswire"),
        ("fish", "oddswire.fish"),
    ] {
        let script = process::capture(process::command(binary).args(["completions", shell]))?;
        fs::write(completions.join(file), script)?;
    }
    Ok(())
}

/// The commit that the tree is at, with a mark when there is more in it.
fn commit() -> Result<String> {
    let said = process::capture(process::command("git").args([
        "describe",
        "--always",
        "--dirty",
        "--abbrev=10",
        "--exclude=*",
    ]))?;
    Ok(said.trim().to_owned())
}

fn host() -> Result<String> {
    let said = process::capture(process::command("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc tells no host")?.to_owned())
}

fn in_dist(target: &Path, program: &str) -> Command {
    let mut command = process::command(program);
    command.current_dir(target.join("dist"));
    command
}

fn copy(from: &Path, folder: &Path) -> Result<()> {
    process::run(process::command("cp").arg("-R").arg(from).arg(folder))
}

#[expect(clippy::cast_precision_loss, reason = "an archive is far below 2^52 bytes")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
