//! Debian's packages, for what no language's own client brings.

use crate::process;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Installs those of these programs that are not on `PATH`, from the packages of the same names.
pub(crate) fn provide(programs: &[&str]) -> Result<()> {
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| process::on_path(&[program]).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// Installs them, as root or through a sudo that asks nothing.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    eprintln!("apt-get: installing {names}");
    let advice = || format!("cannot install {names}: install it by hand, then run this again");
    process::capture(apt_get()?.args(["update", "-qq"])).with_context(advice)?;
    let mut install = apt_get()?;
    install
        .args(["install", "--yes", "-qq", "--no-install-recommends"])
        .args(packages);
    process::capture(&mut install).with_context(advice)?;
    Ok(())
}

fn apt_get() -> Result<Command> {
    if process::on_path(&["apt-get"]).is_none() {
        bail!("this machine has no apt-get");
    }
    let is_root = process::capture(process::command("id").arg("-u"))?.trim() == "0";
    if is_root {
        let mut command = process::command("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        return Ok(command);
    }
    if process::on_path(&["sudo"]).is_none() {
        bail!("apt-get needs root, and there is no sudo");
    }
    let mut command = process::command("sudo");
    command.args(["--non-interactive", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}
