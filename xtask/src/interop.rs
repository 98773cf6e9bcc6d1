//! `cargo xtask interop`: other people's clients, with their defaults, before a gateway that restarts.

use crate::{apt, browser, node, process, product, python::Environment};
use anyhow::Result;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

const FOLDER: &str = "tests/interop";
/// What its clients in Python need.
const CLIENTS: Environment = Environment {
    folder: "py-interop",
    lock: "tests/interop/python.lock",
    modules: "httpx_sse, sseclient, aiohttp, websockets",
};

/// All clients, those of Go and Java and WebKit too where they can be had. Without `write` what they do must be what
/// docs/interop.md says; with it the table there is written anew.
pub(crate) fn run(write: bool, oddswire: &Path, nats: &Path) -> Result<()> {
    // WebKit is an extra: a machine that cannot have it leaves its rows out.
    for packages in [
        &["webkit2gtk-driver", "xvfb"][..],
        &["golang-go"],
        &["default-jdk-headless"],
    ] {
        let programs = match packages[0] {
            "golang-go" => &["go"][..],
            "default-jdk-headless" => &["java"],
            _ => &["WebKitWebDriver", "Xvfb"],
        };
        if programs
            .iter()
            .any(|program| process::on_path(&[*program]).is_none())
            && let Err(error) = apt::install(packages)
        {
            eprintln!("interop: left out: {error:#}");
        }
    }
    let mut clients = prepare(oddswire, nats)?;
    if let Some(client) = go_client() {
        clients.env("INTEROP_GO", client);
    }
    if write {
        clients.arg("--write");
    }
    process::run(&mut clients)
}

/// The clients that are quick to have, in browsers, Node, Python and curl, against what docs/interop.md says.
pub(crate) fn check(oddswire: &Path, nats: &Path) -> Result<()> {
    process::run(prepare(oddswire, nats)?.arg("--quick"))
}

/// Installs what the clients need, and tests what judges them; gives the command that runs them.
fn prepare(oddswire: &Path, nats: &Path) -> Result<Command> {
    let library = node::install("clients/js")?;
    process::run(node::npm()?.args(["run", "build"]).current_dir(library))?;
    let folder = node::install(FOLDER)?;
    apt::provide(&["curl", "firefox-esr"])?;
    process::run(node::node()?.arg("--test").current_dir(&folder))?;
    let mut clients = node::node()?;
    clients
        .arg(folder.join("run.mjs"))
        .env("CHROMIUM", browser::chromium()?)
        .env("INTEROP_PYTHON", CLIENTS.python()?)
        .env("ODDSWIRE_BIN", oddswire)
        .env(crate::nats::VARIABLE, nats);
    Ok(clients)
}

fn go_client() -> Option<PathBuf> {
    let client = product::target_dir().ok()?.join("interop-go");
    let mut go = process::command(process::on_path(&["go"])?);
    go.args(["build", "-o"])
        .arg(&client)
        .arg(".")
        .current_dir(process::root().join(FOLDER).join("go"));
    process::run(&mut go)
        .inspect_err(|error| eprintln!("interop: left out: {error:#}"))
        .ok()?;
    Some(client)
}
