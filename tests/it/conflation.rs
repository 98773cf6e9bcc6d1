//! Clients that ask for at most one message a key in a time.

use crate::{
    front::metric,
    harness::{Gateway, Quote, Sse, World, odds_key, run_image, run_key, until, update, within},
    slow::Told,
};
use oddswire_gateway::trial::Trial;
use oddswire_protocol::{
    RunId, Timestamp,
    envelope::{MessageType, Received},
    header::{AFTER, ATTEMPT, BATCH, STATUS},
    odds::OddsUpdate,
    progress::{ScrapeProgress, Status},
    server::{CaughtUp, ConnectionAck, ErrorCode, ErrorData, Heartbeat},
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::Instant,
};

/// More clients of one class than a shard writes to without looking at its sockets in between.
const CROWD: usize = 300;

#[tokio::test]
async fn a_conflating_client_gets_the_newest_of_each_key_at_most_once_in_its_time() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut all = gateway.ws("topics=odds_updates").await;
    all.next_of(MessageType::CaughtUp).await;
    let mut socket = gateway.ws("topics=odds_updates&conflate_ms=400&since=now").await;
    let ack: ConnectionAck = socket.next().await.data().unwrap();
    assert_eq!(ack.conflate_ms, 400);
    socket.next_of(MessageType::CaughtUp).await;
    let begun = Instant::now();
    for number in 1..=200 {
        world.small_odds_event("e1", number).await;
        world.small_odds_event("e2", number).await;
    }
    let mut told = Told::default();
    let mut ids = 0;
    let mut arrivals: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    while told.odds.len() < 2 || told.odds.values().any(|(newest, _)| *newest < 200) {
        let message = socket.next_event().await;
        ids += u64::from(message.id.is_some());
        told.take(&message);
        let image: OddsUpdate = message.data().unwrap();
        arrivals
            .entry(image.event_ids[0].to_string())
            .or_default()
            .push(Instant::now());
    }
    let ticks = u64::try_from(begun.elapsed().as_millis() / 400).unwrap() + 1;
    for (event, (_, count)) in &told.odds {
        assert!(*count <= ticks, "{event}: {count} messages in {ticks} ticks");
    }
    let messages: u64 = told.odds.values().map(|(_, count)| count).sum();
    assert!(
        ids < messages,
        "one message of a flush has a position: {ids} of {messages}"
    );
    let mut everything = Told::default();
    while everything.odds.len() < 2 || everything.odds.values().any(|(newest, _)| *newest < 200) {
        everything.take(&all.next_event().await);
    }
    assert!(everything.odds.values().all(|(_, count)| *count == 200));
}

impl World {
    pub(crate) async fn small_odds_event(&self, event: &str, number: u64) {
        let mut image = update(event, "alpha", "1.85".parse().unwrap(), Timestamp::now());
        image.snapshot_count = usize::try_from(number).unwrap();
        let payload = serde_json::to_vec(&image).unwrap();
        let id = format!("{event}:{number}:{}", RunId::new());
        self.event(&odds_key(event, "alpha"), &id, Vec::new(), &payload)
            .await;
    }
}

#[tokio::test]
async fn the_end_of_a_run_does_not_wait_for_the_tick_and_nothing_of_the_run_comes_after_it() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut socket = gateway
        .ws("topics=scrape_progress&conflate_ms=60000&since=now")
        .await;
    let mut stream = gateway.sse("topics=scrape_progress&conflate_ms=60000").await;
    socket.next_of(MessageType::CaughtUp).await;
    stream.until(MessageType::CaughtUp).await;
    let (short, long) = (RunId::new(), RunId::new());
    for seq in 1..=10 {
        world.run_event("alpha", &short, seq, Status::Running).await;
        world.run_event("bravo", &long, seq, Status::Running).await;
    }
    world.run_event("alpha", &short, 11, Status::Completed).await;
    let told = Told::until_terminal(&mut socket).await;
    assert_eq!(
        told.runs.into_iter().collect::<Vec<_>>(),
        [(short.clone(), vec![11])]
    );
    let event = stream.next_event().await;
    assert_eq!(event.id, None, "older messages wait, so this one has no position");
    // What waits is not lost: it comes as soon as the client asks for everything.
    socket
        .send(r#"{"type":"subscribe","topics":["scrape_progress"],"conflate_ms":0}"#)
        .await;
    let waited: ScrapeProgress = socket.next_of(MessageType::ScrapeProgress).await.data().unwrap();
    assert_eq!((waited.run_id, waited.seq), (long, 10));
}

impl World {
    /// An image of e1 at alpha, one of e2 at bravo, and the end of a run of alpha that comes after both.
    async fn odds_and_end_of(&self, run: &RunId) {
        let mut last = 0;
        for (event, source) in [("e1", "alpha"), ("e2", "bravo")] {
            let price = "1.85";
            last = self.odds_event(&Quote { event, source, price }).await.seq;
        }
        let image = run_image("alpha", run, 2, Status::Completed);
        let headers = vec![
            (STATUS, Status::Completed.as_str().to_owned()),
            (ATTEMPT, "1".to_owned()),
            (BATCH, image.batch_id.to_string()),
            (AFTER, last.to_string()),
        ];
        let payload = serde_json::to_vec(&image).unwrap();
        self.event(&run_key("alpha", run), &format!("{run}:1:2"), headers, &payload)
            .await;
    }
}

