//! Clients that ask for less, or take less, than there is.

use crate::harness::{Ended, Gateway, World, Ws, odds_key, run_image, run_key, until, update, within};
use oddswire_protocol::{
    RunId, Timestamp,
    envelope::{MessageType, Received},
    header::{ATTEMPT, BATCH, STATUS},
    odds::OddsUpdate,
    progress::{ScrapeProgress, Status},
    server::{Lagging, Reconnect},
};
use std::collections::BTreeMap;

/// Bytes of an event that is to fill a socket soon.
const BIG: usize = 40_000;
/// Events of that size that no socket holds.
const MANY: u64 = 60;

impl World {
    pub(crate) async fn big_run_event(&self, run: &RunId, seq: u64, status: Status) {
        let image = ScrapeProgress {
            message: "x".repeat(BIG),
            ..run_image("alpha", run, seq, status)
        };
        let extra = vec![
            (STATUS, status.as_str().to_owned()),
            (ATTEMPT, "1".to_owned()),
            (BATCH, image.batch_id.to_string()),
        ];
        let payload = serde_json::to_vec(&image).unwrap();
        let id = format!("{run}:1:{seq}");
        self.event(&run_key("alpha", run), &id, extra, &payload).await;
    }

    /// An image of the one market of an event, told from others by its number of quotes.
    pub(crate) async fn big_odds_event(&self, event: &str, number: u64) {
        let mut image = update(event, "alpha", "1.85".parse().unwrap(), Timestamp::now());
        image.event.league = "x".repeat(BIG);
        image.snapshot_count = usize::try_from(number).unwrap();
        let payload = serde_json::to_vec(&image).unwrap();
        let id = format!("{event}:{number}:{}", RunId::new());
        self.event(&odds_key(event, "alpha"), &id, Vec::new(), &payload)
            .await;
    }
}

/// What a client made of everything it got.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) runs: BTreeMap<RunId, Vec<u64>>,
    /// The number of the newest image of each event, and how many came.
    pub(crate) odds: BTreeMap<String, (u64, u64)>,
    pub(crate) lagging: Vec<Lagging>,
}

impl Told {
    pub(crate) fn take(&mut self, message: &Received) -> bool {
        match message.message_type {
            MessageType::ScrapeProgress => {
                let image: ScrapeProgress = message.data().unwrap();
                self.runs.entry(image.run_id).or_default().push(image.seq);
                return image.status.is_terminal();
            }
            MessageType::OddsUpdate => {
                let image: OddsUpdate = message.data().unwrap();
                let entry = self.odds.entry(image.event_ids[0].to_string()).or_default();
                *entry = (u64::try_from(image.snapshot_count).unwrap(), entry.1 + 1);
            }
            MessageType::Lagging => self.lagging.push(message.data().unwrap()),
            _ => {}
        }
        false
    }

    /// Everything up to the terminal event of a run.
    pub(crate) async fn until_terminal(client: &mut Ws) -> Self {
        let mut told = Self::default();
        while !told.take(&client.next().await) {}
        told
    }
}

/// Fills a client's socket while it does not read: runs and odds in turns, then the end of the run.
async fn overwhelm(world: &World, run: &RunId) {
    for seq in 1..MANY {
        world.big_run_event(run, seq, Status::Running).await;
        world
            .big_odds_event(if seq % 2 == 0 { "e1" } else { "e2" }, seq)
            .await;
    }
    world.big_run_event(run, MANY, Status::Completed).await;
}

/// What a client is told that was overwhelmed within such a budget. Of its run it has everything.
async fn stalled_with(client_bytes: u64) -> Told {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|g| (g.client_bytes, g.ring_bytes) = (client_bytes, 32 << 20))
        .await;
    let mut client = gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    let run = RunId::new();
    overwhelm(&world, &run).await;
    let told = Told::until_terminal(&mut client).await;
    assert_eq!(told.runs[&run], (1..=MANY).collect::<Vec<_>>());
    told
}

#[tokio::test]
async fn a_slow_client_gets_every_event_of_its_runs_the_newest_odds_and_is_told_so() {
    let told = stalled_with(64 << 10).await;
    let newest: Vec<u64> = told.odds.values().map(|(newest, _)| *newest).collect();
    let mut numbers = newest.clone();
    numbers.sort_unstable();
    assert_eq!(numbers, [MANY - 2, MANY - 1]);
    let images: u64 = told.odds.values().map(|(_, count)| count).sum();
    let left_out: u64 = told.lagging.iter().map(|lagging| lagging.conflated).sum();
    assert!(left_out > 0, "{told:?}");
    assert_eq!(
        images + left_out,
        MANY - 1,
        "each image came, or was counted as left out"
    );
}

#[tokio::test]
async fn a_client_within_its_budget_gets_everything_however_it_stalls() {
    let told = stalled_with(16 << 20).await;
    let images: u64 = told.odds.values().map(|(_, count)| count).sum();
    assert_eq!((images, told.lagging.len()), (MANY - 1, 0));
}

