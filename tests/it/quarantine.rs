//! What is on the bus and is not what docs/protocol.md says: shown on no way, told to operators once, and passed.

use crate::{
    harness::{Connection, Gateway, Quote, Transport, World, odds_key, run_image, run_key, until, update},
    terminal::Piped,
};
use oddswire_gateway::trial::Trial;
use oddswire_kit::publish::Publication;
use oddswire_protocol::{
    EventId, EventKey, RunId, Timestamp,
    api::QuarantinedEvents,
    envelope::{MessageType, Received},
    header::{ATTEMPT, BATCH, CE_SPECVERSION, STATUS, cloud_event},
    progress::Status,
    server::Verdict,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const GOOD: Quote = Quote {
    event: "good",
    source: "alpha",
    price: "1.85",
};

/// Unchecked gateways, to show what the check is there for.
fn unchecked() -> Trial {
    Trial {
        no_quarantine: true,
        ..Trial::default()
    }
}

/// What is published that is no event: a key, changes to its headers, and a payload.
struct Poison {
    key: EventKey,
    header: Option<(&'static str, &'static str)>,
    payload: String,
    reason: &'static str,
}

fn poisons(run: &RunId) -> Vec<Poison> {
    let image = update("bad", "alpha", "1.85".parse().unwrap(), Timestamp::now());
    let (good, key) = (serde_json::to_value(&image).unwrap(), odds_key("bad", "alpha"));
    let odds = |reason, payload: String| Poison {
        key: key.clone(),
        header: None,
        payload,
        reason,
    };
    let with = |pointer: &str, value: Value| {
        let mut data = good.clone();
        *data.pointer_mut(pointer).unwrap() = value;
        data.to_string()
    };
    let of_run = |pointer: &str, value: Value| {
        let mut data = serde_json::to_value(run_image("alpha", run, 2, Status::Running)).unwrap();
        data["batch_id"] = json!("b1");
        *data.pointer_mut(pointer).unwrap() = value;
        Poison {
            key: run_key("alpha", run),
            ..odds("schema", data.to_string())
        }
    };
    vec![
        odds("schema", "{}".into()),
        odds("json", good.to_string().replace("1.85", "1e999")),
        odds("json", "[1]".into()),
        odds("mismatch", with("/source", json!("bravo"))),
        odds("mismatch", with("/event/event_id", json!("other"))),
        odds(
            "schema",
            good.to_string().replacen(
                '{',
                &format!("{{\"x\":{}{},", "[".repeat(10_000), "]".repeat(10_000)),
                1,
            ),
        ),
        Poison {
            header: Some((CE_SPECVERSION, "2.0")),
            ..odds("header", good.to_string())
        },
        Poison {
            key: EventKey::Confirmed {
                source: "alpha".parse().unwrap(),
            },
            ..odds("schema", "{}".into())
        },
        of_run("/seq", json!(0)),
        of_run("/phase", json!("bogus")),
        Poison {
            reason: "mismatch",
            ..of_run("/status", json!("completed"))
        },
    ]
}

impl Poison {
    async fn publish(&self, world: &World) -> (String, u64) {
        let id = RunId::new().to_string();
        let mut headers = cloud_event(&self.key, &id, "test", Timestamp::now());
        if let EventKey::Run { .. } = self.key {
            headers.extend([
                (STATUS, "running".into()),
                (ATTEMPT, "1".into()),
                (BATCH, "b1".into()),
            ]);
        }
        if let Some((changed, value)) = self.header {
            headers.retain(|(name, _)| *name != changed);
            headers.push((changed, value.into()));
        }
        let subject = world.bus.subjects().feed(&self.key);
        let message = Publication {
            headers,
            ..Publication::new(subject.clone(), id, self.payload.clone().into())
        };
        let ack = world
            .bus
            .publish(&message, &CancellationToken::new())
            .await
            .unwrap();
        (subject, ack.seq)
    }
}

/// Whether a message is of an event that is as it should be.
fn is_good(message: &Received) -> bool {
    let data: Value = serde_json::from_str(message.data.get()).unwrap();
    match message.message_type {
        MessageType::OddsUpdate => data["event"]["event_id"] == EventId::of("good").as_str(),
        MessageType::ScrapeProgress => data["seq"] == 1 && data["phase"] == "scraping",
        _ => false,
    }
}

async fn quarantined(gateway: &Gateway) -> QuarantinedEvents {
    let answer = reqwest::get(format!("{}/quarantine", gateway.ops)).await.unwrap();
    answer.json().await.unwrap()
}

/// What the metric counts, all labels together.
async fn counted(gateway: &Gateway) -> u64 {
    let metrics = reqwest::get(format!("{}/metrics", gateway.ops)).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("oddswire_gateway_quarantined_total{"));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// The events of a state, or of what a cursor owes.
async fn events(gateway: &Gateway, transport: Transport, since: &str) -> Vec<Received> {
    let mut client = Connection::open(transport, &gateway.address, "", since).await;
    client.joined().await.events
}

/// Each way on which a gateway shows what is stored has the event of the run and the market that are good.
async fn shows_the_good_alone(gateway: &Gateway, begin: &str, run: &RunId) {
    for transport in Transport::BOTH {
        for since in ["snapshot", begin] {
            let events = events(gateway, transport, since).await;
            assert_eq!(events.len(), 2, "{since}: {events:?}");
            assert!(events.iter().all(is_good), "{since}: {events:?}");
        }
    }
    let (_, board) = gateway.get("/api/odds").await;
    assert_eq!(
        (board["markets"].as_array().map(Vec::len), &board["confirmed"]),
        (Some(1), &json!({})),
        "{board}"
    );
    let past = format!("/api/odds/{}/history", EventId::of("bad"));
    assert_eq!(gateway.get(&past).await.1["images"], json!([]));
    let (status, image) = gateway.get(&format!("/api/scrapes/{run}")).await;
    assert_eq!(
        (status, &image["seq"], &image["status"]),
        (200, &json!(1), &json!("running")),
        "{image}"
    );
    let (_, list) = gateway.get("/api/scrapes").await;
    let runs = list["runs"].as_array().unwrap();
    let seqs: Vec<_> = runs.iter().map(|run| &run["seq"]).collect();
    assert_eq!(seqs, [&json!(1)], "the event before the bad ones");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_shown_on_no_way_and_counted_once() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut live = Connection::open(Transport::Ws, &gateway.address, "", "now").await;
    let begin = live.acknowledged().await.cursor;
    live.until_caught_up().await;
    let run = RunId::new();
    world.run_event("alpha", &run, 1, Status::Running).await;
    let poisons = poisons(&run);
    let mut published = Vec::new();
    for poison in &poisons {
        published.push(poison.publish(&world).await);
    }
    world.odds_event(&GOOD).await;
    for _ in 0..2 {
        let (message, _) = live.next_event().await;
        assert!(is_good(&message), "{message:?}");
    }
    until("all of them were met", || async {
        counted(&gateway).await == poisons.len() as u64
    })
    .await;

    // A second gateway meets them where they are stored: in states, in what a cursor owes, on the board, in lists.
    let late = world.gateway().await;
    for gateway in [&gateway, &late] {
        shows_the_good_alone(gateway, &begin.to_string(), &run).await;
    }

    // Whoever met them first, and however often they were met since: each counts once.
    assert_eq!(counted(&gateway).await, poisons.len() as u64);
    let told = quarantined(&gateway).await;
    assert_eq!(told.count, poisons.len() as u64);
    let mut found: Vec<_> = told
        .events
        .iter()
        .map(|event| (event.subject.clone(), event.seq, &*event.reason))
        .collect();
    let mut wanted: Vec<_> = published
        .into_iter()
        .zip(&poisons)
        .map(|((subject, seq), poison)| (subject, seq, poison.reason))
        .collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted, "{told:?}");
    // The other one could not read what ODDS had forgotten.
    let told = quarantined(&late).await;
    assert_eq!(
        (told.count, told.events.len() as u64),
        (counted(&late).await, counted(&late).await)
    );
    assert!(told.count >= 5, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_the_check_it_is_shown_and_on_the_board() {
    let world = World::new().await;
    let gateway = Gateway::start_on_trial(&world.nats_url(), unchecked(), |_| {}).await;
    let mut live = Connection::open(Transport::Ws, &gateway.address, "", "now").await;
    live.joined().await;
    for poison in poisons(&RunId::new())
        .iter()
        .filter(|poison| poison.payload == "{}")
    {
        poison.publish(&world).await;
    }
    let (message, _) = live.next_event().await;
    assert_eq!(message.data.get(), "{}");
    let (_, board) = gateway.get("/api/odds").await;
    assert_eq!(board["markets"], json!([{}]));
    assert_eq!(counted(&gateway).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_read_hides_its_key_until_the_next_good_one() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world.odds_event(&GOOD).await;
    let past = format!("/api/odds/{}/history", EventId::of(GOOD.event));
    let images = async || gateway.get(&past).await.1["images"].as_array().map(Vec::len);
    until("the image is in HISTORY", async || images().await == Some(1)).await;
    let key = odds_key(GOOD.event, GOOD.source);
    world.event(&key, "bad", Vec::new(), b"{}").await;
    assert_eq!(events(&gateway, Transport::Ws, "snapshot").await.len(), 0);
    let (_, board) = gateway.get("/api/odds").await;
    assert_eq!(board["markets"], json!([]));
    assert_eq!(images().await, Some(1), "what was on the board stays in the past");
    world.odds_event(&GOOD).await;
    assert_eq!(events(&gateway, Transport::Ws, "snapshot").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_runs_go_on_with_what_is_no_event_each_is_shown_as_it_was_before() {
    const RUNS: usize = 70;
    let world = World::new().await;
    let mut last = 0;
    for _ in 0..RUNS {
        let run = RunId::new();
        world.run_event("alpha", &run, 1, Status::Running).await;
        let (key, id) = (run_key("alpha", &run), format!("{run}:bad"));
        last = world.event(&key, &id, Vec::new(), b"{}").await.seq;
    }
    world.copied(last).await;
    let gateway = world.gateway().await;
    for transport in Transport::BOTH {
        let events = events(&gateway, transport, "snapshot").await;
        assert_eq!(events.len(), RUNS);
        assert!(events.iter().all(is_good), "{events:?}");
    }
    let (_, list) = gateway.get("/api/scrapes?limit=100").await;
    assert_eq!(list["runs"].as_array().map(Vec::len), Some(RUNS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_over_what_is_no_event_loses_nothing() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let run = RunId::new();
    world.run_event("alpha", &run, 1, Status::Running).await;
    let mut client = Connection::open(Transport::Sse, &gateway.address, "", "snapshot").await;
    client.joined().await;
    let (_, cursor) = {
        world.run_event("alpha", &run, 2, Status::Running).await;
        client.next_event().await
    };
    drop(client);
    for poison in poisons(&run) {
        poison.publish(&world).await;
    }
    world.run_event("alpha", &run, 3, Status::Completed).await;
    let mut client =
        Connection::open(Transport::Ws, &gateway.address, "", &cursor.unwrap().to_string()).await;
    let delivered = client.joined().await;
    assert_eq!(delivered.resume.verdict, Verdict::Replayed);
    let seqs: Vec<u64> = delivered
        .events
        .iter()
        .filter(|message| message.message_type == MessageType::ScrapeProgress)
        .map(|message| {
            serde_json::from_str::<Value>(message.data.get()).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(seqs, [3]);
}

/// A gateway of another make, or of before: it shows what is no event.
async fn poisoned() -> (World, Gateway) {
    let world = World::new().await;
    let gateway = Gateway::start_on_trial(&world.nats_url(), unchecked(), |_| {}).await;
    world.odds_event(&GOOD).await;
    for poison in poisons(&RunId::new())
        .iter()
        .filter(|poison| poison.payload == "{}")
    {
        poison.publish(&world).await;
    }
    let run = RunId::new();
    world
        .event(
            &run_key("alpha", &run),
            "bad",
            vec![(STATUS, "running".into())],
            b"{}",
        )
        .await;
    (world, gateway)
}

/// How often a command said that it left something out.
fn said(command: &Piped) -> usize {
    let told = command.told();
    told.iter()
        .filter(|line| line.contains("left out what cannot be read"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_of_the_terminal_leaves_out_what_it_cannot_read_and_says_so_once() {
    let (world, gateway) = poisoned().await;
    let odds = Piped::odds(&[&gateway.url("")], &["--watch", "--json"]);
    until("the board", async || odds.lines().len() == 1).await;
    world.odds_event(&Quote { price: "1.9", ..GOOD }).await;
    until("what changed", async || odds.lines().len() == 2).await;
    assert_eq!(said(&odds), 1, "{:?}", odds.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn following_runs_on_the_terminal_goes_on_past_what_cannot_be_read() {
    let (world, gateway) = poisoned().await;
    let follow = Piped::follow(&[&gateway.url("")], &[]);
    until("what is left out is told", async || said(&follow) == 1).await;
    world.run_event("alpha", &RunId::new(), 1, Status::Running).await;
    until("the event behind it", async || follow.lines().len() == 1).await;
    assert_eq!(said(&follow), 1, "{:?}", follow.told());
}
