//! `cargo xtask fuzz`: the targets of `fuzz/`, on the stable toolchain that builds everything else.

use crate::{process, product, tool};
use anyhow::{Context, Result, bail};
use std::{fs, path::Path};

/// Runs one target, or all, for so long each. What a target finds is kept below `target/fuzz/found`.
pub(crate) fn run(target: Option<&str>, seconds: u64) -> Result<()> {
    let known = targets()?;
    let chosen: Vec<&String> = known
        .iter()
        .filter(|name| target.is_none_or(|wanted| wanted == *name))
        .collect();
    if chosen.is_empty() {
        bail!("there is no such target; there are {}", known.join(", "));
    }
    let tool = tool::FUZZ.path()?;
    for name in chosen {
        println!("\n==> fuzz: {name} for {seconds} s");
        run_one(&tool, name, seconds).with_context(|| format!("{name} found something"))?;
    }
    Ok(())
}

/// Named after their files.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(process::root().join("fuzz/fuzz_targets"))? {
        names.extend(
            entry?
                .path()
                .file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    Ok(names)
}

/// What is learnt on the way is kept for the next run in `target/`; the seeds in `fuzz/corpus` stay few and read by
/// all.
fn run_one(tool: &Path, name: &str, seconds: u64) -> Result<()> {
    let work = product::target_dir()?.join("fuzz");
    let (learnt, found) = (work.join("corpus").join(name), work.join("found").join(name));
    fs::create_dir_all(&learnt)?;
    fs::create_dir_all(&found)?;
    let mut fuzz = process::command(tool);
    fuzz.args(["fuzz", "run", "--sanitizer", "none", "--target-dir"])
        .arg(work.join("build"))
        .arg(name)
        .arg(&learnt)
        .arg(process::root().join("fuzz/corpus").join(name))
        .arg("--")
        .arg(format!("-artifact_prefix={}/", found.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"])
        // The coverage that it measures is an unstable flag of the compiler, there in every release of it.
        .env("RUSTC_BOOTSTRAP", "1");
    process::run(&mut fuzz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_declared_and_has_seeds() {
        let manifest = fs::read_to_string(process::root().join("fuzz/Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(!targets.is_empty());
        for name in targets {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            let seeds = fs::read_dir(process::root().join("fuzz/corpus").join(&name));
            assert!(seeds.unwrap().next().is_some(), "{name}");
        }
    }

    #[test]
    fn an_unknown_target_is_told_the_known_ones() {
        let error = run(Some("no_such"), 1).unwrap_err().to_string();
        assert!(error.contains("frame_reader"), "{error}");
    }
}
