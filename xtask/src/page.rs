//! The page: built by Vite into `clients/dashboard/dist`, which the gateway carries.

use crate::{node, process};
use anyhow::Result;

/// Builds it anew; this takes a second or two.
pub(crate) fn build() -> Result<()> {
    let folder = node::install("clients/dashboard")?;
    process::run(
        node::npm()?
            .args(["run", "--silent", "build"])
            .current_dir(folder),
    )
}

/// Checks its types.
pub(crate) fn check() -> Result<()> {
    let folder = node::install("clients/dashboard")?;
    process::run(
        node::npm()?
            .args(["run", "--silent", "check"])
            .current_dir(folder),
    )
}
