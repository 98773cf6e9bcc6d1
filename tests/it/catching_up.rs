//! What joining and coming back cost: the state, whatever the gateway's ring holds, and however slow the client is.

use crate::{
    harness::{Connection, Gateway, Transport, World},
    slow::Told,
};
use oddswire_gateway::trial::Trial;
use oddswire_protocol::{
    Cursor, RunId,
    envelope::{MessageType, Received},
    progress::Status,
    server::{CaughtUp, Verdict},
};

const KEYS: [&str; 5] = ["e1", "e2", "e3", "e4", "e5"];
const ROUNDS: u64 = 20;
const RUN_EVENTS: u64 = 12;

/// A gateway that somebody follows, whose ring holds a history of few keys.
struct Stage {
    _world: World,
    gateway: Gateway,
    _follower: Connection,
    run: RunId,
    /// From before all of it.
    since: Cursor,
}

impl Stage {
    async fn new(trial: Trial) -> Self {
        let world = World::new().await;
        let gateway = Gateway::start_on_trial(&world.nats_url(), trial, |_| {}).await;
        let mut follower = Connection::open(Transport::Ws, &gateway.address, "", "now").await;
        let since = follower.acknowledged().await.cursor;
        let run = RunId::new();
        for number in 1..=ROUNDS {
            for event in KEYS {
                world.small_odds_event(event, number).await;
            }
            if number <= RUN_EVENTS {
                world.run_event("alpha", &run, number, Status::Running).await;
            }
        }
        let mut told = Told::default();
        while images(&told) < ROUNDS * KEYS.len() as u64 || !has_run(&told, &run) {
            told.take(&follower.next_event().await.0);
        }
        Self {
            _world: world,
            gateway,
            _follower: follower,
            run,
            since,
        }
    }

    async fn join(&self, transport: Transport, topics: &str, since: &str) -> (Verdict, Told) {
        let mut client = Connection::open(transport, &self.gateway.address, topics, since).await;
        let got = client.joined().await;
        assert_eq!(got.caught_up.replayed, got.events.len() as u64);
        (got.resume.verdict, told(&got.events))
    }
}

fn told(messages: &[Received]) -> Told {
    let mut told = Told::default();
    for message in messages {
        told.take(message);
    }
    told
}

fn images(told: &Told) -> u64 {
    told.odds.values().map(|(_, count)| count).sum()
}

fn has_run(told: &Told, run: &RunId) -> bool {
    told.runs.get(run).and_then(|seqs| seqs.last()) == Some(&RUN_EVENTS)
}

/// One image of each key, the newest.
fn is_the_state(told: &Told) -> bool {
    told.odds.len() == KEYS.len() && told.odds.values().all(|state| *state == (ROUNDS, 1))
}

#[tokio::test]
async fn a_snapshot_is_one_image_of_each_key_though_the_ring_holds_many() {
    let stage = Stage::new(Trial::default()).await;
    for transport in Transport::BOTH {
        for topics in ["", "&conflate_ms=60000"] {
            let (verdict, told) = stage.join(transport, topics, "snapshot").await;
            assert_eq!(verdict, Verdict::Snapshot);
            assert!(is_the_state(&told), "{transport:?} {topics} {told:?}");
            assert_eq!(told.runs[&stage.run], [RUN_EVENTS]);
        }
    }
}

#[tokio::test]
async fn who_comes_back_gets_the_newest_of_each_key_and_every_event_of_a_run() {
    let stage = Stage::new(Trial::default()).await;
    let every: Vec<u64> = (1..=RUN_EVENTS).collect();
    for transport in Transport::BOTH {
        let (verdict, told) = stage.join(transport, "", &stage.since.to_string()).await;
        assert_eq!(verdict, Verdict::Replayed);
        assert!(is_the_state(&told), "{transport:?} {told:?}");
        assert_eq!(told.runs[&stage.run], every, "{transport:?}");
    }
}

#[tokio::test]
async fn a_subscribe_in_mid_connection_costs_the_state_too() {
    let stage = Stage::new(Trial::default()).await;
    for begins_with in ["scrape_progress.nobody", "odds_updates.nothing"] {
        let mut client = stage.gateway.ws(&format!("topics={begins_with}&since=now")).await;
        client.next_of(MessageType::CaughtUp).await;
        client
            .send(r#"{"type":"subscribe","topics":["odds_updates"],"since":"snapshot"}"#)
            .await;
        let (messages, caught_up) = client.until(MessageType::CaughtUp).await;
        assert!(is_the_state(&told(&messages)), "{begins_with}: {messages:?}");
        assert_eq!(caught_up.data::<CaughtUp>().unwrap().replayed, KEYS.len() as u64);
    }
}

#[tokio::test]
async fn without_compaction_all_of_that_costs_the_history() {
    let stage = Stage::new(Trial {
        no_compaction: true,
        ..Trial::default()
    })
    .await;
    let all = ROUNDS * KEYS.len() as u64;
    for since in ["snapshot".to_owned(), stage.since.to_string()] {
        let (_, told) = stage.join(Transport::Ws, "", &since).await;
        assert!(images(&told) > all / 2, "{told:?}");
    }
}

/// Keys with an image of 40 kB each: far more than a client's socket takes.
const MANY: usize = 40;

#[tokio::test]
async fn a_slow_client_is_caught_up_after_one_state_and_told_that_it_lags_behind_what_came_meanwhile() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|g| (g.client_bytes, g.ring_bytes) = (64 << 10, 64 << 20))
        .await;
    let events: Vec<String> = (0..MANY).map(|number| format!("e{number}")).collect();
    let round = async |number| {
        for event in &events {
            world.big_odds_event(event, number).await;
        }
    };
    for transport in Transport::BOTH {
        let mut follower = gateway.ws("topics=odds_updates").await;
        follower.next_of(MessageType::CaughtUp).await;
        round(1).await;
        let mut client = Connection::open(transport, &gateway.address, "odds_updates", "snapshot").await;
        client.acknowledged().await;
        // It takes nothing while all of it is replaced, again and again.
        for number in 2..=4 {
            round(number).await;
        }
        let (before, _) = client.until_caught_up().await;
        let before = told(&before);
        assert_eq!(
            (before.odds.len(), images(&before)),
            (MANY, MANY as u64),
            "{transport:?}"
        );
        let mut after = Told::default();
        while after.odds.values().filter(|(newest, _)| *newest == 4).count() < MANY {
            after.take(&client.next_event().await.0);
        }
        assert!(!after.lagging.is_empty(), "{transport:?}");
        assert_eq!(images(&after), MANY as u64, "{transport:?}: {after:?}");
    }
}
