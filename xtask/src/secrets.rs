//! Whether a secret that tests planted is in any log of a run: of the stages themselves, and of the services in them.

use crate::{process, product};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Names the folder of logs for tests.
pub(crate) const VARIABLE: &str = "ODDSWIRE_TEST_LOGS";
/// What is in every secret that can have it; `tests/it/harness/logs.rs` has the same word.
const MARK: &str = "planted-secret";
/// The file of those that cannot, a line each.
const PLANTED: &str = "planted";
/// A secret is at least so long: what is shorter is found by chance.
const SHORTEST: usize = 16;

/// An empty folder for the logs of a run.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = product::target_dir()?.join("test-logs");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Looks through the logs of the stages that ran.
pub(crate) fn check() -> Result<()> {
    let folder = process::logs().context("no logs are kept")?;
    let (bytes, secrets) = search(&folder)?;
    println!("{bytes} bytes of logs, none of {secrets} secrets and no {MARK} in them");
    Ok(())
}

/// Fails where there is a secret, and where there is nothing to look at or to look for; gives how many bytes it looked
/// at, and for how many secrets.
fn search(folder: &Path) -> Result<(u64, usize)> {
    let planted = fs::read_to_string(folder.join(PLANTED)).unwrap_or_default();
    let mut secrets: Vec<&str> = planted.lines().filter(|line| line.len() >= SHORTEST).collect();
    secrets.sort_unstable();
    secrets.dedup();
    ensure!(
        !secrets.is_empty(),
        "no test planted a secret: run the stage `rust` as well"
    );
    let (mut bytes, mut of_services) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let raw = fs::read(&path)?;
        // A process that was killed may have been in the middle of a letter.
        let text = String::from_utf8_lossy(&raw);
        bytes += raw.len() as u64;
        of_services += usize::from(!raw.is_empty() && !is_of_stage(&path));
        for (number, line) in text.lines().enumerate() {
            let found = line.contains(MARK) || secrets.iter().any(|secret| line.contains(secret));
            if found {
                bail!("{}:{}: a secret is in the log", path.display(), number + 1);
            }
        }
    }
    ensure!(
        of_services > 0,
        "no service logged anything: there is nothing to look at"
    );
    Ok((bytes, secrets.len()))
}

fn is_of_stage(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("stage-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "SUAMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU";

    fn folder(planted: &str, logs: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(PLANTED), planted).unwrap();
        for (name, text) in logs {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn found(planted: &str, logs: &[(&str, &str)]) -> String {
        match search(folder(planted, logs).path()) {
            Ok(seen) => format!("{seen:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_secret_in_any_log_is_found() {
        let good = [
            ("stage-rust.log", "test x ... ok\n"),
            ("gateway-1.log", "INFO ready\n"),
        ];
        assert_eq!(found(SEED, &good), "(25, 1)");
        for line in [
            format!("INFO connected with {SEED}"),
            format!("INFO connected with a-{MARK}-of-a-test"),
        ] {
            for name in ["stage-rust.log", "gateway-1.log", "gateway-2.log"] {
                let leaks = format!("INFO ready\n{line}\n");
                let logs = [good[0], good[1], (name, leaks.as_str())];
                let said = found(SEED, &logs);
                assert!(
                    said.ends_with(&format!("{name}:2: a secret is in the log")),
                    "{said}"
                );
                assert!(!said.contains(SEED) && !said.contains(MARK), "{said}");
            }
        }
    }

    #[test]
    fn nothing_to_look_at_and_nothing_to_look_for_are_failures() {
        let good = ("gateway-1.log", "INFO ready\n");
        for (planted, logs) in [
            ("", &[good][..]),
            ("short\n", &[good]),
            (SEED, &[]),
            (SEED, &[("gateway-1.log", "")]),
            (SEED, &[("stage-rust.log", "INFO ready\n")]),
        ] {
            assert!(
                search(folder(planted, logs).path()).is_err(),
                "{planted:?} {logs:?}"
            );
        }
    }
}
