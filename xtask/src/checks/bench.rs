//! What several stages need: had once, on first use.

use crate::{nats, product};
use anyhow::{Result, anyhow};
use std::cell::OnceCell;
use std::path::Path;
use std::path::PathBuf;

/// The tools on the bench. A tool that cannot be had fails each stage that asks for it, and no other.
#[derive(Debug, Default)]
pub(super) struct Bench {
    nats: OnceCell<Result<PathBuf, String>>,
    oddswire: OnceCell<Result<PathBuf, String>>,
}

impl Bench {
    /// A nats-server.
    pub(super) fn nats(&self) -> Result<&Path> {
        once(&self.nats, nats::server)
    }

    /// The built product.
    pub(super) fn oddswire(&self) -> Result<&Path> {
        once(&self.oddswire, product::build_as_tested)
    }
}

fn once(cell: &OnceCell<Result<PathBuf, String>>, make: fn() -> Result<PathBuf>) -> Result<&Path> {
    match cell.get_or_init(|| make().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => Err(anyhow!("{error}")),
    }
}
