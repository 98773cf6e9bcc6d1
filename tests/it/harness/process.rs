//! A gateway in a process of its own, that can be killed.

use super::{PATIENCE, until};
use oddswire_kit::child;
use std::{net::TcpListener, process::ExitStatus, process::Stdio};
use tokio::process::{Child, Command};

#[derive(Debug)]
pub(crate) struct GatewayProcess {
    port: u16,
    ops_port: u16,
    args: Vec<String>,
    log: Option<std::path::PathBuf>,
    child: Child,
}

impl GatewayProcess {
    /// Starts one on free ports with further arguments.
    pub(crate) fn start(nats_url: &str, further: &[String]) -> Self {
        let (port, ops_port) = (free_port(), free_port());
        let mut args: Vec<String> = vec![
            format!("--listen=127.0.0.1:{port}"),
            format!("--ops-listen=127.0.0.1:{ops_port}"),
            format!("--nats-url={nats_url}"),
        ];
        args.extend_from_slice(further);
        Self {
            port,
            ops_port,
            log: None,
            child: spawn(&args, None),
            args,
        }
    }

    /// Has everything that it says from its next start on go to a file.
    pub(crate) fn log_to(&mut self, file: &std::path::Path) {
        self.log = Some(file.to_owned());
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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
        self.child = spawn(&self.args, self.log.as_deref());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn spawn(args: &[String], log: Option<&std::path::Path>) -> Child {
    let said = log.map_or_else(Stdio::inherit, |file| std::fs::File::create(file).unwrap().into());
    Command::new(env!("CARGO_BIN_EXE_chaos-gateway"))
        .args(args)
        .stderr(said)
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
