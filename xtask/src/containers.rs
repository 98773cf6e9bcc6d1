//! `cargo xtask containers`: docker-compose.yml with a real engine, under clients that must lose nothing.

use crate::{deadline, nats, process, product, python::Environment};
use anyhow::Result;
use std::process::ExitCode;

/// What its clients need.
const CLIENTS: Environment = Environment {
    folder: "py-containers",
    lock: "xtask/containers.lock",
    modules: "websockets",
};

/// Builds the images, runs the composition, and tells what clients found wrong.
pub(crate) fn run(previous: Option<&str>) -> Result<ExitCode> {
    let mut proof = process::command(CLIENTS.python()?);
    proof
        .arg("tests/containers/prove.py")
        .arg("--nats-server")
        .arg(nats::server()?)
        .arg("--folder")
        .arg(product::target_dir()?.join("containers"))
        .args(previous.map(|previous| format!("--previous={previous}")))
        .env("PYTHONUNBUFFERED", "1");
    // It has a deadline of its own, and gives its verdict then; this one is for what keeps it from that.
    process::status_within(&mut proof, deadline::LONGEST).map(process::code)
}
