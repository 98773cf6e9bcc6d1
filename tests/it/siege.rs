//! Well-behaved clients beside a hostile crowd, while gateways are killed, drained and told to read their configuration
//! again, and the bus is killed, lied on and started again: the well-behaved lose nothing, nothing panics, and the
//! memory of a gateway that lives through all of it stays where it was.

mod floods;
mod forger;
mod hostile;
mod unread;
mod watch;

use crate::{
    chaos::{
        Plan,
        client::{Client, Report},
        publisher::{Publisher, Truth},
        replicas::Replicas,
    },
    harness::{World, within},
};
use hostile::Crowd;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use watch::Watch;

/// The gateway that lives through all of it; the others die.
const SURVIVOR: usize = 0;

/// What a siege found.
struct Outcome {
    wrong: Vec<String>,
    watch: Watch,
}

#[expect(clippy::print_stderr, reason = "the figures of a long run are its result")]
async fn besiege(plan: Plan) -> Outcome {
    eprintln!("siege: {plan:?}");
    let mut world = World::new().await;
    let replicas = Arc::new(Replicas::start(&world.nats_url(), plan).await);
    let truth = Arc::new(Truth::default());
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let (hop, over) = (CancellationToken::new(), CancellationToken::new());
    let mut clients: JoinSet<Report> = JoinSet::new();
    for number in 0..plan.clients {
        let (replicas, truth) = (Arc::clone(&replicas), Arc::clone(&truth));
        let (client, joined) = Client::new(number, rng.random(), replicas, truth, plan.stay_ms);
        clients.spawn(client.run(hop.clone()));
        within("each client to join once", joined).await.unwrap();
    }
    let published = CancellationToken::new();
    let mut publishing = JoinSet::new();
    publishing.spawn(Publisher::new(world.bus.clone(), Arc::clone(&truth)).run(published.clone()));
    publishing.spawn(forger::run(world.bus.clone(), published.clone()));
    let crowd = Crowd::begin(&replicas, rng.random(), &over);
    let mut watch = Watch::begin(replicas.id(SURVIVOR).await);
    let end = Instant::now() + Duration::from_secs(plan.seconds);
    while Instant::now() < end {
        sleep(Duration::from_millis(rng.random_range(300..1_500))).await;
        look(&mut watch, &replicas, &truth).await;
        // Never the survivor.
        let other = rng.random_range(1..plan.replicas);
        match rng.random_range(0..20) {
            0..=5 => replicas.kill(other).await,
            6..=10 => replicas.drain(other).await,
            11..=17 => replicas.reload(SURVIVOR).await,
            _ => {
                world.kill_nats().await;
                sleep(Duration::from_millis(rng.random_range(0..800))).await;
                world.restart_nats().await;
            }
        }
    }
    over.cancel();
    let attacks = crowd.ended().await;
    published.cancel();
    within("the last events to be published", publishing.join_all()).await;
    truth.finish();
    hop.cancel();
    let reports = clients.join_all().await;
    look(&mut watch, &replicas, &truth).await;
    let events: u64 = reports.iter().map(|report| report.events).sum();
    let sessions: u64 = reports.iter().map(|report| report.sessions).sum();
    eprintln!(
        "siege: {events} events in {sessions} sessions of {} well-behaved clients",
        plan.clients
    );
    eprintln!("siege: {attacks}\nsiege: {watch}");
    let mut wrong: Vec<String> = reports.into_iter().flat_map(|report| report.wrong).collect();
    wrong.extend(
        attacks
            .idle()
            .map(|kind| format!("no attack of the kind {kind} was made")),
    );
    wrong.extend(replicas.panics().await);
    wrong.extend(
        replicas
            .is_dead(SURVIVOR)
            .await
            .then(|| "the survivor died".to_owned()),
    );
    Outcome { wrong, watch }
}

async fn look(watch: &mut Watch, replicas: &Replicas, truth: &Truth) {
    let runs = truth.runs.lock().unwrap().len();
    watch.look(&replicas.metrics(SURVIVOR).await, runs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn well_behaved_clients_lose_nothing_beside_hostile_ones() {
    let plan = Plan::of_environment(12);
    let Outcome { wrong, watch } = besiege(plan).await;
    assert!(
        wrong.is_empty(),
        "seed {}: {} things wrong, among them:\n{}",
        plan.seed,
        wrong.len(),
        wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
    // Only a long one has an end that can be compared with its beginning.
    if let Some((before, after)) = watch.memory() {
        assert!(
            after <= before * 1.15,
            "seed {}: the survivor had {before:.0} MiB after five minutes, and {after:.0} MiB in the end",
            plan.seed
        );
    }
}
