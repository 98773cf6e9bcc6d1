//! Runs whose worker or bus goes away in the middle.

use crate::{
    proxy::Proxy,
    world::{RunMessage, World, alpha, until},
};
use oddswire_kit::publish::Publication;
use oddswire_protocol::{
    EventKey, RunId, Timestamp,
    header::{ATTEMPT, BATCH, FENCE, STATUS, cloud_event},
    progress::{ErrorType, Phase, Status},
};
use tokio_util::sync::CancellationToken;

/// Short, so that a job goes to another worker soon.
const HASTY_MS: u64 = 3_000;
const CALM_MS: u64 = 30_000;

/// No number is missing, none is doubled, and only the last one ends the run.
pub(crate) fn check_chain(messages: &[RunMessage]) {
    let seqs: Vec<u64> = messages.iter().map(|message| message.image.seq).collect();
    assert_eq!(seqs, (1..=messages.len() as u64).collect::<Vec<_>>());
    let terminal = messages
        .iter()
        .filter(|message| message.image.status.is_terminal());
    assert_eq!(terminal.count(), 1);
    let attempts: Vec<u32> = messages.iter().map(|message| message.image.attempt).collect();
    assert!(attempts.is_sorted(), "{attempts:?}");
}

async fn held_run(world: &World) -> RunId {
    world.site.hold();
    let run_id = world.job().await.unwrap();
    world
        .run_until("it scrapes", &run_id, |last| last.phase == Phase::Scraping)
        .await;
    world.site.asked(2).await;
    run_id
}

/// The run after others; it has loaded what the bus has.
async fn next_held_run(world: &World) -> RunId {
    world.site.hold();
    let requests = world.site.requests();
    let run_id = world.next_job().await;
    world.site.asked(requests + 2).await;
    run_id
}