/// The source and type of the first two messages that come to clients of each kind: those that a shard serves, and one
/// that has a loop of its own, because its connection was used before.
async fn first_two_of_a_run(trial: Trial) -> Vec<Vec<(MessageType, String)>> {
    let world = World::new().await;
    let gateway = Gateway::start_on_trial(&world.nats_url(), trial, |_| {}).await;
    let query = "conflate_ms=60000&since=now";
    let mut socket = gateway.ws(query).await;
    socket.next_of(MessageType::CaughtUp).await;
    let mut stream = gateway.sse(query).await;
    stream.until(MessageType::CaughtUp).await;
    let used = reqwest::Client::builder()
        .pool_max_idle_per_host(1)
        .build()
        .unwrap();
    let first = used.get(gateway.url("/api/odds")).send().await.unwrap();
    first.bytes().await.unwrap();
    let again = used
        .get(gateway.url(&format!("/api/events?{query}")))
        .send()
        .await
        .unwrap();
    let mut looped = Sse::of(again);
    looped.until(MessageType::CaughtUp).await;
    world.odds_and_end_of(&RunId::new()).await;
    let of = |message: &Received| {
        let data: serde_json::Value = serde_json::from_str(message.data.get()).unwrap();
        (message.message_type, data["source"].as_str().unwrap().to_owned())
    };
    let mut seen = vec![Vec::new(); 3];
    for _ in 0..2 {
        let message = socket.next_event().await;
        assert_eq!(message.id, None, "that of bravo waits");
        seen[0].push(of(&message));
        seen[1].push(of(&stream.next_event().await.message()));
        seen[2].push(of(&looped.next_event().await.message()));
        if trial.ends_overtake_odds {
            break;
        }
    }
    seen
}

