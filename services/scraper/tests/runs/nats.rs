//! A NATS server of one test's own: on a free port, with a store that survives a kill, gone with the test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long a server may take to start.
const START_WITHIN: Duration = Duration::from_secs(20);

/// A running server, or a killed one.
pub(crate) struct Nats {
    dir: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Nats {
    /// Starts a server.
    pub(crate) async fn start() -> Self {
        let mut nats = Self {
            dir: tempfile::tempdir().unwrap(),
            port: 0,
            process: None,
        };
        nats.start_again().await;
        nats
    }

    /// The address of the server, the same after it was killed and started again.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills the server as a crash does: nothing is written down.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts the server that was killed, with what it had stored.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let ports = self.dir.path().join("ports");
        let _ = fs::remove_dir_all(&ports);
        fs::create_dir(&ports).unwrap();
        // -1 is any free port.
        let port = if self.port == 0 {
            "-1".to_owned()
        } else {
            self.port.to_string()
        };
        let log = self.dir.path().join("log");
        let process = Command::new(binary())
            .args(["-a", "127.0.0.1", "-p", &port, "-js"])
            .arg("-sd")
            .arg(self.dir.path().join("store"))
            .arg("--ports_file_dir")
            .arg(&ports)
            .arg("-l")
            .arg(&log)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts: set ODDSWIRE_NATS_SERVER to its path, or put it on PATH");
        self.process = Some(process);
        let give_up = Instant::now() + START_WITHIN;
        while !self.find_port(&ports) {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < give_up, "nats-server does not start: {}", said());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Looks for the file in which the server says, once it listens, on which port.
    fn find_port(&mut self, dir: &Path) -> bool {
        let read = |entry: fs::DirEntry| fs::read_to_string(entry.path()).ok();
        let texts = fs::read_dir(dir).unwrap().flatten().filter_map(read);
        let port = texts.into_iter().find_map(|text| {
            let ports: serde_json::Value = serde_json::from_str(&text).ok()?;
            ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
        });
        self.port = port.unwrap_or(self.port);
        port.is_some()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the path of the server comes from whoever runs the tests, who has no command line to give it"
)]
fn binary() -> PathBuf {
    std::env::var("ODDSWIRE_NATS_SERVER").map_or_else(|_| "nats-server".into(), PathBuf::from)
}
