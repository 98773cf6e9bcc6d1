//! What the system before this one got wrong and no other test here shows: `docs/defects.md` has the list.

use crate::{
    takeover::check_chain,
    world::{World, until},
};
use oddswire_protocol::{
    progress::{ErrorType, Phase, Status, Unit},
    stream::Sizing,
};
use std::collections::BTreeSet;

const CALM_MS: u64 = 30_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_a_price_is_when_it_was_checked_and_survives_a_restart_of_everything() {
    let mut world = World::start(CALM_MS, 3, "").await;
    let scraper = world.scraper("w-1").await;
    world.whole_run().await;
    world.whole_run().await;
    let ages = async |world: &World| {
        let odds = world.odds().await;
        let quotes = odds.iter().map(|(_, image)| &image.market.quotes[0]);
        let changed: Vec<_> = quotes
            .map(|quote| (quote.changed_at, quote.confirmed_at))
            .collect();
        (changed, world.confirmed().await.1.confirmed_at)
    };
    let (changed, checked) = ages(&world).await;
    // Nothing changed in the second run, and yet it was checked.
    assert!(changed.iter().all(|(changed_at, _)| *changed_at < checked));
    scraper.stop().await;
    world.nats.kill().await;
    world.nats.start_again().await;
    until("the bus is back", async || {
        world.bus.stream_state(&world.bus.names().odds).await.ok()
    })
    .await;
    let _scraper = world.scraper("w-2").await;
    assert_eq!(ages(&world).await, (changed.clone(), checked));
    world.whole_run().await;
    let (still, later) = ages(&world).await;
    assert_eq!(still, changed);
    assert!(later > checked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bus_does_not_take_is_published_when_it_does() {
    // Not enough for the images: the stream refuses what does not fit.
    let full = Sizing {
        odds_bytes: 16 << 10,
        ..Sizing::DEV
    };
    let world = World::start_sized(full, 100, "").await;
    let _scraper = world.scraper("w-1").await;
    let run_id = world.job().await.unwrap();
    world
        .run_until("it stores", &run_id, |last| last.phase == Phase::Storing)
        .await;
    // Whoever looks at the run sees why it does not go on.
    world
        .run_until("it says why it waits", &run_id, |last| {
            let mut errors = last.errors.iter();
            errors.any(|error| {
                error.error_type == ErrorType::Publish && error.message.contains("maximum bytes exceeded")
            })
        })
        .await;
    world.resize(Sizing::DEV).await;
    let messages = world.ended(&run_id).await;
    check_chain(&messages);
    let last = &messages.last().unwrap().image;
    assert_eq!((last.status, last.changed_count), (Status::Completed, 100));
    assert_eq!(world.odds().await.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_from_before_batches_holds_runs_up_until_it_is_provisioned() {
    let world = World::start_without_batches(3).await;
    let _scraper = world.scraper("w-1").await;
    let run_id = world.job().await.unwrap();
    world
        .run_until("it says what to do", &run_id, |last| {
            let mut errors = last.errors.iter();
            errors.any(|error| error.message.contains("run `oddswire provision --apply`"))
        })
        .await;
    assert_eq!(world.odds().await.len(), 0);
    world.resize(Sizing::DEV).await;
    let messages = world.ended(&run_id).await;
    check_chain(&messages);
    assert_eq!(messages.last().unwrap().image.changed_count, 3);
    assert_eq!(world.odds().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_run_tells_as_much_as_one_that_somebody_started() {
    let world = World::start(CALM_MS, 5, "interval = \"1s\"").await;
    let _scraper = world.scraper("w-1").await;
    let messages = until("a scheduled run ends", async || {
        let messages = world.all_run_messages().await?;
        let ended = messages
            .iter()
            .find(|message| message.image.status.is_terminal())?;
        let run_id = ended.image.run_id.clone();
        let of_run = messages
            .into_iter()
            .filter(|message| message.image.run_id == run_id);
        Some(of_run.collect::<Vec<_>>())
    })
    .await;
    check_chain(&messages);
    let last = &messages.last().unwrap().image;
    assert_eq!((last.source.as_str(), last.status), ("alpha", Status::Completed));
    let counts: Vec<_> = last
        .phases
        .iter()
        .map(|phase| (phase.phase, phase.unit, phase.current, phase.total))
        .collect();
    assert!(
        counts.contains(&(Phase::Scraping, Unit::Pages, 5, Some(5))),
        "{counts:?}"
    );
    assert!(
        counts.contains(&(Phase::Storing, Unit::Markets, 5, Some(5))),
        "{counts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_page_is_kept_but_what_was_read() {
    let world = World::start(CALM_MS, 3, "").await;
    let _scraper = world.scraper("w-1").await;
    world.whole_run().await;
    let size = async || {
        let texts = world.everything_stored().await;
        assert!(
            texts.iter().any(|text| text.contains("Home 1")),
            "the odds are there"
        );
        let raw = texts.iter().filter(|text| text.contains(crate::site::UNREAD));
        assert_eq!(raw.count(), 0);
        texts.len()
    };
    size().await;
    world.whole_run().await;
    size().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scraper_that_starts_leaves_the_runs_of_others_alone() {
    let world = World::start(CALM_MS, 5, "").await;
    let _first = world.scraper("w-1").await;
    world.site.hold();
    let run_id = world.job().await.unwrap();
    world.site.asked(2).await;
    let second = world.scraper("w-2").await;
    until("the second one is ready", async || {
        (second.ops("/readyz").await.0 == 200).then_some(())
    })
    .await;
    world.site.release();
    let messages = world.ended(&run_id).await;
    check_chain(&messages);
    let workers: BTreeSet<_> = messages
        .iter()
        .map(|message| message.image.worker_id.clone())
        .collect();
    assert_eq!(workers, BTreeSet::from([Some("w-1".to_owned())]));
    assert_eq!(messages.last().unwrap().image.status, Status::Completed);
}
