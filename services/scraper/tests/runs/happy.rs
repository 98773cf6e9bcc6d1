//! Runs that nothing disturbs.

use crate::world::{World, until};
use oddswire_kit::log::Stored;
use oddswire_kit::publish::PublishError;
use oddswire_protocol::{
    EventId, Timestamp,
    event::check_event,
    header::{AFTER, ATTEMPT, BATCH, CE_ID, CE_SOURCE, CE_TIME, FENCE, MSG_ID, STATUS, TRACEPARENT},
    job::{SourceHealth, SourceRecord},
    odds::QuoteStatus,
    progress::{Outcome, Phase, Status},
};

const CALM_MS: u64 = 30_000;

fn check_headers(world: &World, stored: &Stored) {
    let key = world.bus.subjects().parse(&stored.subject).unwrap();
    check_event(&key, |name| stored.header(name), &stored.payload).unwrap();
    assert_eq!(stored.header(CE_ID), stored.header(MSG_ID));
    assert_eq!(stored.header(CE_SOURCE), Some("/oddswire/scraper/w-1"));
    let traceparent = stored.header(TRACEPARENT).unwrap();
    assert_eq!(traceparent.len(), 55);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_tells_its_phases_in_order_and_ends_once_after_all_its_odds() {
    let world = World::start(CALM_MS, 40, "").await;
    let _scraper = world.scraper("w-1").await;
    let messages = world.whole_run().await;
    let images: Vec<_> = messages.iter().map(|message| &message.image).collect();
    let expected: Vec<u64> = (1..=images.len() as u64).collect();
    assert_eq!(images.iter().map(|image| image.seq).collect::<Vec<_>>(), expected);
    let mut phases: Vec<Phase> = images.iter().map(|image| image.phase).collect();
    phases.dedup();
    assert_eq!(
        phases,
        [
            Phase::Initializing,
            Phase::Discovering,
            Phase::Scraping,
            Phase::Mapping,
            Phase::Storing,
            Phase::Completed
        ]
    );
    let (last, before) = messages.split_last().unwrap();
    assert!(
        before
            .iter()
            .all(|message| message.image.status == Status::Running)
    );
    assert_eq!(
        (last.image.status, last.image.outcome),
        (Status::Completed, Some(Outcome::Complete))
    );
    assert_eq!((last.image.events_count, last.image.changed_count), (40, 40));
    assert_eq!(last.image.phases.len(), 6);

    for message in &messages {
        check_headers(&world, &message.stored);
        assert_eq!(message.stored.header(STATUS), Some(message.image.status.as_str()));
        assert_eq!(message.stored.header(ATTEMPT), Some("1"));
        assert_eq!(
            message.stored.header(BATCH),
            Some(message.image.batch_id.as_str())
        );
    }
    let odds = world.odds().await;
    assert_eq!(odds.len(), 40);
    let (confirmation, confirmed) = world.confirmed().await;
    let fence = messages[0].stored.seq.to_string();
    for (stored, image) in &odds {
        check_headers(&world, stored);
        assert_eq!(stored.header(FENCE), Some(fence.as_str()));
        assert!(
            stored.seq < confirmation.seq,
            "odds are there before they are confirmed"
        );
        assert_eq!((image.snapshot_count, image.market.quotes.len()), (1, 1));
    }
    assert_eq!(confirmation.header(FENCE), Some(fence.as_str()));
    assert_eq!(confirmed.unconfirmed_event_ids, []);
    let after = last.stored.header(AFTER).unwrap();
    assert_eq!(after, confirmation.seq.to_string());
    assert!(
        before
            .iter()
            .all(|message| message.stored.header(AFTER).is_none())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_change_is_confirmed_and_not_published_again() {
    let world = World::start(CALM_MS, 10, "").await;
    let _scraper = world.scraper("w-1").await;
    world.whole_run().await;
    let (first, (_, confirmed)) = (world.odds().await, world.confirmed().await);
    let messages = world.whole_run().await;
    assert_eq!(messages.last().unwrap().image.changed_count, 0);
    let seqs = |odds: &[(Stored, _)]| odds.iter().map(|(stored, _)| stored.seq).collect::<Vec<_>>();
    assert_eq!(seqs(&world.odds().await), seqs(&first));
    assert!(world.confirmed().await.1.confirmed_at > confirmed.confirmed_at);

    world.site.show(3, "1.9");
    let messages = world.whole_run().await;
    assert_eq!(messages.last().unwrap().image.changed_count, 1);
    let odds = world.odds().await;
    let (stored, image) = odds.last().unwrap();
    assert_eq!(image.event_ids, [EventId::of("mc:match:3")]);
    let home = image.market.quotes[0]
        .outcomes
        .iter()
        .find(|outcome| outcome.name == "home")
        .unwrap();
    let text = |price: Option<oddswire_protocol::Price>| price.unwrap().to_string();
    assert_eq!(
        (text(home.price), text(home.previous_price)),
        ("1.9".into(), "1.85".into())
    );
    let ce_time: Timestamp = stored.header(CE_TIME).unwrap().parse().unwrap();
    assert!(image.market.quotes[0].changed_at <= ce_time);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanished_is_unconfirmed_first_and_withdrawn_the_second_time() {
    let world = World::start(CALM_MS, 3, "").await;
    let first = world.scraper("w-1").await;
    world.whole_run().await;
    world.site.remove(2);
    let gone = EventId::of("mc:match:2");
    let messages = world.whole_run().await;
    assert_eq!(messages.last().unwrap().image.changed_count, 0);
    assert_eq!(
        world.confirmed().await.1.unconfirmed_event_ids,
        std::slice::from_ref(&gone)
    );
    // Another process goes on counting.
    drop(first);
    let _second = world.scraper("w-2").await;
    world.whole_run().await;
    assert_eq!(world.confirmed().await.1.unconfirmed_event_ids, []);
    let odds = world.odds().await;
    for (stored, image) in &odds {
        let withdrawn = image
            .market
            .quotes
            .iter()
            .all(|quote| quote.status == QuoteStatus::Withdrawn);
        assert_eq!(withdrawn, image.event_ids[0] == gone);
        let ttl = withdrawn.then_some("604800");
        assert_eq!(
            stored.header("Nats-TTL").map(|ttl| ttl.trim_end_matches('s')),
            ttl
        );
    }
    world.site.show(2, "1.85");
    world.whole_run().await;
    let odds = world.odds().await;
    let (stored, image) = odds.last().unwrap();
    assert_eq!(
        (&image.event_ids[0], image.market.quotes[0].status),
        (&gone, QuoteStatus::Open)
    );
    assert_eq!(stored.header("Nats-TTL"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_image_is_in_the_history() {
    let world = World::start(CALM_MS, 2, "").await;
    let _scraper = world.scraper("w-1").await;
    let images = async |count: usize, withdrawn: usize| {
        until("all images are in the history", async || {
            let written = world.history_after(0).await?;
            let gone = written
                .iter()
                .filter(|(_, image)| image.market.quotes[0].status == QuoteStatus::Withdrawn);
            ((written.len(), gone.count()) == (count, withdrawn)).then_some(())
        })
        .await;
    };
    // The copy gets what ODDS still holds, so each image is waited for before the next one takes its place.
    for (round, price) in ["1.9", "2.05", "1.75"].into_iter().enumerate() {
        (1..=2).for_each(|event| world.site.show(event, price));
        world.whole_run().await;
        images(2 * (round + 1), 0).await;
    }
    world.site.remove(2);
    world.whole_run().await;
    world.whole_run().await;
    // Three images of each, and one that says that the second one is withdrawn.
    images(7, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_has_one_run_at_a_time() {
    let world = World::start(CALM_MS, 3, "").await;
    let _scraper = world.scraper("w-1").await;
    world.site.hold();
    let run_id = world.job().await.unwrap();
    world.site.asked(2).await;
    assert_eq!(world.job().await, Err(PublishError::Taken));
    world.site.release();
    world.ended(&run_id).await;
    world.whole_run().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_tells_how_it_does() {
    let world = World::start(CALM_MS, 3, "").await;
    let scraper = world.scraper("w-1").await;
    let record = async || {
        let value = world.bus.kv_get("source.alpha").await.ok()??;
        serde_json::from_slice::<SourceRecord>(&value).ok()
    };
    let first = until("the source is announced", record).await;
    assert_eq!((first.health, first.last_run_id), (SourceHealth::Unknown, None));
    let run_id = world.job().await.unwrap();
    world.ended(&run_id).await;
    until("the run is noted", async || {
        let record = record().await?;
        (record.health == SourceHealth::Ok && record.last_run_id.as_ref() == Some(&run_id)).then_some(())
    })
    .await;
    let workers = async || {
        world
            .bus
            .kv_list("worker")
            .await
            .ok()
            .map(|workers| workers.len())
    };
    until("the worker is listed", async || {
        (workers().await? == 1).then_some(())
    })
    .await;
    scraper.stop().await;
    assert_eq!(workers().await, Some(0));
}
