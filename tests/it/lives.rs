//! Streams that were put back from a copy: what was lost with them is told, and nothing else is.
#![expect(
    clippy::large_futures,
    reason = "each is awaited once, on the stack of its own test"
)]

mod lists;
mod operator;
mod writers;

use crate::harness::{Connection, Gateway, Quote, Transport, World, odds_key, update, within};
use oddswire_gateway::trial::Trial;
use oddswire_kit::{bus::Bus, publish::Publication};
use oddswire_protocol::{
    Cursor, Feed, RunId, Timestamp,
    cursor::Position,
    envelope::MessageType,
    header::cloud_event,
    progress::Status,
    server::{Resume, Verdict},
};
use std::{fs, path::Path};
use tokio_util::sync::CancellationToken;

/// One number a feed.
type PerFeed = [u64; Feed::ALL.len()];

const TOPICS: [&str; 3] = ["", "scrape_progress", "odds_updates"];

impl World {
    /// Copies what the killed server has stored.
    fn copy_store(&self, to: &Path) {
        copy(self.store_path(), to);
    }

    /// Puts a copy in the place of what the killed server has stored.
    fn put_back(&self, from: &Path) {
        fs::remove_dir_all(self.store_path()).unwrap();
        copy(from, self.store_path());
    }

    /// Publishes an image behind its source's fence, as a scraper does.
    async fn fenced(&self, quote: &Quote) -> u64 {
        let fence = self.bus.subjects().fence(&quote.source.parse().unwrap());
        let asked = async {
            loop {
                if let Ok(last) = self.bus.leader_last_message("ODDS", &fence).await {
                    return last;
                }
            }
        };
        let last = within("the last fence", asked).await;
        let batch = batch(&self.bus, quote, last.map_or(0, |last| last.seq));
        let stop = CancellationToken::new();
        let published = self.bus.publish_batch(&batch, &stop, |_| ());
        within("the bus to take a batch", published).await.unwrap().seq
    }

    /// So many events of a run, and as many images of two keys. Gives the last sequence of each feed.
    async fn some(&self, count: u64) -> PerFeed {
        let run = RunId::new();
        let mut last = PerFeed::default();
        for seq in 1..=count {
            let stored = self.run_event("alpha", &run, seq, Status::Running).await;
            last[Feed::Run.index()] = stored.seq;
            let event = if seq % 2 == 0 { "e1" } else { "e2" };
            let quote = Quote {
                event,
                source: "alpha",
                price: "1.85",
            };
            last[Feed::Odds.index()] = self.fenced(&quote).await;
        }
        last
    }
}

/// An image behind its source's fence, which must be at `expected`.
fn batch(bus: &Bus, quote: &Quote, expected: u64) -> [Publication; 2] {
    let subjects = bus.subjects();
    let fence = subjects.fence(&quote.source.parse().unwrap());
    let fence = Publication {
        expected: Some(expected),
        ..Publication::new(fence, RunId::new().to_string(), Vec::new().into())
    };
    let key = odds_key(quote.event, quote.source);
    let id = RunId::new().to_string();
    let price = quote.price.parse().unwrap();
    let image = update(quote.event, quote.source, price, Timestamp::now());
    let payload = serde_json::to_vec(&image).unwrap().into();
    let image = Publication {
        headers: cloud_event(&key, &id, "test", Timestamp::now()),
        ..Publication::new(subjects.feed(&key), id, payload)
    };
    [fence, image]
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap(), to.to_owned());
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The positions of the events up to these sequences.
async fn take(client: &mut Connection, last: PerFeed) -> Vec<Cursor> {
    let mut taken: Vec<Cursor> = Vec::new();
    let is_there = |cursor: &Cursor| {
        Feed::ALL
            .iter()
            .all(|feed| seq(*cursor, *feed) >= last[feed.index()])
    };
    while !taken.last().is_some_and(is_there) {
        let (message, cursor) = client.next_event().await;
        if matches!(
            message.message_type,
            MessageType::ScrapeProgress | MessageType::OddsUpdate
        ) {
            taken.extend(cursor);
        }
    }
    taken
}

fn seq(cursor: Cursor, feed: Feed) -> u64 {
    cursor.position(feed).unwrap().seq
}

/// The feeds of topics.
fn touched(topics: &str) -> &'static [Feed] {
    match topics {
        "scrape_progress" => &[Feed::Run],
        "odds_updates" => &[Feed::Odds],
        _ => &Feed::ALL,
    }
}

async fn verdict(gateway: &Gateway, topics: &str, cursor: Cursor) -> Verdict {
    let told = async {
        loop {
            let since = cursor.to_string();
            let mut client = Connection::open(Transport::Sse, &gateway.address, topics, &since).await;
            let verdict = client.acknowledged().await.resume.verdict;
            if verdict != Verdict::Unavailable {
                return verdict;
            }
        }
    };
    within("the bus to be back", told).await
}

/// A client that is live: servers that were just started may still be electing.
async fn joined(gateway: &Gateway) -> Connection {
    let joined = async {
        loop {
            let mut client = Connection::open(Transport::Sse, &gateway.address, "", "now").await;
            if client.acknowledged().await.resume.verdict == Verdict::Live {
                client.until_caught_up().await;
                return client;
            }
        }
    };
    within("the bus to be back", joined).await
}

/// A store is copied after `KEPT` events of each kind, goes on for `LOST`, is put back, and goes on for `after`. Gives
/// the cursors of each of the three, and the clients that were there before it was put back, of a gateway that stays.
struct Restored {
    world: World,
    staying: Gateway,
    clients: Vec<Connection>,
    kept: Vec<Cursor>,
    lost: Vec<Cursor>,
    new: Vec<Cursor>,
}

