//! A scraper in a process of its own.

use crate::world::{World, until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{net::TcpListener, process::Stdio};
use tokio::process::{Child, Command};

/// A scraper that can be killed, frozen and woken.
pub(super) struct Process {
    ops_url: String,
    child: Child,
}

impl Process {
    /// Starts one, with further arguments, and waits until it takes jobs.
    pub(super) async fn start(world: &World, worker_id: &str, further: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(env!("CARGO_BIN_EXE_trial-scraper"))
            .arg(format!("--nats-url={}", world.nats.url()))
            .arg(format!("--ops-listen=127.0.0.1:{port}"))
            .arg(format!("--worker-id={worker_id}"))
            .arg("--no-schedule")
            .arg("--sources")
            .arg(world.sources())
            .args(further)
            .env("SITE_URL", world.site.url())
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let process = Self {
            ops_url: format!("http://127.0.0.1:{port}"),
            child,
        };
        until("the worker is ready", async || {
            let answer = reqwest::get(format!("{}/readyz", process.ops_url)).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        process
    }

    /// SIGKILL.
    pub(super) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGSTOP: from here on it does nothing, and does not know it.
    pub(super) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Waits until it has stopped itself.
    pub(super) async fn stopped(&self) {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        until("it has stopped itself", async || {
            let status = std::fs::read_to_string(&status).ok()?;
            status.contains("\nState:\tT").then_some(())
        })
        .await;
    }

    /// SIGCONT.
    pub(super) fn wake(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits until its one attempt at a run is over; gives how.
    pub(super) async fn attempt_over(&self) -> String {
        until("its attempt is over", async || {
            let metrics = reqwest::get(format!("{}/metrics", self.ops_url)).await.ok()?;
            let metrics = metrics.text().await.ok()?;
            let line = metrics
                .lines()
                .find(|line| line.starts_with("oddswire_scraper_runs_total{") && line.ends_with(" 1"))?;
            let (_, end) = line.split_once("end=\"")?;
            Some(end.split_once('"')?.0.to_owned())
        })
        .await
    }

    /// Ends it, if it has not ended.
    pub(super) async fn end(mut self) {
        if self.child.id().is_some() {
            self.child.kill().await.unwrap();
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().unwrap();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
    }
}