#[tokio::test]
async fn the_end_of_a_run_that_does_not_wait_for_the_tick_comes_after_the_odds_of_its_source() {
    let alpha = |message_type| (message_type, "alpha".to_owned());
    for seen in first_two_of_a_run(Trial::default()).await {
        let expected = [alpha(MessageType::OddsUpdate), alpha(MessageType::ScrapeProgress)];
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn without_that_the_end_of_a_run_overtakes_its_odds() {
    let trial = Trial {
        ends_overtake_odds: true,
        ..Trial::default()
    };
    for seen in first_two_of_a_run(trial).await {
        assert_eq!(seen, [(MessageType::ScrapeProgress, "alpha".to_owned())]);
    }
}

/// A gateway whose one shard stands still while `block` is set.
async fn gateway_that_blocks(world: &World) -> (Gateway, &'static AtomicBool) {
    let block: &'static AtomicBool = Box::leak(Box::default());
    let trial = Trial {
        block_shards: Some(block),
        ..Trial::default()
    };
    let gateway = Gateway::start_on_trial(&world.nats_url(), trial, |options| options.shards = 1).await;
    (gateway, block)
}

/// What a shard finds at once when it goes on: an image of bravo, ends of runs of alpha, and the end of a run of bravo.
async fn ends_in_one_sweep(world: &World, gateway: &Gateway, alphas: &[RunId], bravo: &RunId) {
    let ingested = async |feed: &str| {
        let name = format!("oddswire_gateway_ingest_delay_seconds_count{{feed=\"{feed}\"}}");
        metric(gateway, &name).await
    };
    let (event, source, price) = ("e2", "bravo", "1.85");
    let (odds, runs) = (ingested("odds").await, ingested("run").await);
    let quote = Quote { event, source, price };
    world.odds_event(&quote).await;
    until("the image", async || ingested("odds").await > odds).await;
    for run in alphas {
        world.big_run_event(run, 1, Status::Completed).await;
    }
    world.run_event(source, bravo, 1, Status::Completed).await;
    let all = runs + alphas.len() as u64 + 1;
    until("the ends", async || ingested("run").await == all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_run_has_no_position_while_odds_wait_that_come_with_the_next_end() {
    let world = World::new().await;
    let (gateway, block) = gateway_that_blocks(&world).await;
    let query = "conflate_ms=60000&since=now";
    let mut socket = gateway.ws(query).await;
    socket.next_of(MessageType::CaughtUp).await;
    socket.next_of(MessageType::Heartbeat).await;
    block.store(true, SeqCst);
    ends_in_one_sweep(&world, &gateway, &[RunId::new()], &RunId::new()).await;
    block.store(false, SeqCst);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let message = socket.next_event().await;
        seen.push((message.message_type, message.id.is_some()));
    }
    let end = MessageType::ScrapeProgress;
    assert_eq!(
        seen,
        [(end, false), (MessageType::OddsUpdate, false), (end, true)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_socket_is_full_at_the_end_of_a_run_gets_the_odds_that_come_with_the_next_end() {
    let world = World::new().await;
    let (gateway, block) = gateway_that_blocks(&world).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(gateway.address.parse().unwrap()).await.unwrap();
    let head = "GET /api/events?conflate_ms=60000&since=now HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    read_until(&mut stream, &mut seen, "event: heartbeat").await;
    // Another one of the same class has what the full socket has taken.
    let mut other = gateway.ws("conflate_ms=60000&since=now").await;
    other.next_of(MessageType::CaughtUp).await;
    other.next_of(MessageType::Heartbeat).await;
    let (filling, alphas) = ([(); 4].map(|()| RunId::new()), [(); 5].map(|()| RunId::new()));
    for run in &filling {
        world.big_run_event(run, 1, Status::Completed).await;
        other.next_of(MessageType::ScrapeProgress).await;
    }
    block.store(true, SeqCst);
    let bravo = RunId::new();
    ends_in_one_sweep(&world, &gateway, &alphas, &bravo).await;
    block.store(false, SeqCst);
    read_until(&mut stream, &mut seen, &bravo.to_string()).await;
    assert_eq!(seen.matches("event: odds_update").count(), 1);
    for run in filling.iter().chain(&alphas) {
        assert!(seen.contains(&run.to_string()), "{run}");
    }
}

/// Reads until something was said.
async fn read_until(stream: &mut TcpStream, seen: &mut String, said: &str) {
    let mut bytes = [0; 4_096];
    while !seen.contains(said) {
        let count = within(said, stream.read(&mut bytes)).await.unwrap();
        assert_ne!(count, 0, "the end of the stream before {said}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

#[tokio::test]
async fn a_heartbeat_of_a_conflating_client_does_not_run_ahead_of_what_waits() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut socket = gateway
        .ws("topics=odds_updates&conflate_ms=60000&since=now")
        .await;
    socket.next_of(MessageType::CaughtUp).await;
    let mut watcher = gateway.ws("topics=odds_updates").await;
    watcher.next_of(MessageType::CaughtUp).await;
    world.small_odds_event("e1", 7).await;
    watcher.next_of(MessageType::OddsUpdate).await;
    socket.next_of(MessageType::Heartbeat).await;
    let heartbeat: Heartbeat = socket.next_of(MessageType::Heartbeat).await.data().unwrap();
    let query = format!("topics=odds_updates&since={}", heartbeat.cursor);
    let mut again = gateway.ws(&query).await;
    let (replayed, _) = again.until(MessageType::CaughtUp).await;
    let images = replayed
        .iter()
        .filter(|message| message.message_type == MessageType::OddsUpdate);
    assert_eq!(images.count(), 1);
}

#[tokio::test]
async fn too_long_a_conflation_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut socket = gateway.ws("").await;
    socket.next_of(MessageType::CaughtUp).await;
    socket
        .send(r#"{"type":"subscribe","topics":["odds_updates"],"conflate_ms":60001,"ref":"a"}"#)
        .await;
    let error: ErrorData = socket.next_of(MessageType::Error).await.data().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidMessage);
    world
        .odds_event(&Quote {
            event: "e1",
            source: "alpha",
            price: "1.85",
        })
        .await;
    socket.next_of(MessageType::OddsUpdate).await;
}

#[tokio::test]
async fn caught_up_comes_after_what_a_conflating_client_came_back_for() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut socket = gateway.ws("topics=odds_updates&since=now").await;
    let ack: ConnectionAck = socket.next().await.data().unwrap();
    for number in 1..=5 {
        world.small_odds_event("e1", number).await;
    }
    for _ in 1..=5 {
        socket.next_of(MessageType::OddsUpdate).await;
    }
    let query = format!("topics=odds_updates&conflate_ms=60000&since={}", ack.cursor);
    let mut again = gateway.ws(&query).await;
    let (replayed, caught_up) = again.until(MessageType::CaughtUp).await;
    let images: Vec<OddsUpdate> = replayed
        .iter()
        .filter(|message| message.message_type == MessageType::OddsUpdate)
        .map(|message| message.data().unwrap())
        .collect();
    assert_eq!(images.last().map(|image| image.snapshot_count), Some(5));
    let caught_up: CaughtUp = caught_up.data().unwrap();
    assert_eq!(caught_up.replayed, images.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_conflates_and_talks_misses_no_newest_image() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|g| (g.shards, g.messages_per_s) = (1, 1_000))
        .await;
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut client = gateway.ws("topics=odds_updates&conflate_ms=100&since=now").await;
        client.next_of(MessageType::CaughtUp).await;
        crowd.push(client);
    }
    let publish = async {
        for number in 1..=100 {
            for event in ["e1", "e2", "e3"] {
                world.small_odds_event(event, number).await;
            }
        }
    };
    let reading = futures_util::future::join_all(crowd.iter_mut().map(async |client| {
        let mut told = Told::default();
        while told.odds.len() < 3 || told.odds.values().any(|(newest, _)| *newest < 100) {
            told.take(&client.next().await);
            client.send(r#"{"type":"ping"}"#).await;
        }
    }));
    within("everybody to have the newest of each", async {
        tokio::join!(publish, reading)
    })
    .await;
}
