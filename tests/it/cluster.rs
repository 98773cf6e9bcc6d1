//! Three nodes as `deploy/nats-cluster` configures them, with a key a role, three copies of each stream, scrapers at work
//! and clients on two gateways: nodes die, and come back with what they had stored.
//!
//! Every client has every event of every run once, in order, and in the end a board equal to the truth. The control: one
//! that comes back without its cursor, from the same absences, misses events.

mod viewer;

use crate::{
    harness::{Board, Connection, Gateway, PATIENCE, Transport, World, until, within},
    truth::Pair,
};
use futures_util::future::join_all;
use oddswire_protocol::{
    Feed, RunId,
    envelope::MessageType,
    progress::Outcome,
    server::{Heartbeat, Upstream, Verdict},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};
use tokio::time::timeout;
use viewer::Viewer;

/// Pages take so long that every run is in the middle while a node dies.
const SLOW: &str = r#"{"book":"BOOK","fault":{"kind":"latency","ms":100}}"#;
const BOOKS: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
/// Elections take up to 9 s each, and a job whose worker was cut off is handed out again after 30 s.
const OUTAGE: Duration = PATIENCE.saturating_mul(3);

/// The pair over a cluster, a second gateway, and who watches.
struct Stage {
    pair: Pair,
    other: Gateway,
    /// The runs of earlier rounds.
    earlier: Mutex<BTreeSet<RunId>>,
}

impl Stage {
    async fn new(config: &str) -> Self {
        let pair = Pair::over(World::secured_cluster(config).await).await;
        let other = pair.world.gateway().await;
        other.wait_ready().await;
        for book in BOOKS {
            pair.control("faults", &SLOW.replace("BOOK", book)).await;
        }
        Self {
            pair,
            other,
            earlier: Mutex::default(),
        }
    }

    fn address(&self, gateway: usize) -> &str {
        [&self.pair.gateway, &self.other][gateway].address.as_str()
    }

    async fn viewers(&self) -> Vec<Viewer> {
        let places = [
            (0, Transport::Ws),
            (0, Transport::Sse),
            (1, Transport::Ws),
            (1, Transport::Sse),
        ];
        let viewers = places.map(|(gateway, transport)| async move {
            Viewer::new(transport, gateway, self.address(gateway)).await
        });
        join_all(viewers).await
    }

    /// Starts a run of every source. While leaders are elected nobody can. A request that was answered with an error may
    /// have started some of its runs, which are busy then; so is a source whose last run is over a moment before its job.
    async fn start(&self) -> Vec<RunId> {
        let started = async {
            let mut runs = BTreeMap::new();
            while runs.len() < BOOKS.len() {
                let missing: Vec<&str> = BOOKS
                    .into_iter()
                    .filter(|book| !runs.contains_key(*book))
                    .collect();
                let body = serde_json::json!({ "sources": missing }).to_string();
                let (_, answer) = self.pair.gateway.post("/api/scrapes", &body).await;
                let told = ["runs", "busy"].map(|list| answer[list].as_array().cloned().unwrap_or_default());
                for run in told.concat() {
                    if let (Some(source), Some(run_id)) = (run["source"].as_str(), run["run_id"].as_str()) {
                        let run_id: RunId = run_id.parse().unwrap();
                        if !self.earlier.lock().unwrap().contains(&run_id) {
                            runs.insert(source.to_owned(), run_id);
                        }
                    }
                }
            }
            let runs: Vec<RunId> = runs.into_values().collect();
            self.earlier.lock().unwrap().extend(runs.iter().cloned());
            runs
        };
        within("runs to start", started).await
    }
}

/// All of them at once, until each has seen this.
async fn all_see(what: &str, viewers: &mut [Viewer], seen: impl Fn(&Viewer) -> bool + Copy) {
    let watching = viewers.iter_mut().map(|viewer| viewer.until(seen));
    if timeout(OUTAGE, join_all(watching)).await.is_err() {
        let states: Vec<String> = viewers
            .iter()
            .filter(|viewer| !seen(viewer))
            .map(Viewer::state)
            .collect();
        panic!("waited too long for {what} at:\n{}", states.join("\n"));
    }
}

/// A clean round and another, since what is missing is withdrawn when it was missed twice: then all see the truth.
async fn all_see_the_truth(stage: &Stage, viewers: &mut [Viewer]) {
    for _ in 0..2 {
        let runs = stage.start().await;
        all_see("the last runs", viewers, |viewer| viewer.over(&runs)).await;
        for (run, end) in viewers[0].runs.iter().filter(|(run, _)| runs.contains(run)) {
            assert_eq!(end.outcome, Some(Outcome::Complete), "{run}: {end:?}");
        }
    }
    let truth: Board = stage.pair.truth().await;
    assert!(truth.cells.len() > 500, "a board worth comparing");
    let first: Vec<RunId> = viewers[0].runs.keys().cloned().collect();
    for viewer in viewers {
        assert_eq!(viewer.wrong, Vec::<String>::new(), "{}", viewer.state());
        assert_eq!(
            viewer.runs.keys().cloned().collect::<Vec<_>>(),
            first,
            "{}",
            viewer.state()
        );
        let differences = viewer.board.differences(&truth);
        assert!(
            differences.is_empty(),
            "{}: {} differences: {:#?}",
            viewer.state(),
            differences.len(),
            differences.first()
        );
    }
}

