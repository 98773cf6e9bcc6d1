//! The stages, in the order in which they run: quick ones first.

use super::{Bench, Outcome, Stage};
use crate::{
    apt, browser, compose, house, interop, nats, node, page, process, product, python, secrets, tool, types,
};
use anyhow::Result;
use std::process::Command;

/// All of them.
pub(super) const STAGES: &[Stage] = &[
    Stage {
        name: "house",
        about: "the invariants of ARCHITECTURE.md",
        run: |_| passed(house::run()),
    },
    Stage {
        name: "format",
        about: "cargo fmt --check",
        run: |_| run(process::cargo().args(FORMAT)),
    },
    Stage {
        name: "lints",
        about: "clippy, warnings are errors",
        run: |_| run(process::cargo().args(LINTS)),
    },
    Stage {
        name: "generated",
        about: "files that are generated are up to date",
        run: |_| passed(types::check()),
    },
    Stage {
        name: "docs",
        about: "rustdoc, warnings are errors",
        run: docs,
    },
    Stage {
        name: "rust",
        about: "cargo test, with a real NATS server, balancers and Prometheus",
        run: rust,
    },
    Stage {
        name: "compose",
        about: "docker-compose.yml, Dockerfile and deploy/, without an engine",
        run: compose,
    },
    Stage {
        name: "kubernetes",
        about: "deploy/kubernetes against Kubernetes' own schemas",
        run: |_| run(process::command(python::CHECKS.python()?).arg("tests/kubernetes.py")),
    },
    Stage {
        name: "dependencies",
        about: "cargo-deny: licences, sources, what must not be there",
        run: dependencies,
    },
    Stage {
        name: "bus",
        about: "a NATS client in Python reads what we publish",
        run: bus,
    },
    Stage {
        name: "client",
        about: "clients/js: types, package, units, and before real gateways",
        run: client,
    },
    Stage {
        name: "browser",
        about: "a real Chromium against the gateway",
        run: browser,
    },
    Stage {
        name: "interop",
        about: "other people's clients over a gateway's restart, against docs/interop.md",
        run: |bench| passed(interop::check(bench.oddswire()?, bench.nats()?)),
    },
    // Last: it reads what the others logged.
    Stage {
        name: "secrets",
        about: "no secret that tests planted is in any log of this run",
        run: |_| passed(secrets::check()),
    },
];

const FORMAT: &[&str] = &["fmt", "--all", "--check"];
const LINTS: &[&str] = &[
    "clippy",
    "--workspace",
    "--all-targets",
    "--locked",
    "--",
    "-D",
    "warnings",
];
/// The database of advisories is looked up as a step of a release: it cannot be had everywhere.
const DENY: &[&str] = &[
    "--locked",
    "--offline",
    "check",
    "--hide-inclusion-graph",
    "bans",
    "licenses",
    "sources",
];
const DOCS: &[&str] = &["doc", "--workspace", "--no-deps", "--locked"];
const TESTS: &[&str] = &["test", "--workspace", "--locked"];

fn docs(_: &Bench) -> Result<Outcome> {
    run(process::cargo().args(DOCS).env("RUSTDOCFLAGS", "-D warnings"))
}

/// What `deploy/` configures: tests run the balancers and Prometheus themselves.
const DEPLOYED: &[&str] = &["nginx", "haproxy", "caddy", "prometheus"];

fn rust(bench: &Bench) -> Result<Outcome> {
    apt::provide(DEPLOYED)?;
    let mut tests = process::cargo();
    tests.args(TESTS).env(nats::VARIABLE, bench.nats()?);
    if let Some(logs) = process::logs() {
        tests.env(secrets::VARIABLE, logs);
    }
    run(&mut tests)
}

/// Downloads the crates of every platform. A build downloads those of its own platform alone, and cargo-deny, which is
/// told to stay offline, looks at the others too.
const FETCH: &[&str] = &["fetch", "--locked"];

fn dependencies(_: &Bench) -> Result<Outcome> {
    process::run(process::cargo().args(FETCH))?;
    run(process::command(tool::DENY.path()?).args(DENY))
}

fn compose(_: &Bench) -> Result<Outcome> {
    // Debian's package of Prometheus has promtool too.
    apt::provide(&["haproxy", "prometheus"])?;
    passed(compose::check())
}

fn bus(bench: &Bench) -> Result<Outcome> {
    let script = process::root().join("tests/bus/read_odds.py");
    if !script.is_file() {
        return Ok(Outcome::Skipped(
            "tests/bus/read_odds.py does not exist yet".to_owned(),
        ));
    }
    let mut python = process::command(python::CHECKS.python()?);
    python.arg(script).env("PYTHONUNBUFFERED", "1");
    run(with_product(&mut python, bench)?)
}

fn client(bench: &Bench) -> Result<Outcome> {
    let folder = node::install("clients/js")?;
    process::run(node::npm()?.args(["run", "check"]).current_dir(&folder))?;
    let mut tests = node::node()?;
    // Without a path it finds every *.test.* below here: what it makes of a folder's name differs between versions.
    tests
        .args(["--test", "--test-reporter=spec"])
        .current_dir(&folder);
    run(with_product(&mut tests, bench)?)
}

fn browser(bench: &Bench) -> Result<Outcome> {
    if !browser::has_tests()? {
        return Ok(Outcome::Skipped("tests/browser has no *.test.mjs yet".to_owned()));
    }
    page::check()?;
    page::build()?;
    // Its tests publish with what the client's tests publish with.
    node::install("clients/js")?;
    let mut tests = browser::prepare()?;
    // One at a time: each file is a whole system with a browser.
    tests.arg("--test-concurrency=1");
    run(with_product(&mut tests, bench)?)
}

fn with_product<'a>(command: &'a mut Command, bench: &Bench) -> Result<&'a mut Command> {
    Ok(command
        .env(product::VARIABLE, bench.oddswire()?)
        .env(nats::VARIABLE, bench.nats()?))
}

fn run(command: &mut Command) -> Result<Outcome> {
    passed(process::run(command))
}

fn passed(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Passed)
}
