//! Programs of cargo's own registry, installed below `target/` on first use.

use crate::{process, product};
use anyhow::Result;
use std::path::PathBuf;

/// A program, pinned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// Its package and its binary.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

/// What drives libFuzzer.
pub(crate) const FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
};
/// What looks at dependencies.
pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

impl Tool {
    /// Its path, once it is there.
    pub(crate) fn path(self) -> Result<PathBuf> {
        let root = product::target_dir()?.join("tools");
        let tool = root
            .join("bin")
            .join(format!("{}{}", self.name, std::env::consts::EXE_SUFFIX));
        let installed = process::capture(process::command(&tool).arg("--version"));
        if !installed.is_ok_and(|said| said.trim_end().ends_with(self.version)) {
            let mut install = process::cargo();
            install
                // Built like a test: quick to build beats quick to run, for a second of work.
                .args(["install", "--debug", "--locked", "--quiet", "--root"])
                .arg(&root)
                .arg(format!("{}@{}", self.name, self.version))
                // Not among ours: they would be built anew each time.
                .env("CARGO_TARGET_DIR", root.join("build"));
            process::run(&mut install)?;
        }
        Ok(tool)
    }
}
