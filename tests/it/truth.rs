//! The pair, end to end: bookmakers' pages over HTTP, the scraper, NATS, gateways, clients; and the truth to compare.

use crate::harness::{Board, Gateway, Sse, World, Ws, frames, until, within};
use oddswire_demo_site::{DemoOptions, truth::Truth};
use oddswire_kit::roles::Role;
use oddswire_protocol::{
    RunId,
    api::Started,
    envelope::{MessageType, Received},
    progress::{Outcome, Phase, ScrapeProgress, Status},
};
use oddswire_scraper::{ScraperOptions, fetch::FetchOptions};
use std::{collections::BTreeSet, path::Path};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Demo bookmakers whose clock stands still, a scraper without a schedule, and a gateway.
pub(crate) struct Pair {
    pub(crate) world: World,
    demo: String,
    pub(crate) gateway: Gateway,
    pub(crate) scraper_ready: String,
    _stop: DropGuard,
    _tasks: JoinSet<()>,
}

impl Pair {
    pub(crate) async fn new() -> Self {
        Self::over(World::new().await).await
    }

    pub(crate) async fn over(world: World) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let demo = format!("http://{}", listener.local_addr().unwrap());
        let options = DemoOptions {
            speed: 0.0,
            ..DemoOptions::default()
        };
        let demo_stop = stop.clone();
        tasks.spawn(async move {
            oddswire_demo_site::run(options, listener, demo_stop)
                .await
                .unwrap();
        });
        let operators = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ready = format!("http://{}/readyz", operators.local_addr().unwrap());
        let options = ScraperOptions {
            bus: world.options_of(Role::Scraper),
            ops_listen: operators.local_addr().unwrap(),
            sources: Path::new(env!("CARGO_MANIFEST_DIR")).join("../sources"),
            concurrency: 4,
            worker_id: "test-1".into(),
            no_schedule: true,
            fetch: FetchOptions::default(),
        };
        let (scraper_stop, url) = (stop.clone(), demo.clone());
        tasks.spawn(async move {
            let lookup = move |name: &str| (name == "DEMO_URL").then(|| url.clone());
            oddswire_scraper::run(options, operators, lookup, scraper_stop)
                .await
                .unwrap();
        });
        let gateway = world.gateway().await;
        gateway.wait_ready().await;
        until("the scraper to be ready", async || {
            reqwest::get(&ready)
                .await
                .is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        until("the sources to be known", async || {
            gateway.get("/api/sources").await.1["sources"]
                .as_array()
                .is_some_and(|all| all.len() == 4)
        })
        .await;
        let pair = Self {
            world,
            demo,
            gateway,
            scraper_ready: ready,
            _stop: stop.drop_guard(),
            _tasks: tasks,
        };
        // The same world in every run of the test: two hours after this moment a market is withdrawn from an event whose
        // kick-off has moved.
        pair.control("clock", r#"{"at":"2026-11-22T23:56:30.000Z"}"#)
            .await;
        pair
    }

    /// What the bookmakers show now.
    pub(crate) async fn truth(&self) -> Board {
        let answer = reqwest::get(format!("{}/__demo/truth", self.demo)).await.unwrap();
        let truth: Truth = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        Board::of_truth(&truth)
    }

    /// Moves the bookmakers' clock on.
    pub(crate) async fn advance(&self, minutes: u64) {
        self.control("clock", &format!(r#"{{"advance_ms":{}}}"#, minutes * 60_000))
            .await;
    }

    pub(crate) async fn control(&self, what: &str, body: &str) {
        let request = reqwest::Client::new()
            .post(format!("{}/__demo/{what}", self.demo))
            .header("content-type", "application/json")
            .body(body.to_owned());
        let answer = request.send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{what} {body}: {}",
            answer.text().await.unwrap()
        );
    }

    pub(crate) async fn start(&self, body: &str) -> Vec<RunId> {
        let (status, started) = self.gateway.post("/api/scrapes", body).await;
        assert_eq!(status, 202, "{started}");
        let started: Started = serde_json::from_value(started).unwrap();
        assert_eq!((started.workers, started.busy.len()), (1, 0));
        started.runs.into_iter().map(|run| run.run_id).collect()
    }
}

/// Follows a connection until all of these runs are over. Gives every message, and the last image of each run.
async fn follow(client: &mut impl Client, runs: &[RunId]) -> (Vec<String>, Vec<ScrapeProgress>) {
    let mut open: BTreeSet<&RunId> = runs.iter().collect();
    let (mut texts, mut ends) = (Vec::new(), Vec::new());
    while !open.is_empty() {
        let text = client.next_text().await;
        frames::check_whole(&text);
        let message: Received = serde_json::from_str(&text).unwrap();
        if message.message_type == MessageType::ScrapeProgress {
            let progress: ScrapeProgress = message.data().unwrap();
            if progress.status.is_terminal() {
                assert!(open.remove(&progress.run_id), "a run ended twice: {progress:?}");
                ends.push(progress);
            }
        }
        if message.message_type != MessageType::Heartbeat {
            texts.push(text);
        }
    }
    (texts, ends)
}

trait Client {
    async fn next_text(&mut self) -> String;
}

impl Client for Ws {
    async fn next_text(&mut self) -> String {
        self.text().await
    }
}

impl Client for Sse {
    async fn next_text(&mut self) -> String {
        self.next().await.data
    }
}

fn put_together(board: &mut Board, texts: &[String]) {
    for text in texts {
        board.apply(&serde_json::from_str(text).unwrap());
    }
}

fn from_bus(texts: &[String]) -> Vec<&String> {
    let own = ["connection_ack", "caught_up", "heartbeat"].map(|name| format!("{{\"type\":\"{name}\""));
    let mut bus: Vec<&String> = texts
        .iter()
        .filter(|t| !own.iter().any(|own| t.starts_with(own)))
        .collect();
    bus.sort();
    bus
}

fn assert_true(board: &Board, truth: &Board, when: &str) {
    let differences = board.differences(truth);
    assert!(
        differences.is_empty(),
        "{when}: {} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[tokio::test]
async fn the_board_put_together_from_either_transport_is_the_truth_of_all_four_bookmakers() {
    let pair = Pair::new().await;
    let mut socket = pair.gateway.ws("").await;
    let mut stream = pair.gateway.sse("").await;
    socket.next_of(MessageType::CaughtUp).await;
    stream.until(MessageType::CaughtUp).await;
    let (mut by_socket, mut by_stream) = (Board::default(), Board::default());
    for minutes in [0, 1, 7, 45, 120] {
        pair.advance(minutes).await;
        // What is not shown any more is withdrawn when it was missed twice.
        for _ in 0..2 {
            let runs = pair.start("").await;
            let (texts, ends) = follow(&mut socket, &runs).await;
            put_together(&mut by_socket, &texts);
            let (streamed, _) = follow(&mut stream, &runs).await;
            put_together(&mut by_stream, &streamed);
            assert_eq!(
                from_bus(&texts),
                from_bus(&streamed),
                "the same bytes on both transports"
            );
            for end in ends {
                assert_eq!(
                    (end.status, end.outcome),
                    (Status::Completed, Some(Outcome::Complete)),
                    "{end:?}"
                );
            }
        }
        let truth = pair.truth().await;
        assert!(
            truth.cells.len() > 500,
            "a board worth comparing: {}",
            truth.cells.len()
        );
        assert_true(&by_socket, &truth, &format!("by WebSocket after {minutes} min"));
        assert_true(&by_stream, &truth, &format!("by SSE after {minutes} min"));
    }
    // A client that comes only now gets the same board.
    let mut late = pair.gateway.ws("topics=odds_updates&since=snapshot").await;
    let (messages, _) = late.until(MessageType::CaughtUp).await;
    let mut board = Board::default();
    for message in &messages {
        board.apply(message);
    }
    assert_true(&board, &pair.truth().await, "by snapshot");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_three_servers_the_board_is_the_truth_though_servers_die_in_the_middle_of_runs() {
    let mut pair = Pair::over(World::cluster().await).await;
    let mut client = pair.gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    let mut board = Board::default();
    for minutes in [0, 7] {
        pair.advance(minutes).await;
        for is_killed in [true, false] {
            // A run's last event comes before its job is done.
            until("the sources to be free", async || {
                let bus = &pair.world.bus;
                let jobs = bus.subjects().job_all();
                bus.leader_next(&bus.names().jobs, 1, &jobs).await == Ok(None)
            })
            .await;
            let runs = pair.start("").await;
            if is_killed {
                pair.world.kill_nats().await;
            }
            let (texts, ends) = follow(&mut client, &runs).await;
            put_together(&mut board, &texts);
            let mut ends = ends.iter();
            assert!(ends.all(|end| end.status == Status::Completed), "{texts:#?}");
            if is_killed {
                pair.world.restart_nats().await;
                pair.gateway.wait_ready().await;
            }
        }
        let when = format!("after {minutes} min");
        assert_true(&board, &pair.truth().await, &when);
    }
}

#[tokio::test]
async fn the_pair_does_all_its_work_with_least_permissions() {
    let pair = Pair::over(World::secured().await).await;
    let mut client = pair.gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    let mut board = Board::default();
    let runs = pair.start("").await;
    put_together(&mut board, &follow(&mut client, &runs).await.0);
    assert_true(&board, &pair.truth().await, "over a secured bus");
    let (status, workers) = pair.gateway.get("/api/workers").await;
    assert_eq!(
        (status, workers["workers"].as_array().map(Vec::len)),
        (200, Some(1))
    );
    let (status, board) = pair.gateway.get("/api/odds").await;
    assert_eq!(status, 200, "{board}");
    assert_eq!(pair.gateway.get("/api/scrapes").await.0, 200);
    let runs = pair.start(r#"{"sources":["bravo"]}"#).await;
    let path = format!("/api/scrapes/{}/cancel", runs[0]);
    let (status, answer) = pair.gateway.post(&path, "").await;
    assert!(status < 300, "{answer}");
    let (_, ends) = follow(&mut client, &runs).await;
    assert!(ends[0].status.is_terminal());
    // Whatever either was refused would stand here.
    pair.gateway.wait_ready().await;
    assert_eq!(reqwest::get(&pair.scraper_ready).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_run_walks_its_phases_in_order_and_its_odds_come_before_its_end() {
    let pair = Pair::new().await;
    let mut client = pair.gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    let runs = pair.start(r#"{"sources":["bravo"]}"#).await;
    let (texts, _) = follow(&mut client, &runs).await;
    let messages: Vec<Received> = texts.iter().map(|t| serde_json::from_str(t).unwrap()).collect();
    let progress: Vec<ScrapeProgress> = messages
        .iter()
        .filter(|m| m.message_type == MessageType::ScrapeProgress)
        .map(|m| m.data().unwrap())
        .collect();
    assert!(
        progress.windows(2).all(|w| w[1].seq == w[0].seq + 1),
        "every event, in order"
    );
    assert!(progress.windows(2).all(|w| w[1].phase >= w[0].phase));
    let phases: Vec<Phase> = progress.last().unwrap().phases.iter().map(|p| p.phase).collect();
    let walked = [
        Phase::Initializing,
        Phase::Discovering,
        Phase::Scraping,
        Phase::Mapping,
        Phase::Storing,
    ];
    assert_eq!(phases[..5], walked);
    let changed = messages
        .iter()
        .filter(|m| m.message_type == MessageType::OddsUpdate)
        .count() as u64;
    assert_eq!(
        progress.last().unwrap().changed_count,
        changed,
        "all odds came before the end"
    );
    assert!(
        messages
            .iter()
            .any(|m| m.message_type == MessageType::OddsConfirmed)
    );
}

#[tokio::test]
async fn a_source_in_trouble_says_so_and_the_others_go_on() {
    let pair = Pair::new().await;
    let mut client = pair.gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    let mut board = Board::default();
    let runs = pair.start("").await;
    put_together(&mut board, &follow(&mut client, &runs).await.0);
    for (book, fault) in [
        ("alpha", r#"{"kind":"block_page"}"#),
        ("bravo", r#"{"kind":"truncated_json"}"#),
        ("charlie", r#"{"kind":"layout_drift"}"#),
    ] {
        pair.control("faults", &format!(r#"{{"book":"{book}","fault":{fault}}}"#))
            .await;
    }
    // Three times: trouble is never taken for "not offered any more".
    for _ in 0..3 {
        let runs = pair.start("").await;
        let (texts, ends) = follow(&mut client, &runs).await;
        put_together(&mut board, &texts);
        let outcome = |source: &str| ends.iter().find(|e| e.source.as_str() == source).unwrap();
        assert_eq!(
            outcome("alpha").outcome,
            Some(Outcome::Blocked),
            "{:?}",
            outcome("alpha")
        );
        assert_eq!(
            outcome("bravo").outcome,
            Some(Outcome::Broken),
            "{:?}",
            outcome("bravo")
        );
        assert_eq!(
            outcome("charlie").outcome,
            Some(Outcome::Broken),
            "{:?}",
            outcome("charlie")
        );
        assert_eq!(
            outcome("delta").outcome,
            Some(Outcome::Complete),
            "{:?}",
            outcome("delta")
        );
    }
    assert_true(
        &board,
        &pair.truth().await,
        "the clock stands still, so nothing may have changed",
    );
}

#[tokio::test]
async fn a_gateway_that_dies_never_stops_a_scrape() {
    let pair = Pair::new().await;
    pair.control(
        "faults",
        r#"{"book":"alpha","fault":{"kind":"latency","ms":200}}"#,
    )
    .await;
    let mut client = pair.gateway.ws("topics=scrape_progress&since=now").await;
    client.next_of(MessageType::CaughtUp).await;
    let runs = pair.start(r#"{"sources":["alpha"]}"#).await;
    client.next_of(MessageType::ScrapeProgress).await;
    let Pair {
        world,
        gateway,
        _stop,
        _tasks,
        ..
    } = pair;
    gateway.stop().await.unwrap();
    let other = world.gateway().await;
    let path = format!("/api/scrapes/{}", runs[0]);
    let ended = until("the run to end", async || {
        other.get(&path).await.1["status"] == "completed"
    });
    within("the end", ended).await;
}
