//! What `oddswire provision restored` does: finds copies that do not fit, and begins a term of ODDS.

use super::{KEPT, LOST, PerFeed, copy, take, verdict};
use crate::harness::{Connection, Quote, Transport, World, until, within};
use oddswire_kit::restore::{self, Stray};
use oddswire_protocol::{Feed, progress::Status, server::Verdict};
use std::fs;

impl World {
    /// So many images, stored by somebody who marks no term.
    async fn stored_by_others(&self, count: u64) -> PerFeed {
        let mut last = PerFeed::default();
        for _ in 0..count {
            let quote = Quote {
                event: "e1",
                source: "alpha",
                price: "1.85",
            };
            last[Feed::Odds.index()] = self.odds_event(&quote).await.seq;
        }
        last
    }
}

/// The copies that do not fit, as soon as the bus is back.
async fn strays(world: &World) -> Vec<Stray> {
    let asked = async {
        loop {
            if let Ok(found) = restore::strays(&world.bus).await {
                return found;
            }
        }
    };
    within("the bus to be back", asked).await
}

/// The verdict on a cursor of odds that a restore took and that nobody marked a term for.
async fn after_a_restore(says_so: bool) -> Verdict {
    let mut world = World::new().await;
    world.stored_by_others(KEPT).await;
    let backup = tempfile::tempdir().unwrap();
    world.kill_all_nats().await;
    world.copy_store(backup.path());
    world.restart_all_nats().await;
    let gateway = world.gateway().await;
    let mut watching = Connection::open(Transport::Sse, &gateway.address, "", "now").await;
    watching.joined().await;
    let last = world.stored_by_others(LOST).await;
    let lost = take(&mut watching, last).await;
    world.kill_all_nats().await;
    world.put_back(backup.path());
    world.restart_all_nats().await;
    if says_so {
        assert_eq!(strays(&world).await, []);
        world.bus.begin_term().await.unwrap();
    }
    world.stored_by_others(3 * LOST).await;
    let fresh = world.gateway().await;
    verdict(&fresh, "odds_updates", *lost.last().unwrap()).await
}

#[tokio::test]
async fn odds_that_others_stored_are_told_lost_once_the_operator_says_that_a_backup_was_put_back() {
    assert_eq!(after_a_restore(true).await, Verdict::Gap);
}

#[tokio::test]
async fn control_without_the_operator_nothing_tells_odds_without_terms_apart() {
    assert_eq!(after_a_restore(false).await, Verdict::Replayed);
}

#[tokio::test]
async fn a_copy_that_is_ahead_of_its_origin_is_named() {
    let mut world = World::new().await;
    let run = oddswire_protocol::RunId::new();
    world.run_event("alpha", &run, 1, Status::Running).await;
    let backup = tempfile::tempdir().unwrap();
    world.kill_all_nats().await;
    world.copy_store(backup.path());
    world.restart_all_nats().await;
    for seq in 2..=4 {
        world.run_event("alpha", &run, seq, Status::Running).await;
    }
    let copy_name = &world.bus.names().runs_last;
    until("the copy to have all that its origin has", async || {
        world.bus.stream_state(copy_name).await.unwrap().last_seq >= 4
    })
    .await;
    assert_eq!(strays(&world).await, []);
    world.kill_all_nats().await;
    // Only the origin is put back.
    let runs = "jetstream/$G/streams/RUNS";
    fs::remove_dir_all(world.store_path().join(runs)).unwrap();
    copy(&backup.path().join(runs), &world.store_path().join(runs));
    world.restart_all_nats().await;
    let strays = strays(&world).await;
    let named: Vec<_> = strays
        .iter()
        .map(|stray| (&*stray.copy, &*stray.origin))
        .collect();
    assert_eq!(named, [("RUNS_LAST", "RUNS")]);
}