#[tokio::test]
async fn a_client_that_the_ring_has_overtaken_is_caught_up_from_the_log_and_told_so() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|g| (g.client_bytes, g.ring_bytes) = (64 << 10, 1 << 20))
        .await;
    let mut client = gateway.ws("").await;
    let mut stream = gateway.sse("").await;
    client.next_of(MessageType::CaughtUp).await;
    stream.until(MessageType::CaughtUp).await;
    let run = RunId::new();
    overwhelm(&world, &run).await;
    let told = Told::until_terminal(&mut client).await;
    assert_eq!(told.runs[&run], (1..=MANY).collect::<Vec<_>>());
    assert!(!told.lagging.is_empty());
    let mut told = Told::default();
    while !told.take(&stream.next_event().await.message()) {}
    assert_eq!(told.runs[&run], (1..=MANY).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stalled_client_holds_up_nobody() {
    let world = World::new().await;
    let gateway = world.gateway_with(|g| g.shards = 1).await;
    let mut stalled = gateway.ws("").await;
    stalled.next_of(MessageType::CaughtUp).await;
    let mut other = gateway.ws("").await;
    other.next_of(MessageType::CaughtUp).await;
    let run = RunId::new();
    let reading = async { Told::until_terminal(&mut other).await };
    let ((), told) = tokio::join!(overwhelm(&world, &run), reading);
    assert_eq!(told.runs[&run], (1..=MANY).collect::<Vec<_>>());
    let images: u64 = told.odds.values().map(|(_, count)| count).sum();
    assert_eq!((images, told.lagging.len()), (MANY - 1, 0));
}

/// How many sessions a gateway says are open.
async fn open_sessions(gateway: &Gateway) -> String {
    let text = reqwest::get(format!("{}/metrics", gateway.ops))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("oddswire_gateway_sessions "));
    line.unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_that_never_reads_is_found_and_freed() {
    let world = World::new().await;
    let gateway = world.gateway_with(|g| g.patience_ms = 1_000).await;
    let mut client = gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    let run = RunId::new();
    overwhelm(&world, &run).await;
    until("the gateway to let go of it", async || {
        open_sessions(&gateway).await == "0"
    })
    .await;
    // It wakes up: there is what the kernel had taken for it, and then why that was all.
    assert_eq!(client.ended().await, Ended::Code(4000));
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed() {
    let world = World::new().await;
    let gateway = world.gateway_with(|g| g.patience_ms = 2_000).await;
    let mut silent = gateway.ws("").await;
    let mut talkative = gateway.ws("").await;
    silent.next_of(MessageType::CaughtUp).await;
    // It takes every byte, and says nothing at all.
    let end = within("the close frame", async {
        let mut seen = Vec::new();
        loop {
            silent.tcp().readable().await.unwrap();
            let mut bytes = [0; 4096];
            match silent.tcp().try_read(&mut bytes) {
                Ok(0) => return seen,
                Ok(count) => seen.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return seen,
            }
        }
    });
    let answering = async {
        loop {
            talkative.next().await;
        }
    };
    let seen = tokio::select! {
        seen = end => seen,
        () = answering => unreachable!("it goes on for ever"),
    };
    let code = 4000_u16.to_be_bytes();
    assert!(seen.windows(2).any(|two| two == code), "no close code 4000");
    assert_eq!(talkative.next().await.message_type, MessageType::Heartbeat);
}

#[tokio::test]
async fn a_connection_that_is_old_enough_is_told_and_closed() {
    let world = World::new().await;
    let gateway = world.gateway_with(|g| g.lifetime_ms = 1_500).await;
    let mut socket = gateway.ws("").await;
    let mut stream = gateway.sse("").await;
    let reconnect: Reconnect = socket.next_of(MessageType::Reconnect).await.data().unwrap();
    assert!(reconnect.after_ms > 0);
    assert_eq!(socket.ended().await, Ended::Code(1012));
    while stream.try_next().await.is_some() {}
}

#[tokio::test]
async fn clients_that_speak_all_the_time_get_everything_once() {
    let world = World::new().await;
    // However long it takes to publish, and however much they say meanwhile: limits are not what this is about.
    let gateway = world
        .gateway_with(|g| (g.messages_per_s, g.limits.read_bytes_per_s) = (1_000_000, 0))
        .await;
    let run = RunId::new();
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = gateway.ws("topics=scrape_progress&since=now").await;
        client.next_of(MessageType::CaughtUp).await;
        clients.push(client);
    }
    let publish = async {
        for seq in 1..400 {
            world.run_event("alpha", &run, seq, Status::Running).await;
        }
        world.run_event("alpha", &run, 400, Status::Completed).await;
    };
    // Each word takes the client out of its shard and back into it.
    let converse = futures_util::future::join_all(clients.iter_mut().map(async |client| {
        let mut told = Told::default();
        let mut said = 0_u32;
        loop {
            said += 1;
            client
                .send(match said % 3 {
                    0 => r#"{"type":"subscribe","topics":["odds_updates"]}"#,
                    1 => r#"{"type":"ping"}"#,
                    _ => r#"{"type":"unsubscribe","topics":["odds_updates"]}"#,
                })
                .await;
            if told.take(&client.next().await) {
                return told;
            }
        }
    }));
    let ((), told) = tokio::join!(publish, converse);
    for told in told {
        assert_eq!(told.runs[&run], (1..=400).collect::<Vec<_>>());
    }
}

/// More clients of one class than a shard writes to without looking at its sockets in between.
const CROWD: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_whose_sockets_take_messages_in_pieces_gets_all_of_them_whole_and_once() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|g| (g.shards, g.client_bytes, g.ring_bytes) = (1, 64 << 20, 64 << 20))
        .await;
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut client = gateway.ws("topics=scrape_progress").await;
        client.next_of(MessageType::CaughtUp).await;
        crowd.push(client);
    }
    let run = RunId::new();
    // Nobody reads while the first half comes: every socket is full and cut somewhere. Then all read, while more comes.
    for seq in 1..=15 {
        world.big_run_event(&run, seq, Status::Running).await;
    }
    let rest = async {
        for seq in 16..30 {
            world.big_run_event(&run, seq, Status::Running).await;
        }
        world.big_run_event(&run, 30, Status::Completed).await;
    };
    let reading = futures_util::future::join_all(crowd.iter_mut().map(Told::until_terminal));
    let ((), told) = tokio::join!(rest, reading);
    for told in told {
        assert_eq!(told.runs[&run], (1..=30).collect::<Vec<_>>());
    }
}