/// Replaces the source's fence, as the next attempt would.
async fn replace_fence(world: &World) {
    let subject = world.bus.subjects().fence(&alpha());
    let odds = &world.bus.names().odds;
    let last = world.bus.leader_last(odds, &subject).await.unwrap();
    let message = Publication {
        expected: last,
        ..Publication::new(subject, "somebody:else".into(), Vec::new().into())
    };
    world
        .bus
        .publish(&message, &CancellationToken::new())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_worker_crashed_is_gone_on_with_by_another() {
    let world = World::start(HASTY_MS, 20, "").await;
    let first = world.scraper("w-1").await;
    let run_id = held_run(&world).await;
    drop(first);
    let _second = world.scraper("w-2").await;
    world.site.release();
    let messages = world.ended(&run_id).await;
    check_chain(&messages);
    let last = &messages.last().unwrap().image;
    assert_eq!((last.status, last.attempt), (Status::Completed, 2));
    assert_eq!(last.worker_id.as_deref(), Some("w-2"));
    assert!(
        last.errors
            .iter()
            .any(|error| error.error_type == ErrorType::Stale)
    );
    assert_eq!(last.started_at, messages[0].image.started_at);
    assert_eq!(world.odds().await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_gives_its_run_back_at_once_and_does_not_end_it() {
    let world = World::start(600_000, 5, "").await;
    let first = world.scraper("w-1").await;
    let run_id = held_run(&world).await;
    first.stop().await;
    let left = world.run_messages(&run_id).await.unwrap();
    assert!(left.iter().all(|message| message.image.status == Status::Running));
    world.site.release();
    // Ten minutes without a sign of life are not waited for: the job was given back.
    let _second = world.scraper("w-2").await;
    let messages = world.ended(&run_id).await;
    check_chain(&messages);
    assert_eq!(messages.last().unwrap().image.attempt, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_somebody_overtook_writes_nothing_more() {
    let world = World::start(HASTY_MS, 20, "").await;
    let _scraper = world.scraper("w-1").await;
    let run_id = held_run(&world).await;
    let (claim, before) = overtake(&world, &run_id).await;
    world.site.release();
    let messages = world.ended(&run_id).await;
    check_chain(&messages);
    // Between the foreign claim and the next one of this worker, which has the job again, there is nothing.
    assert_eq!(messages[before].stored.seq, claim);
    let next = &messages[before + 1];
    assert_eq!((next.image.attempt, next.image.phase), (3, Phase::Initializing));
    let fence = next.stored.seq.to_string();
    let odds = world.odds().await;
    assert_eq!(odds.len(), 20);
    for (stored, _) in odds {
        assert_eq!(
            stored.header(FENCE),
            Some(fence.as_str()),
            "written without a claim"
        );
    }
}

/// Claims the run as another worker would. Gives the sequence of the claim and how many messages stand before it.
async fn overtake(world: &World, run_id: &RunId) -> (u64, usize) {
    let key = EventKey::Run {
        source: alpha(),
        run_id: run_id.clone(),
    };
    until("the claim is stored", async || {
        let messages = world.run_messages(run_id).await?;
        let last = messages.last()?;
        let mut image = last.image.clone();
        image.seq += 1;
        image.attempt += 1;
        image.worker_id = Some("other".into());
        let id = format!("{run_id}:other:{}", image.seq);
        let mut headers = cloud_event(&key, &id, "test", Timestamp::now());
        headers.extend([
            (STATUS, "running".into()),
            (ATTEMPT, image.attempt.to_string()),
            (BATCH, image.batch_id.to_string()),
        ]);
        let message = Publication {
            headers,
            expected: Some(last.stored.seq),
            ..Publication::new(
                world.bus.subjects().feed(&key),
                id,
                serde_json::to_vec(&image).unwrap().into(),
            )
        };
        // Its own worker may have been faster; then once more.
        let ack = world
            .bus
            .publish(&message, &CancellationToken::new())
            .await
            .ok()?;
        Some((ack.seq, messages.len()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_fence_somebody_has_replaced_writes_no_odds_any_more() {
    let world = World::start(HASTY_MS, 5, "").await;
    let scraper = world.scraper("w-1").await;
    world.whole_run().await;
    let before = world.odds().await;
    let run_id = next_held_run(&world).await;
    world.site.show(3, "1.9");
    replace_fence(&world).await;
    world.site.release();
    until("the run is given up", async || {
        let metrics = scraper.ops("/metrics").await.1;
        metrics.contains(r#"end="fenced"} 1"#).then_some(())
    })
    .await;
    let stored = world.run_messages(&run_id).await.unwrap();
    assert!(
        stored
            .iter()
            .all(|message| message.image.attempt > 1 || !message.image.status.is_terminal())
    );
    // The next attempt takes the fence over, and writes what changed.
    let messages = world.ended(&run_id).await;
    check_chain(&messages);
    let claim = messages
        .iter()
        .find(|message| message.image.attempt == 2)
        .unwrap();
    let fence = claim.stored.seq.to_string();
    let written: Vec<_> = world.odds().await.split_off(before.len() - 1);
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].0.header(FENCE), Some(fence.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_acknowledgement_was_lost_is_written_once() {
    let world = World::start(CALM_MS, 20, "").await;
    let proxy = Proxy::start(&world.nats.url()).await;
    let _scraper = world.scraper_through(&proxy.url, "w-1").await;
    let run_id = held_run(&world).await;
    let told = world.run_messages(&run_id).await.unwrap().len();
    // An event of the run itself: a count, or the sign of life after five seconds.
    proxy.lose_answers_from(r#""stream":"RUNS""#);
    proxy.lost().await;
    proxy.heal();
    let goes_on = async || (world.run_messages(&run_id).await?.len() > told + 1).then_some(());
    until("the run goes on", goes_on).await;

    proxy.lose_answers_from(r#""stream":"ODDS""#);
    world.site.release();
    proxy.lost().await;
    proxy.heal();
    let messages = world.ended(&run_id).await;
    check_chain(&messages);
    let last = &messages.last().unwrap().image;
    assert_eq!((last.attempt, last.changed_count), (1, 20));
    let odds = world.bus.stream_state(&world.bus.names().odds).await.unwrap();
    // The term of ODDS and a fence when it began, and a fence in front of each of the two batches.
    assert_eq!(odds.last_seq, 25, "20 images and what they are confirmed by");
}

/// Kills and starts the server again and again while runs go on that change every key.
#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_crashes_again_and_again_loses_and_doubles_nothing() {
    let mut world = World::start(CALM_MS, 150, "").await;
    let _scraper = world.scraper("w-1").await;
    let prices = ["1.9", "2.05", "1.75"];
    for price in prices {
        (1..=150).for_each(|event| world.site.show(event, price));
        let run_id = world.next_job().await;
        for _ in 0..2 {
            let written = world
                .bus
                .stream_state(&world.bus.names().odds)
                .await
                .map(|odds| odds.last_seq);
            // As soon as something more is written, or the run is over.
            until("odds are written", async || {
                let odds = world.bus.stream_state(&world.bus.names().odds).await.ok()?;
                let over = world
                    .run_messages(&run_id)
                    .await?
                    .last()?
                    .image
                    .status
                    .is_terminal();
                (over || written.as_ref().is_ok_and(|written| odds.last_seq > *written)).then_some(())
            })
            .await;
            world.nats.kill().await;
            world.nats.start_again().await;
            until("the bus is back", async || {
                world.run_messages(&run_id).await.map(|_| ())
            })
            .await;
        }
        check_chain(&world.ended(&run_id).await);
        let odds = world.odds().await;
        assert_eq!(odds.len(), 150);
        for (_, image) in odds {
            let home = image.market.quotes[0]
                .outcomes
                .iter()
                .find(|outcome| outcome.name == "home");
            assert_eq!(home.unwrap().price.unwrap().to_string(), price);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_killed_in_the_middle_of_a_run_loses_nothing() {
    let mut world = World::start(CALM_MS, 60, "").await;
    let scraper = world.scraper("w-1").await;
    let run_id = held_run(&world).await;
    world.nats.kill().await;
    world.site.release();
    // The pages are read while the bus is away: the run stands before its odds.
    world.site.asked(61).await;
    until("the scraper is unready", async || {
        (scraper.ops("/readyz").await.0 == 503).then_some(())
    })
    .await;
    world.nats.start_again().await;
    let messages = world.ended(&run_id).await;
    check_chain(&messages);
    assert_eq!(messages.last().unwrap().image.status, Status::Completed);
    assert_eq!(world.odds().await.len(), 60);
    until("the scraper is ready", async || {
        (scraper.ops("/readyz").await.0 == 200).then_some(())
    })
    .await;
    world.jobs_done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_away_for_too_long_costs_the_attempt_and_not_the_run() {
    let mut world = World::start(HASTY_MS, 10, "").await;
    let scraper = world.scraper("w-1").await;
    let run_id = held_run(&world).await;
    world.nats.kill().await;
    world.site.release();
    until("the run is given up", async || {
        let given_up = scraper.ops("/metrics").await.1.contains(r#"end="lease_lost"} 1"#);
        given_up.then_some(())
    })
    .await;
    world.nats.start_again().await;
    let messages = world.ended(&run_id).await;
    check_chain(&messages);
    let last = &messages.last().unwrap().image;
    assert_eq!((last.status, last.attempt), (Status::Completed, 2));
    assert_eq!(world.odds().await.len(), 10);
}
