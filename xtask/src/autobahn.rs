//! `cargo xtask autobahn`: Autobahn's test suite against the echo server of `services/websocket`.

mod report;

use crate::{deadline, process, product, python::Environment};
use anyhow::{Context, Result, bail};
use report::Report;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ExitCode, Stdio},
};

/// The suite.
const SUITE: Environment = Environment {
    folder: "py-autobahn",
    lock: "xtask/autobahn.lock",
    modules: "kosoku",
};
/// Runs the command that the package comes with, without relying on where scripts are put.
const MAIN: &str = "from kosoku._cli import main; main()";

/// Runs the cases, or all; the code says whether every one passed as strictly as the suite can ask.
pub(crate) fn run(cases: &[String]) -> Result<ExitCode> {
    let python = SUITE.python()?;
    let server = Echo::start(&product::build_example("oddswire-websocket", "echo")?)?;
    let folder = product::target_dir()?.join("autobahn");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut suite = process::command(python);
    suite
        .args(["-c", MAIN, "--mode", "fuzzingclient", &server.address, "--outdir"])
        .arg(&folder);
    for case in cases {
        suite.args(["--include", case]);
    }
    println!("autobahn: against {}", server.address);
    // It fails with the cases; what they came to is in its report.
    let ended = process::status_within(&mut suite, deadline::LONGEST)?;
    let index = folder.join("index.json");
    let text = fs::read_to_string(&index).with_context(|| format!("the suite wrote no report ({ended})"))?;
    let report = Report::read(&text)?;
    print!("{}", report.table());
    println!(
        "autobahn: each case is told in {}",
        folder.join("index.html").display()
    );
    let faults = report.faults();
    for fault in &faults {
        println!("autobahn: {fault}");
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The server under test, killed at the end.
struct Echo {
    child: Child,
    address: String,
}

impl Echo {
    fn start(program: &Path) -> Result<Self> {
        let mut child = process::command(program)
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(said) = child.stdout.take() {
            BufReader::new(said).read_line(&mut address)?;
        }
        let echo = Self {
            child,
            address: address.trim().to_owned(),
        };
        if echo.address.is_empty() {
            bail!("the echo server did not start");
        }
        Ok(echo)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // One that is gone already cannot be killed; there is nothing else to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