const KEPT: u64 = 6;
const LOST: u64 = 8;

async fn restored(mut world: World, after: u64, trial: Trial) -> Restored {
    let staying = Gateway::start_on_trial(&world.nats_url(), trial, |_| ()).await;
    let mut watching = Connection::open(Transport::Sse, &staying.address, "", "now").await;
    watching.joined().await;
    let last = world.some(KEPT).await;
    let kept = take(&mut watching, last).await;
    let copy = tempfile::tempdir().unwrap();
    world.kill_all_nats().await;
    world.copy_store(copy.path());
    world.restart_all_nats().await;
    let mut clients = Vec::new();
    for transport in Transport::BOTH {
        let mut client = Connection::open(transport, &staying.address, "", "now").await;
        client.next().await;
        clients.push(client);
    }
    let last = world.some(LOST).await;
    let lost = take(&mut watching, last).await;
    world.kill_all_nats().await;
    world.put_back(copy.path());
    world.restart_all_nats().await;
    let fresh = Gateway::start_on_trial(&world.nats_url(), trial, |_| ()).await;
    let mut of_the_new = joined(&fresh).await;
    let last = world.some(after).await;
    let new = take(&mut of_the_new, last).await;
    Restored {
        world,
        staying,
        clients,
        kept,
        lost,
        new,
    }
}

/// What was lost is told, to who stayed and to who comes back, and what was not is continued.
async fn check(world: World, after: u64) {
    let Restored {
        world,
        staying,
        mut clients,
        kept,
        lost,
        new,
    } = restored(world, after, Trial::default()).await;
    for client in &mut clients {
        let told = async {
            loop {
                let resume: Resume = client.next_of(MessageType::Resume).await.data().unwrap();
                if resume.verdict == Verdict::Gap {
                    return;
                }
            }
        };
        within("those who stayed to be told", told).await;
    }
    let fresh = world.gateway().await;
    let mut gaps = 0;
    for gateway in [&staying, &fresh] {
        for topics in TOPICS {
            for cursor in &lost {
                // Its other position may be of what was kept: that of the first event.
                let is_lost = |feed: &Feed| seq(*cursor, *feed) > seq(*kept.last().unwrap(), *feed);
                if !touched(topics).iter().any(is_lost) {
                    continue;
                }
                gaps += 1;
                let told = verdict(gateway, topics, *cursor).await;
                assert_eq!(told, Verdict::Gap, "{after} {topics} {cursor:?}");
            }
            for cursor in kept.iter().chain(&new) {
                let told = verdict(gateway, topics, *cursor).await;
                assert_eq!(told, Verdict::Replayed, "{after} {topics} {cursor:?}");
            }
        }
    }
    // Right after servers have started one kind may come before the other.
    assert!(gaps >= 2 * 3 * LOST, "{gaps}");
}

#[tokio::test]
async fn a_cursor_of_what_a_restore_took_is_a_gap_for_runs_and_for_odds_however_long_the_new_history_is() {
    // Shorter than the lost one, as long, longer.
    for after in [LOST / 2, LOST, 3 * LOST] {
        check(World::new().await, after).await;
    }
}

#[tokio::test]
async fn a_restore_of_all_nodes_of_a_cluster_is_told_like_that_of_one_server() {
    check(World::cluster().await, 3 * LOST).await;
}

#[tokio::test]
async fn without_proofs_a_cursor_of_what_a_restore_took_is_continued() {
    let trial = Trial {
        no_proofs: true,
        ..Trial::default()
    };
    let Restored { world, lost, .. } = restored(World::new().await, 3 * LOST, trial).await;
    let fresh = Gateway::start_on_trial(&world.nats_url(), trial, |_| ()).await;
    for topics in TOPICS {
        let told = verdict(&fresh, topics, *lost.last().unwrap()).await;
        assert_eq!(told, Verdict::Replayed, "{topics}");
    }
}

#[tokio::test]
async fn a_cursor_from_before_proofs_is_continued_as_it_was() {
    let world = World::new().await;
    world.some(2).await;
    let gateway = world.gateway().await;
    let mut client = Connection::open(Transport::Ws, &gateway.address, "", "now").await;
    let cursor = client.acknowledged().await.cursor;
    let old = Feed::ALL.into_iter().fold(cursor, |cursor, feed| {
        let position = cursor.position(feed);
        cursor.with(feed, position.map(|at| Position::new(at.epoch, at.seq)))
    });
    assert!(old.to_string().len() < cursor.to_string().len());
    for topics in TOPICS {
        assert_eq!(
            verdict(&gateway, topics, old).await,
            Verdict::Replayed,
            "{topics}"
        );
    }
}

#[tokio::test]
async fn every_good_cursor_is_continued_over_restarts_that_lose_nothing() {
    let mut world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = Connection::open(Transport::Sse, &gateway.address, "", "now").await;
    client.joined().await;
    let mut cursors = Vec::new();
    for _ in 0..3 {
        let last = world.some(10).await;
        cursors.extend(take(&mut client, last).await);
        world.kill_all_nats().await;
        world.restart_all_nats().await;
    }
    let fresh = world.gateway().await;
    for gateway in [&gateway, &fresh] {
        for cursor in &cursors {
            for topics in TOPICS {
                assert_eq!(
                    verdict(gateway, topics, *cursor).await,
                    Verdict::Replayed,
                    "{topics} {cursor:?}"
                );
            }
        }
    }
}
