//! A nats-server of one's own, for development and tests. Production runs one that somebody looks after.

mod cluster;

pub use cluster::{NatsCluster, NodeSetup};

use crate::child;
use nix::sys::signal::Signal;
use std::{
    env,
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

/// A running nats-server with JetStream, on loopback. It is killed when this value is dropped.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    port: u16,
    monitor_port: u16,
}

/// Why a nats-server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no program.
    #[error(
        "no nats-server found: set ODDSWIRE_NATS_SERVER to one (at least 2.12.2), or let `cargo xtask` get it"
    )]
    Missing,
    /// It could not be run.
    #[error("run {program}: {source}")]
    Run {
        /// What.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended, or did not say its ports in time.
    #[error("nats-server did not come up; it said:\n{0}")]
    NotUp(String),
}

/// How a server is started.
#[derive(Debug, Default, Clone, Copy)]
struct Launch<'a> {
    /// What becomes the server, and decides on which core it runs and when it dies.
    launcher: &'a [OsString],
    /// The clients' port; a free one unless given.
    port: Option<u16>,
    /// More arguments.
    further: &'a [String],
    /// More of the environment.
    variables: &'a [(String, String)],
}

const UP_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// The program: `$ODDSWIRE_NATS_SERVER`, else the one on `PATH`.
///
/// # Errors
/// [`Error::Missing`].
pub fn program() -> Result<PathBuf, Error> {
    if let Some(program) = env::var_os("ODDSWIRE_NATS_SERVER").filter(|p| !p.is_empty()) {
        return Ok(program.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join("nats-server"))
        .find(|p| p.is_file())
        .ok_or(Error::Missing)
}

impl NatsServer {
    /// Starts one that stores in `dir`, on `port`, or on a free one. A later one with the same `dir` has the same
    /// streams.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(dir: &Path, port: Option<u16>) -> Result<Self, Error> {
        let launch = Launch {
            port,
            ..Launch::default()
        };
        Self::launch(dir, &launch).await
    }

    /// The same on a free port, under a launcher: a command that becomes the command that stands behind it, and so
    /// decides on which core it runs and when it dies.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start_under(launcher: &[OsString], dir: &Path) -> Result<Self, Error> {
        let launch = Launch {
            launcher,
            ..Launch::default()
        };
        Self::launch(dir, &launch).await
    }

    /// Starts one on a free port with a configuration file, whose ports count for nothing. It stores where that file
    /// says; `dir` is for its log.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start_configured(dir: &Path, config: &Path) -> Result<Self, Error> {
        Self::start_configured_on(dir, config, None).await
    }

    /// The same on `port`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start_configured_on(dir: &Path, config: &Path, port: Option<u16>) -> Result<Self, Error> {
        let launch = Launch {
            port,
            further: &["--config".into(), config.display().to_string()],
            ..Launch::default()
        };
        Self::launch(dir, &launch).await
    }

    async fn launch(dir: &Path, launch: &Launch<'_>) -> Result<Self, Error> {
        let Launch { port, further, .. } = *launch;
        let program = program()?;
        let words = [launch.launcher, &[program.clone().into_os_string()]].concat();
        let run = |source| Error::Run {
            program: program.display().to_string(),
            source,
        };
        let log = dir.join("nats-server.log");
        // A configuration file says where it stores, and the server takes that once.
        let storage = if further.iter().any(|word| word == "--config") {
            Vec::new()
        } else {
            vec![OsString::from("--store_dir"), dir.into()]
        };
        // Last time's ports would be read as this time's.
        remove_ports_files(dir);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["--jetstream", "--addr", "127.0.0.1", "--http_port", "-1"])
            .args(["--port", &port.map_or_else(|| "-1".into(), |p| p.to_string())])
            .args(storage)
            .arg("--ports_file_dir")
            .arg(dir)
            .args(further)
            .envs(launch.variables.iter().cloned())
            .arg("--log")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(run)?;
        let give_up = Instant::now() + UP_WITHIN;
        loop {
            if let Some((port, monitor_port)) = read_ports(dir)
                && is_up(port).await
            {
                return Ok(Self {
                    child,
                    port,
                    monitor_port,
                });
            }
            let ended = child.try_wait().ok().flatten().is_some();
            if ended || Instant::now() > give_up {
                return Err(Error::NotUp(last_lines(&log)));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its process; `None` once it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The clients' port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process; `None` when it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The base address of its monitoring.
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port)
    }

    /// Waits until it ends by itself, which it should not.
    ///
    /// # Cancel safety
    /// Dropping this future changes nothing.
    pub async fn ended(&mut self) {
        // An error means that there is no such process any more.
        let _ = self.child.wait().await;
    }

    /// Stops it where it is, as a machine that is too busy would: connections stay, nothing is answered.
    pub fn pause(&self) {
        child::signal(&self.child, Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn unpause(&self) {
        child::signal(&self.child, Signal::SIGCONT);
    }

    /// Ends it in order.
    pub async fn stop(mut self) {
        child::stop(&mut self.child, STOP_WITHIN).await;
    }

    /// Ends it as a crash would.
    pub async fn kill(mut self) {
        // An error means that it has ended.
        let _ = self.child.kill().await;
    }
}

fn ports_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    entries
        .filter(|path| path.extension().is_some_and(|e| e == "ports"))
        .collect()
}

fn remove_ports_files(dir: &Path) {
    for file in ports_files(dir) {
        // Gone already is as good.
        let _ = std::fs::remove_file(file);
    }
}

/// The clients' and the monitoring port, from the file that the server writes.
fn read_ports(dir: &Path) -> Option<(u16, u16)> {
    let text = std::fs::read(ports_files(dir).first()?).ok()?;
    let ports: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let port = |name: &str| ports[name][0].as_str()?.rsplit(':').next()?.parse().ok();
    Some((port("nats")?, port("monitoring")?))
}

async fn is_up(port: u16) -> bool {
    tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

fn last_lines(log: &Path) -> String {
    let Ok(file) = std::fs::File::open(log) else {
        return "(nothing)".into();
    };
    let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
