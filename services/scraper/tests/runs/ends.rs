//! Runs that somebody cancels, or that nobody can end.

use crate::{
    takeover::check_chain,
    world::{RunMessage, World, alpha},
};
use oddswire_protocol::{
    RunId,
    progress::{ErrorType, Outcome, Phase, Status},
    stream::JOBS_CONSUMER,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::sleep;

const CALM: Duration = Duration::from_secs(30);

fn statuses(messages: &[RunMessage]) -> Vec<Status> {
    let mut statuses: Vec<Status> = messages.iter().map(|message| message.image.status).collect();
    statuses.dedup();
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_run_that_is_cancelled_says_so_and_ends() {
    let world = World::start(30_000, 5, "").await;
    let _scraper = world.scraper("w-1").await;
    world.site.hold();
    let run_id = world.job().await.unwrap();
    world
        .run_until("it scrapes", &run_id, |last| last.phase == Phase::Scraping)
        .await;
    world.intend_cancel(&run_id).await;
    assert!(
        world.bus.ask(world.bus.subjects().control(&run_id)).await,
        "nobody listens"
    );
    let messages = world.ended(&run_id).await;
    assert_eq!(
        statuses(&messages),
        [Status::Running, Status::Cancelling, Status::Cancelled]
    );
    let last = &messages.last().unwrap().image;
    assert_eq!((last.phase, last.outcome), (Phase::Cancelled, None));
    assert!(world.odds().await.is_empty());
    world.site.release();
    assert_eq!(
        statuses(&world.whole_run().await),
        [Status::Running, Status::Completed]
    );
}

/// Cancels runs at moments that are spread over the whole of a run.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_at_any_moment_ends_once_and_frees_its_source() {
    const ROUNDS: u32 = 12;
    let world = World::start(30_000, 60, "").await;
    world.site.slow_down(10);
    let _scraper = world.scraper("w-1").await;
    world.whole_run().await;
    let whole = world.whole_run().await.pop().unwrap().image.elapsed_ms;
    let mut cancelled_in = BTreeSet::new();
    for round in 0..ROUNDS {
        (1..=60).for_each(|event| world.site.show(event, &format!("2.{round:02}")));
        let run_id = world.next_job().await;
        sleep(Duration::from_millis(
            whole * u64::from(round) / u64::from(ROUNDS),
        ))
        .await;
        world.intend_cancel(&run_id).await;
        world.bus.ask(world.bus.subjects().control(&run_id)).await;
        let messages = world.ended(&run_id).await;
        check_chain(&messages);
        let last = &messages.last().unwrap().image;
        // The last moments may be too late.
        assert!(
            matches!(last.status, Status::Cancelled | Status::Completed),
            "{last:?}"
        );
        if last.status == Status::Cancelled {
            assert_eq!(last.outcome, None);
            cancelled_in.insert(last.phases.iter().rev().nth(1).map(|phase| phase.phase));
        }
    }
    assert!(cancelled_in.len() > 1, "cancelled in {cancelled_in:?} alone");
    let messages = world.whole_run().await;
    assert_eq!(messages.last().unwrap().image.status, Status::Completed);
    for (_, image) in world.odds().await {
        let home = image.market.quotes[0]
            .outcomes
            .iter()
            .find(|outcome| outcome.name == "home");
        assert_eq!(home.unwrap().price.unwrap().to_string(), "2.11");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cancelled_while_it_waited_asks_the_site_for_nothing() {
    let world = World::start(30_000, 5, "").await;
    let run_id = world.job().await.unwrap();
    world.intend_cancel(&run_id).await;
    let _scraper = world.scraper("w-1").await;
    let messages = world.ended(&run_id).await;
    assert_eq!(messages.last().unwrap().image.status, Status::Cancelled);
    assert_eq!(world.site.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_over_is_not_made_again() {
    let world = World::start(30_000, 5, "").await;
    let scraper = world.scraper("w-1").await;
    let run_id = world.job().await.unwrap();
    let messages = world.ended(&run_id).await;
    world.jobs_done().await;
    scraper.stop().await;
    // The same job once more, as after an answer that nobody heard.
    world.job_as(alpha(), &run_id).await.unwrap();
    let requests = world.site.requests();
    let _scraper = world.scraper("w-2").await;
    world.jobs_done().await;
    assert_eq!(world.run_messages(&run_id).await.unwrap().len(), messages.len());
    assert_eq!(world.site.requests(), requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_handed_out_too_often_is_a_failed_run_and_frees_its_source() {
    let world = World::start(30_000, 5, "").await;
    let run_id = world.job().await.unwrap();
    let mut queue = world.bus.queue(&world.bus.names().jobs, JOBS_CONSUMER);
    for times in 1..=5 {
        let delivery = queue.next(CALM).await.unwrap().unwrap();
        assert_eq!(delivery.times(), times);
        delivery.give_back(None).await.unwrap();
    }
    queue.close().await;
    let scraper = world.scraper("w-1").await;
    let messages = world.ended(&run_id).await;
    let [end] = &messages[..] else {
        panic!("one message, not {}", messages.len());
    };
    assert_eq!(
        (end.image.status, end.image.outcome),
        (Status::Failed, Some(Outcome::Broken))
    );
    assert_eq!(
        end.image.error.as_ref().map(|error| error.error_type),
        Some(ErrorType::Stale)
    );
    world.jobs_done().await;
    assert!(scraper.metric("oddswire_scraper_dead_jobs_total").await > 0.0);
    assert_eq!(
        statuses(&world.whole_run().await),
        [Status::Running, Status::Completed]
    );
}

/// A worker asks for another job and freezes: from then on nobody reads what it is given.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_is_not_given_its_own_job_again() {
    let ack_wait = Duration::from_secs(2);
    let world = World::start(2_000, 1, "").await;
    world.job().await.unwrap();
    let jobs = &world.bus.names().jobs;
    let mut frozen = world.bus.queue(jobs, JOBS_CONSUMER);
    let first = frozen.next(ack_wait).await.unwrap().unwrap();
    assert_eq!(first.times(), 1);
    let asked = tokio::time::timeout(Duration::from_millis(100), frozen.next(ack_wait));
    assert!(asked.await.is_err(), "there is no other job");
    let mut other = world.bus.queue(jobs, JOBS_CONSUMER);
    let again = crate::world::until("another worker has it", async || {
        other.next(ack_wait).await.ok()?
    });
    assert_eq!(again.await.times(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_source_that_is_not_here_goes_back() {
    let world = World::start(30_000, 5, "").await;
    let run_id = RunId::new();
    world.job_as("nobody".parse().unwrap(), &run_id).await.unwrap();
    let scraper = world.scraper("w-1").await;
    crate::world::until("the job was turned away", async || {
        (scraper.metric("oddswire_scraper_jobs_turned_away_total").await > 0.0).then_some(())
    })
    .await;
    scraper.stop().await;
    let mut queue = world.bus.queue(&world.bus.names().jobs, JOBS_CONSUMER);
    let again = crate::world::until("the job comes again", async || queue.next(CALM).await.ok()?).await;
    assert_eq!(again.subject(), "oddswire.jobs.scrape.nobody");
    assert_eq!(again.times(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_refuses_us_is_a_failed_run_that_confirms_nothing() {
    let world = World::start(30_000, 3, "").await;
    let _scraper = world.scraper("w-1").await;
    world.whole_run().await;
    let (confirmation, _) = world.confirmed().await;
    world.site.refuse();
    let messages = world.whole_run().await;
    let last = &messages.last().unwrap().image;
    assert_eq!(
        (last.status, last.outcome),
        (Status::Failed, Some(Outcome::Blocked))
    );
    assert_eq!(
        last.error.as_ref().map(|error| error.error_type),
        Some(ErrorType::Blocked)
    );
    assert_eq!(world.confirmed().await.0.seq, confirmation.seq);
}