/// Which node dies.
#[derive(Debug, Clone, Copy)]
enum Victim {
    LeaderOf(&'static str),
    FollowerOf(&'static str),
    MetaLeader,
}

const VICTIMS: [Victim; 4] = [
    Victim::LeaderOf("RUNS"),
    Victim::LeaderOf("ODDS"),
    Victim::FollowerOf("RUNS"),
    Victim::MetaLeader,
];

impl Victim {
    async fn node(self, world: &World) -> usize {
        match self {
            Self::LeaderOf(stream) => world.leader_of(stream).await,
            Self::FollowerOf(stream) => (world.leader_of(stream).await + 1) % 3,
            Self::MetaLeader => world.meta_leader().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_node_dies_every_run_goes_on_and_every_client_has_everything() {
    let mut stage = Stage::new("node.conf").await;
    let mut viewers = stage.viewers().await;
    // Comes back without its cursor.
    let mut forgetful = Viewer::new(Transport::Ws, 0, stage.address(0)).await;
    for (round, victim) in VICTIMS.into_iter().enumerate() {
        stage.pair.advance(7).await;
        let runs = stage.start().await;
        all_see("the runs to move", &mut viewers, |viewer| viewer.knows(&runs)).await;
        forgetful.until(|viewer| viewer.knows(&runs)).await;
        assert!(!viewers[0].over(&runs), "{victim:?}: the runs were over too soon");
        let node = victim.node(&stage.pair.world).await;
        stage.pair.world.kill_node(node).await;
        // One goes on at the other gateway at once. Two stay away until the runs are over.
        let mut away = viewers.remove(0);
        away.leave();
        forgetful.leave();
        let elsewhere = 1 - viewers[round % 3].gateway;
        viewers[round % 3].come(elsewhere, stage.address(elsewhere)).await;
        all_see("the runs to end", &mut viewers, |viewer| viewer.over(&runs)).await;
        let elsewhere = 1 - away.gateway;
        away.come(elsewhere, stage.address(elsewhere)).await;
        viewers.push(away);
        all_see("what passed by", &mut viewers, |viewer| viewer.over(&runs)).await;
        forgetful
            .come_without_cursor(elsewhere, stage.address(elsewhere))
            .await;
        assert!(
            !forgetful.over(&runs),
            "without a cursor it missed nothing: this proves nothing"
        );
        stage.pair.world.start_node(node).await;
        stage.pair.world.caught_up(node).await;
    }
    all_see_the_truth(&stage, &mut viewers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_of_three_down_clients_are_told_and_wait_and_when_they_are_back_nothing_is_lost() {
    let mut stage = Stage::new("node-tls.conf").await;
    let mut viewers = stage.viewers().await;
    let runs = stage.start().await;
    all_see("the runs to move", &mut viewers, |viewer| viewer.knows(&runs)).await;
    let leader = stage.pair.world.leader_of("RUNS").await;
    let down = [leader, (leader + 1) % 3];
    for node in down {
        stage.pair.world.kill_node(node).await;
    }
    assert!(!viewers[0].over(&runs), "the runs were over too soon");
    let gateways = [&stage.pair.gateway, &stage.other];
    for gateway in gateways {
        let ready = format!("{}/readyz", gateway.ops);
        until("a gateway to be unready", async || {
            reqwest::get(&ready).await.unwrap().status() == 503
        })
        .await;
    }
    // Which node a gateway was connected to decides which of the two it says.
    let told = |viewer: &Viewer| [Upstream::Stale, Upstream::Down].contains(&viewer.upstream);
    all_see("word of the outage", &mut viewers, told).await;
    for gateway in gateways {
        let (status, problem) = gateway.get("/api/odds").await;
        assert_eq!((status, problem["code"].as_str()), (503, Some("bus_unavailable")));
    }
    // Whoever comes now, from either gateway to the other, keeps its cursor.
    let mut came = Vec::new();
    for viewer in &viewers {
        let gateway = gateways[1 - viewer.gateway];
        let since = viewer.cursor.to_string();
        let mut client = Connection::open(viewer.transport, &gateway.address, "", &since).await;
        let ack = client.acknowledged().await;
        assert_eq!(ack.resume.verdict, Verdict::Unavailable);
        let told: Heartbeat = client.next_of(MessageType::Heartbeat).await.data().unwrap();
        assert_ne!(told.upstream, Upstream::Ok);
        for feed in Feed::ALL {
            assert_eq!(ack.cursor.position(feed), viewer.cursor.position(feed));
        }
        came.push(viewer.at(client, 1 - viewer.gateway));
    }
    viewers.extend(came);
    for node in down {
        stage.pair.world.start_node(node).await;
    }
    all_see("the runs to end", &mut viewers, |viewer| viewer.over(&runs)).await;
    for viewer in &viewers[4..] {
        assert_eq!(viewer.resumed, [Verdict::Replayed], "{}", viewer.state());
    }
    for gateway in [&stage.pair.gateway, &stage.other] {
        gateway.wait_ready().await;
    }
    all_see_the_truth(&stage, &mut viewers).await;
}
