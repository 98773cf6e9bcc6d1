//! The gateways under test: processes on fixed ports, killed and started again.

use super::Plan;
use crate::harness::GatewayProcess;
use tokio::sync::Mutex;

/// All of them.
#[derive(Debug)]
pub(crate) struct Replicas {
    all: Vec<Replica>,
}

#[derive(Debug)]
struct Replica {
    address: String,
    process: Mutex<GatewayProcess>,
}

impl Replicas {
    pub(crate) async fn start(nats_url: &str, plan: Plan) -> Self {
        let args = args(plan);
        let mut all = Vec::new();
        for _ in 0..plan.replicas {
            let process = GatewayProcess::start(nats_url, &args);
            all.push(Replica {
                address: process.address(),
                process: Mutex::new(process),
            });
        }
        for replica in &all {
            replica.process.lock().await.wait_ready().await;
        }
        Self { all }
    }

    /// Where one of them listens.
    pub(crate) fn address(&self, number: usize) -> String {
        self.all[number % self.all.len()].address.clone()
    }

    /// SIGKILL, and a new one in its place.
    pub(crate) async fn kill(&self, number: usize) {
        let mut process = self.all[number].process.lock().await;
        process.kill().await;
        process.restart();
    }

    /// SIGHUP: it reads its configuration again.
    pub(crate) async fn reload(&self, number: usize) {
        self.all[number].process.lock().await.reload();
    }

    /// The id of its process.
    pub(crate) async fn id(&self, number: usize) -> u32 {
        self.all[number].process.lock().await.id().expect("it runs")
    }

    /// What it shows to Prometheus.
    pub(crate) async fn metrics(&self, number: usize) -> String {
        self.all[number].process.lock().await.metrics().await
    }

    /// Whether its process has ended by itself.
    pub(crate) async fn is_dead(&self, number: usize) -> bool {
        self.all[number].process.lock().await.is_dead()
    }

    /// What any of them said while it panicked.
    pub(crate) async fn panics(&self) -> Vec<String> {
        let mut found = Vec::new();
        for replica in &self.all {
            found.extend(replica.process.lock().await.panics());
        }
        found
    }

    /// SIGTERM, and a new one when it has ended.
    pub(crate) async fn drain(&self, number: usize) {
        let mut process = self.all[number].process.lock().await;
        let status = process.drain().await;
        assert!(
            status.is_some_and(|s| s.success()),
            "a drained replica ends with 0: {status:?}"
        );
        process.restart();
    }
}

fn args(plan: Plan) -> Vec<String> {
    let mut args: Vec<String> = [
        "--heartbeat-ms=1000",
        "--linger-ms=50",
        "--drain-delay-ms=200",
        "--grace-ms=3000",
        // Small, so that the log is read as well.
        "--ring-bytes=1048576",
    ]
    .map(str::to_owned)
    .into();
    args.push(format!("--lose-live={}", plan.lose_live));
    args.extend(plan.off.map(str::to_owned));
    args
}
