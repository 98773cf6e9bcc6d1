//! The product's own binary, and where cargo builds it.

use crate::process;
use anyhow::{Result, anyhow};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;

/// Names the built product for checks in other languages.
pub(crate) const VARIABLE: &str = "ODDSWIRE_BIN";

/// Where cargo builds; caches of xtask lie there too, so that `cargo clean` forgets everything.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let said = process::capture(process::cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&said)?;
    let folder = metadata["target_directory"]
        .as_str()
        .ok_or_else(|| anyhow!("cargo metadata names no target"))?;
    Ok(PathBuf::from(folder))
}

/// Builds `oddswire` alone, the quickest way to a running product, and gives its path.
pub(crate) fn build() -> Result<PathBuf> {
    build_with(&["--package", "oddswire"])
}

/// Builds `oddswire` with the features that the tests' build has, so that their dependencies are not built twice:
/// cargo unites the features of the whole workspace and of dev-dependencies as soon as examples are asked for.
pub(crate) fn build_as_tested() -> Result<PathBuf> {
    build_with(&["--workspace", "--bins", "--examples", "--locked"])
}

/// Builds an example of a package, optimised, and gives its path.
pub(crate) fn build_example(package: &str, example: &str) -> Result<PathBuf> {
    build_one(
        &["--release", "--package", package, "--example", example],
        "example",
        example,
    )
}

/// Builds the bench and the product that it measures, optimised, and gives the bench's path.
pub(crate) fn build_bench() -> Result<PathBuf> {
    build_one(
        &[
            "--release",
            "--package",
            "oddswire",
            "--package",
            "oddswire-bench",
        ],
        "bin",
        "oddswire-bench",
    )
}

fn build_with(selection: &[&str]) -> Result<PathBuf> {
    build_one(selection, "bin", "oddswire")
}

fn build_one(selection: &[&str], kind: &str, name: &str) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(selection);
    let output = cargo.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(anyhow!("{name} does not build"));
    }
    executable(&String::from_utf8_lossy(&output.stdout), kind, name)
        .ok_or_else(|| anyhow!("cargo built no {kind} named {name}"))
}

fn executable(messages: &str, kind: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_ours = message["reason"] == "compiler-artifact"
            && message["target"]["name"] == name
            && message["target"]["kind"][0] == kind;
        is_ours
            .then(|| message["executable"].as_str().map(PathBuf::from))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"oddswire","kind":["lib"]},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"other","kind":["bin"]},"executable":"t/other"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"oddswire","kind":["bin"]},"executable":"t/oddswire"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"echo","kind":["example"]},"executable":"t/echo"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let found = |kind, name| executable(messages, kind, name);
        assert_eq!(found("bin", "oddswire"), Some(PathBuf::from("t/oddswire")));
        assert_eq!(found("example", "echo"), Some(PathBuf::from("t/echo")));
        assert_eq!(found("bin", "echo"), None);
        assert_eq!(executable("not json", "bin", "oddswire"), None);
    }
}
