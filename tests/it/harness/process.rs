//! A gateway in a process of its own, that can be killed.

use super::{PATIENCE, logs, until};
use oddswire_kit::{child, ports};
use std::{
    fs::{self, File},
    process::{ExitStatus, Stdio},
};
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

#[derive(Debug)]
pub(crate) struct GatewayProcess {
    port: u16,
    ops_port: u16,
    args: Vec<String>,
    /// What it says, over all its lives.
    log: NamedTempFile,
    child: Child,
}

impl GatewayProcess {
    /// Starts one on free ports with further arguments.
    pub(crate) fn start(nats_url: &str, further: &[String]) -> Self {
        let (port, ops_port) = (ports::free(1).unwrap(), ports::free(1).unwrap());
        let mut args: Vec<String> = vec![
            format!("--listen=127.0.0.1:{port}"),
            format!("--ops-listen=127.0.0.1:{ops_port}"),
            format!("--nats-url={nats_url}"),
        ];
        args.extend_from_slice(further);
        let log = logs::file("gateway-");
        if !args.iter().any(|arg| arg.starts_with("--log=")) {
            args.push(format!("--log={}", logs::filter()));
        }
        Self {
            port,
            ops_port,
            child: spawn(&args, log.reopen().unwrap()),
            args,
            log,
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Bytes of memory that it has.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.ops_port);
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn wait_ready(&self) {
        let url = format!("http://127.0.0.1:{}/readyz", self.ops_port);
        until("a gateway process to be ready", async || {
            reqwest::get(&url).await.is_ok_and(|a| a.status().is_success())
        })
        .await;
    }

    /// Ends it as a crash would: SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Ends it in order: SIGTERM. Tells how it ended, where that can be known.
    pub(crate) async fn drain(&mut self) -> Option<ExitStatus> {
        child::stop(&mut self.child, PATIENCE).await
    }

    /// Starts it again, on the same ports.
    pub(crate) fn restart(&mut self) {
        let log = File::options().append(true).open(self.log.path()).unwrap();
        self.child = spawn(&self.args, log);
    }

    /// Asks it to read its configuration again: SIGHUP.
    pub(crate) fn reload(&self) {
        child::reload(&self.child);
    }

    /// The id of its process, unless it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has ended.
    pub(crate) fn is_dead(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Everything that it said, over all its lives.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// The lines in which it panicked, over all its lives.
    pub(crate) fn panics(&self) -> Vec<String> {
        self.said()
            .lines()
            .filter(|line| line.contains("panicked"))
            .map(str::to_owned)
            .collect()
    }
}

fn spawn(args: &[String], log: File) -> Child {
    Command::new(env!("CARGO_BIN_EXE_chaos-gateway"))
        .args(args)
        .stdin(Stdio::null())
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
