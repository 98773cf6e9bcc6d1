//! Clients hop between gateways that are killed, drained and started again, while NATS is killed and started again and
//! live messages are lost on purpose. In the end every client has every run event exactly once in order, and a board
//! equal to the truth.
//!
//! The controls: with a mechanism off the same test finds something wrong.

pub(crate) mod client;
pub(crate) mod publisher;
pub(crate) mod replicas;

use crate::harness::World;
use client::{Client, Report};
use publisher::{Publisher, Truth};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use replicas::Replicas;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// One chaos run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
    pub(crate) clients: usize,
    /// The longest time that a client stays with a gateway.
    pub(crate) stay_ms: u64,
    pub(crate) replicas: usize,
    /// Whether NATS is a cluster of three nodes.
    cluster: bool,
    /// Whether gateways and NATS are killed at all.
    kills: bool,
    lose_live: f64,
    /// A mechanism that is off: a flag of the gateway under test.
    off: Option<&'static str>,
}

impl Plan {
    /// What the environment asks for, so that `cargo xtask chaos` can run long ones again.
    pub(crate) fn of_environment(seconds: u64) -> Self {
        let number = |name| oddswire_kit::env::lookup(name).and_then(|text| text.parse().ok());
        Self {
            seed: number("ODDSWIRE_CHAOS_SEED").unwrap_or_else(rand::random),
            seconds: number("ODDSWIRE_CHAOS_SECONDS").unwrap_or(seconds),
            clients: 50,
            stay_ms: 2_000,
            replicas: 3,
            cluster: false,
            kills: true,
            lose_live: 0.02,
            off: None,
        }
    }
}

/// Runs a plan; gives what clients found wrong.
#[expect(clippy::print_stderr, reason = "a failure can be run again by its seed")]
async fn run(plan: Plan) -> Vec<String> {
    eprintln!("chaos: {plan:?}");
    let mut world = if plan.cluster {
        World::cluster().await
    } else {
        World::new().await
    };
    let replicas = Arc::new(Replicas::start(&world.nats_url(), plan).await);
    let hop = CancellationToken::new();
    let truth = Arc::new(Truth::default());
    let mut clients: JoinSet<Report> = JoinSet::new();
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let mut joined = Vec::new();
    for number in 0..plan.clients {
        let (client, has_joined) = Client::new(
            number,
            rng.random(),
            Arc::clone(&replicas),
            Arc::clone(&truth),
            plan.stay_ms,
        );
        joined.push(has_joined);
        let hop = hop.clone();
        clients.spawn(client.run(hop));
    }
    for has_joined in joined {
        crate::harness::within("each client to join once", has_joined)
            .await
            .unwrap();
    }
    let published = CancellationToken::new();
    let mut publishing = JoinSet::new();
    publishing.spawn(Publisher::new(world.bus.clone(), Arc::clone(&truth)).run(published.clone()));
    let end = Instant::now() + Duration::from_secs(plan.seconds);
    while Instant::now() < end {
        sleep(Duration::from_millis(rng.random_range(200..1_200))).await;
        if !plan.kills {
            continue;
        }
        match rng.random_range(0..10) {
            0..=4 => replicas.kill(rng.random_range(0..plan.replicas)).await,
            5..=7 => replicas.drain(rng.random_range(0..plan.replicas)).await,
            _ => {
                world.kill_nats().await;
                sleep(Duration::from_millis(rng.random_range(0..800))).await;
                world.restart_nats().await;
            }
        }
    }
    published.cancel();
    crate::harness::within("the last events to be published", publishing.join_all()).await;
    // From now on nothing is killed: each client stays where it is until it has everything, or gives up.
    truth.finish();
    hop.cancel();
    let reports = clients.join_all().await;
    let events: u64 = reports.iter().map(|report| report.events).sum();
    let sessions: u64 = reports.iter().map(|report| report.sessions).sum();
    eprintln!(
        "chaos: {events} events in {sessions} sessions to {} clients",
        reports.len()
    );
    assert!(sessions > plan.clients as u64, "clients did not hop");
    reports.into_iter().flat_map(|report| report.wrong).collect()
}

fn first(wrong: &[String]) -> String {
    format!(
        "{} things wrong, among them:\n{}",
        wrong.len(),
        wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_has_every_run_event_once_in_order_and_the_true_board() {
    let plan = Plan::of_environment(15);
    let wrong = run(plan).await;
    assert!(wrong.is_empty(), "seed {}: {}", plan.seed, first(&wrong));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_chain_lost_messages_stay_lost() {
    let plan = Plan {
        off: Some("--no-chain"),
        kills: false,
        clients: 10,
        ..Plan::of_environment(5)
    };
    assert!(
        !run(plan).await.is_empty(),
        "lost messages were not noticed: the test proves nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_barrier_activation_loses_messages() {
    let plan = Plan {
        off: Some("--no-barrier"),
        kills: false,
        lose_live: 0.0,
        // So few, and so restless, that gateways are often without any, and activate again and again.
        clients: 2,
        stay_ms: 400,
        ..Plan::of_environment(8)
    };
    assert!(
        !run(plan).await.is_empty(),
        "messages lost at activation were not noticed: the test proves nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_three_nodes_every_client_has_every_run_event_once_in_order_and_the_true_board() {
    let plan = Plan {
        cluster: true,
        clients: 20,
        ..Plan::of_environment(12)
    };
    let wrong = run(plan).await;
    assert!(wrong.is_empty(), "seed {}: {}", plan.seed, first(&wrong));
}
