//! `oddswire source retire`: what a source offered is taken back when nobody scrapes it any more.

use crate::world::{World, alpha, until};
use clap::Parser as _;
use oddswire_protocol::{
    odds::QuoteStatus,
    progress::{Outcome, Status},
};
use oddswire_scraper::workbench::{self, Error, Output, SourceOptions};
use tokio_util::sync::CancellationToken;

const CALM_MS: u64 = 30_000;
const WEEK_S: &str = "604800";

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    options: SourceOptions,
}

/// Runs the command; gives what it says.
async fn retire(world: &World, key: &str) -> Result<String, Error> {
    let url = world.nats.url();
    let cli = Cli::parse_from(["source", "retire", key, "--nats-url", &url]);
    let (mut out, mut aside) = (Vec::new(), Vec::new());
    let output = Output {
        out: &mut out,
        aside: &mut aside,
    };
    let stop = CancellationToken::new();
    let code = workbench::run(cli.options, &|_| None, output, stop).await?;
    assert_eq!(code, 0);
    Ok(String::from_utf8(out).unwrap())
}

/// A source that was scraped once, and whose scraper is gone.
async fn left_alone() -> World {
    let world = World::start(CALM_MS, 5, "").await;
    let scraper = world.scraper("w-1").await;
    world.whole_run().await;
    world.jobs_done().await;
    scraper.stop().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_source_offers_nothing_and_is_listed_no_more() {
    let world = left_alone().await;
    let (_, checked) = world.confirmed().await;
    let said = retire(&world, "alpha").await.unwrap();
    assert!(said.contains("5 markets withdrawn"), "{said}");
    let odds = world.odds().await;
    assert_eq!(odds.len(), 5);
    for (stored, image) in &odds {
        let mut quotes = image.market.quotes.iter();
        assert!(quotes.all(|quote| quote.status == QuoteStatus::Withdrawn));
        assert_eq!(stored.header("Nats-TTL"), Some(WEEK_S));
    }
    let (stored, now) = world.confirmed().await;
    assert!(now.confirmed_at > checked.confirmed_at && !now.all_unconfirmed);
    assert_eq!(stored.header("Nats-TTL"), Some(WEEK_S));
    assert_eq!(world.bus.kv_get("source.alpha").await.unwrap(), None);
    world.jobs_done().await;
    // It is a run like any other, and the images are of that run.
    let messages = world.run_messages(&now.run_id).await.unwrap();
    crate::takeover::check_chain(&messages);
    let last = &messages.last().unwrap().image;
    assert_eq!((last.status, last.changed_count), (Status::Completed, 5));
    assert_eq!(last.outcome, Some(Outcome::Empty));
    assert!(odds.iter().all(|(_, image)| image.run_id == now.run_id));
    // Once more does no harm.
    let said = retire(&world, "alpha").await.unwrap();
    assert!(said.contains("0 markets withdrawn"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_comes_back_is_offered_again() {
    let world = left_alone().await;
    retire(&world, "alpha").await.unwrap();
    let _scraper = world.scraper("w-2").await;
    world.whole_run().await;
    for (stored, image) in world.odds().await {
        assert_eq!(image.market.quotes[0].status, QuoteStatus::Open);
        assert_eq!(stored.header("Nats-TTL"), None);
    }
    assert_eq!(world.confirmed().await.0.header("Nats-TTL"), None);
    until("it is listed", async || {
        world.bus.kv_get("source.alpha").await.ok()?
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scraped_or_waits_or_was_never_there_is_not_retired() {
    let world = World::start(CALM_MS, 2, "").await;
    let refused = async |key: &str| {
        let before = world.bus.stream_state(&world.bus.names().odds).await.unwrap();
        let error = retire(&world, key).await.unwrap_err();
        let after = world.bus.stream_state(&world.bus.names().odds).await.unwrap();
        assert_eq!(before.last_seq, after.last_seq);
        error.to_string()
    };
    assert!(refused("alpha").await.contains("the bus has nothing of alpha"));
    let scraper = world.scraper("w-1").await;
    world.whole_run().await;
    world.jobs_done().await;
    until("it says what it scrapes", async || {
        let records = world.bus.kv_list("worker").await.ok()?;
        (!records.is_empty()).then_some(())
    })
    .await;
    assert!(refused("alpha").await.contains("w-1 has its definition"));
    scraper.stop().await;
    let run_id = world.job().await.unwrap();
    assert!(refused("alpha").await.contains("a run of alpha is waiting"));
    // That run is still the one that is waited for.
    let job = world.bus.subjects().job(&alpha());
    let jobs = &world.bus.names().jobs;
    let waiting = world.bus.leader_last_message(jobs, &job).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&waiting.payload).contains(run_id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_no_scraper_has_any_more_is_listed_for_a_week() {
    let world = World::start(CALM_MS, 2, "").await;
    let _scraper = world.scraper("w-1").await;
    let control = world.bus.names().control_stream();
    let subject = world.bus.names().record_subject("source.alpha");
    let ttl = async || {
        let record = world.bus.leader_last_message(&control, &subject).await.ok()??;
        Some((record.seq, record.header("Nats-TTL")?.to_owned()))
    };
    let (announced, week) = until("it is announced", ttl).await;
    assert_eq!(week, WEEK_S);
    world.whole_run().await;
    let noted = async || ttl().await.filter(|(seq, _)| *seq > announced);
    let (_, week) = until("its run is noted", noted).await;
    assert_eq!(week, WEEK_S);
}
