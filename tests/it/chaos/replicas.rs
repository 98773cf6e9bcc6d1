//! The gateways under test: processes on fixed ports, killed and started again.

use super::Plan;
use crate::harness::until;
use oddswire_kit::child;
use std::{net::TcpListener, process::Stdio, time::Duration};
use tokio::{
    process::{Child, Command},
    sync::Mutex,
};

/// All of them.
#[derive(Debug)]
pub(super) struct Replicas {
    all: Vec<Replica>,
    nats_url: String,
    plan: Plan,
}

#[derive(Debug)]
struct Replica {
    port: u16,
    ops_port: u16,
    child: Mutex<Child>,
}

impl Replicas {
    pub(super) async fn start(nats_url: &str, plan: Plan) -> Self {
        let mut all = Vec::new();
        for _ in 0..plan.replicas {
            let (port, ops_port) = (free_port(), free_port());
            let child = Mutex::new(spawn(port, ops_port, nats_url, plan));
            all.push(Replica {
                port,
                ops_port,
                child,
            });
        }
        let replicas = Self {
            all,
            nats_url: nats_url.to_owned(),
            plan,
        };
        for replica in &replicas.all {
            let url = format!("http://127.0.0.1:{}/readyz", replica.ops_port);
            until("a replica to be ready", async || {
                reqwest::get(&url).await.is_ok_and(|a| a.status().is_success())
            })
            .await;
        }
        replicas
    }

    /// Where one of them listens.
    pub(super) fn address(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.all[number % self.all.len()].port)
    }

    /// SIGKILL, and a new one in its place.
    pub(super) async fn kill(&self, number: usize) {
        let replica = &self.all[number];
        let mut child = replica.child.lock().await;
        child.kill().await.unwrap();
        *child = spawn(replica.port, replica.ops_port, &self.nats_url, self.plan);
    }

    /// SIGTERM, and a new one when it has ended.
    pub(super) async fn drain(&self, number: usize) {
        let replica = &self.all[number];
        let mut child = replica.child.lock().await;
        let status = child::stop(&mut child, Duration::from_secs(20)).await;
        assert!(
            status.is_some_and(|s| s.success()),
            "a drained replica ends with 0: {status:?}"
        );
        *child = spawn(replica.port, replica.ops_port, &self.nats_url, self.plan);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn spawn(port: u16, ops_port: u16, nats_url: &str, plan: Plan) -> Child {
    Command::new(env!("CARGO_BIN_EXE_chaos-gateway"))
        .args([
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--ops-listen",
            &format!("127.0.0.1:{ops_port}"),
        ])
        .args([
            "--nats-url",
            nats_url,
            "--heartbeat-ms",
            "1000",
            "--linger-ms",
            "50",
            "--drain-delay-ms",
            "200",
            "--grace-ms",
            "3000",
        ])
        // Small, so that the log is read as well.
        .args([
            "--ring-bytes",
            &(1 << 20).to_string(),
            "--lose-live",
            &plan.lose_live.to_string(),
        ])
        .args(plan.off)
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
