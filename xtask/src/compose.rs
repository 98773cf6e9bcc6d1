//! docker-compose.yml, Dockerfile, .dockerignore and `deploy/`, checked without a container engine.

mod dockerfile;
mod services;

use crate::{process, python};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What is wrong, a sentence each.
type Faults = Vec<String>;

/// Everything that can be known before an engine runs it.
pub(crate) fn check() -> Result<()> {
    let compose = read_compose()?;
    let mut faults = services::check(&compose);
    faults.extend(services::missing_mounts(&compose, &|path| {
        process::root().join(path).exists()
    }));
    faults.extend(dockerfile::check(&read("Dockerfile")?, &members()?));
    faults.extend(dockerfile::check_ignore(&read(".dockerignore")?));
    faults.extend(programs_own_checks());
    for fault in &faults {
        println!("  {fault}");
    }
    if !faults.is_empty() {
        bail!("{} faults in what containers are made from", faults.len());
    }
    Ok(())
}

/// HAProxy and Prometheus read their own files, and so does docker-compose where it is installed. Prometheus also says
/// which alerts fire when. NATS reads its own files in the tests, which run servers with them.
fn programs_own_checks() -> Faults {
    const PROGRAMS: [(&str, &[&str]); 4] = [
        ("haproxy", &["-c", "-q", "-f", "deploy/haproxy.cfg"]),
        ("promtool", &["check", "rules", "deploy/prometheus/alerts.yml"]),
        (
            "promtool",
            &["check", "config", "deploy/prometheus/prometheus.yml"],
        ),
        ("promtool", &["test", "rules", "tests/signals/alerts.test.yml"]),
    ];
    let mut commands = Vec::new();
    for (program, arguments) in PROGRAMS {
        let mut command = process::command(program);
        command.args(arguments);
        commands.push(command);
    }
    if let Some(compose) = process::on_path(&["docker-compose"]) {
        let mut command = process::command(compose);
        command.args(["config", "--quiet"]);
        commands.push(command);
    }
    commands
        .iter_mut()
        .filter_map(|command| process::capture(command).err())
        .map(|error| format!("{error:#}"))
        .collect()
}

/// As data, with anchors and merge keys resolved.
fn read_compose() -> Result<Value> {
    const TO_JSON: &str = "import json, sys; from ruamel.yaml import YAML; \
        json.dump(YAML(typ='safe', pure=True).load(open(sys.argv[1])), sys.stdout)";
    let mut python = process::command(python::CHECKS.python()?);
    let json = process::capture(python.args(["-c", TO_JSON, "docker-compose.yml"]))?;
    serde_json::from_str(&json).context("docker-compose.yml is not what it seems")
}

/// The folders of the workspace's packages, from the top.
fn members() -> Result<Vec<String>> {
    let said = process::capture(process::cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&said)?;
    let manifests = metadata["packages"]
        .as_array()
        .context("cargo metadata names no packages")?;
    manifests
        .iter()
        .map(|package| folder(&package["manifest_path"]))
        .collect()
}

fn folder(manifest: &Value) -> Result<String> {
    let folder = Path::new(manifest.as_str().unwrap_or_default())
        .parent()
        .unwrap_or(Path::new(""));
    let folder = folder
        .strip_prefix(process::root())
        .context("a package lies outside of the repository")?;
    Ok(folder.to_string_lossy().replace('\\', "/"))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(process::root().join(path)).with_context(|| format!("cannot read {path}"))
}
