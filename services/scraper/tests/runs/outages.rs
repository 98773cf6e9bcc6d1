//! A bus that is away for several times as long as a job waits for its worker, and longer than it knows an id again,
//! from a given moment of a run on.
//!
//! Whatever the moment: the run has one chain with one end, each key was written once more and no more, and what stands
//! is what the site shows.

use crate::{
    proxy::Proxy,
    takeover::check_chain,
    world::{World, until},
};
use oddswire_protocol::{
    header::MSG_ID,
    odds::OddsUpdate,
    progress::{Phase, Status},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

const ACK_WAIT_MS: u64 = 2_000;
/// Three times as long; longer, too, than the patience of every single question to the bus.
const AWAY: Duration = Duration::from_millis(3 * ACK_WAIT_MS);
/// Shorter than the outage: the bus does not know again what it took before.
const DUPLICATE_WINDOW_S: u64 = 1;
const EVENTS: u32 = 40;

/// When the bus goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The worker has the job, and has not heard whether anybody has the run.
    BeforeTheClaim,
    /// The claim is stored, and the worker does not know.
    Claimed,
    /// Pages are asked for.
    Scraping,
    /// Odds are stored, and the worker does not know of which.
    Storing,
    /// The last message of the run is stored, and the worker does not know.
    AtTheEnd,
}

/// Has a run that changes every key go through an outage.
async fn outage(moment: Moment) {
    let mut world = World::start_forgetful(ACK_WAIT_MS, DUPLICATE_WINDOW_S, EVENTS).await;
    let proxy = Proxy::start(&world.nats.url()).await;
    let _scraper = world.scraper_through(&proxy.url, "w-1").await;
    world.whole_run().await;
    world.jobs_done().await;
    (1..=EVENTS).for_each(|event| world.site.show(event, "3.3"));
    world.site.hold();
    match moment {
        Moment::BeforeTheClaim => proxy.lose_answers_from("no message found"),
        Moment::Claimed => proxy.lose_answers_from(r#""stream":"RUNS""#),
        Moment::Scraping | Moment::Storing | Moment::AtTheEnd => {}
    }
    let asked = world.site.requests();
    let run_id = world.next_job().await;
    match moment {
        Moment::BeforeTheClaim | Moment::Claimed => proxy.lost().await,
        Moment::Scraping => world.site.asked(asked + 2).await,
        Moment::Storing => {
            world.site.asked(asked + 2).await;
            proxy.lose_answers_from(r#""stream":"ODDS""#);
            world.site.release();
            proxy.lost().await;
        }
        Moment::AtTheEnd => {
            world.site.asked(asked + 2).await;
            proxy.lose_answers_to("Oddswire-Status: completed");
            world.site.release();
            proxy.lost().await;
            world.ended(&run_id).await;
        }
    }
    world.nats.kill().await;
    proxy.heal();
    world.site.release();
    // What this is about is how long it takes.
    sleep(AWAY).await;
    world.nats.start_again().await;
    let messages = world.ended(&run_id).await;
    world.jobs_done().await;
    let later = world.run_messages(&run_id).await.unwrap();
    check_chain(&later);
    assert_eq!(messages.len(), later.len(), "{moment:?}");
    let last = &later.last().unwrap().image;
    assert_eq!(last.status, Status::Completed, "{moment:?}");
    assert_eq!(last.phase, Phase::Completed);
    check_odds(&world, moment).await;
}

fn home(image: &OddsUpdate) -> String {
    let outcomes = &image.market.quotes[0].outcomes;
    let home = outcomes.iter().find(|outcome| outcome.name == "home").unwrap();
    home.price.unwrap().to_string()
}

/// What stands is what the site shows; each key was written twice, by the run before and by this one.
async fn check_odds(world: &World, moment: Moment) {
    let odds = world.odds().await;
    assert_eq!(odds.len(), EVENTS as usize);
    for (_, image) in &odds {
        assert_eq!(home(image), "3.3", "{moment:?}");
    }
    let written = until("the history has all", async || {
        let written = world.history_after(0).await?;
        let has = |id| written.iter().any(|(stored, _)| stored.header(MSG_ID) == id);
        odds.iter()
            .all(|(stored, _)| has(stored.header(MSG_ID)))
            .then_some(written)
    })
    .await;
    let mut by_event: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (_, image) in &written {
        by_event
            .entry(image.event_ids[0].clone())
            .or_default()
            .push(home(image));
    }
    assert_eq!(by_event.len(), EVENTS as usize);
    for (event, prices) in by_event {
        assert_eq!(prices, ["1.85", "3.3"], "{moment:?}: {event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_before_the_claim_loses_and_doubles_nothing() {
    outage(Moment::BeforeTheClaim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_whose_worker_does_not_know_of_its_claim_loses_and_doubles_nothing() {
    outage(Moment::Claimed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_while_pages_are_read_loses_and_doubles_nothing() {
    outage(Moment::Scraping).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_while_odds_are_stored_loses_and_doubles_nothing() {
    outage(Moment::Storing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_at_the_end_of_a_run_leaves_it_its_one_end() {
    outage(Moment::AtTheEnd).await;
}
