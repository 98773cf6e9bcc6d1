//! The scraper as a service: how it starts, says how it is, and starts runs by itself.

use crate::{
    nats::Nats,
    world::{Scraper, World, options, until},
};
use oddswire_protocol::{Timestamp, progress::Outcome};
use oddswire_scraper::{Error, ScraperOptions};
use std::collections::BTreeSet;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn a_scraper_that_finds_no_bus_waits_for_it_and_says_what_is_wrong() {
    let mut nats = Nats::start().await;
    nats.kill().await;
    let scraper = Scraper::start(options(&nats, "w-1"), |_| None).await;
    let faults = async |what: &str| {
        let (status, text) = scraper.ops("/readyz").await;
        (status == 503 && text.contains(what)).then_some(())
    };
    until("it says that the bus is away", async || {
        faults("not connected").await
    })
    .await;
    assert_eq!(scraper.ops("/livez").await.0, 200);
    nats.start_again().await;
    until("it says what to do", async || {
        faults("run `oddswire provision`").await
    })
    .await;
    scraper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_definitions_are_a_wrong_configuration_told_with_file_and_line() {
    let nats = Nats::start().await;
    let sources = tempfile::tempdir().unwrap();
    std::fs::write(
        sources.path().join("a.toml"),
        "version = 1\n[source]\nkey = \"A B\"\n",
    )
    .unwrap();
    std::fs::write(sources.path().join("b.toml"), "version = 2\n").unwrap();
    let options = ScraperOptions {
        sources: sources.path().to_owned(),
        ..options(&nats, "w-1")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = oddswire_scraper::run(options, listener, |_| None, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(error.is_configuration() && matches!(error, Error::Sources(_)));
    let text = error.to_string();
    assert!(text.contains("a.toml:3") && text.contains("b.toml:1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_scrapers_start_one_run_for_each_tick() {
    let world = World::start(30_000, 2, "interval = \"1s\"\njitter = \"0%\"").await;
    let _scrapers = (world.scraper("w-1").await, world.scraper("w-2").await);
    let runs = async || {
        let mut runs: BTreeSet<(String, Timestamp)> = BTreeSet::new();
        for message in world.all_run_messages().await? {
            runs.insert((message.image.run_id.to_string(), message.image.started_at?));
        }
        (runs.len() >= 4).then_some(runs)
    };
    let runs = until("four runs were scheduled", runs).await;
    let mut seconds: Vec<i64> = runs.iter().map(|(_, at)| at.unix_ms() / 1_000).collect();
    seconds.sort_unstable();
    let all = seconds.len();
    seconds.dedup();
    assert_eq!(seconds.len(), all, "two runs in one tick: {runs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_finds_its_source_busy_is_skipped_and_counted() {
    let world = World::start(30_000, 2, "interval = \"1s\"").await;
    world.site.hold();
    let scraper = world.scraper("w-1").await;
    until("ticks are skipped", async || {
        (scraper.metric("oddswire_scraper_skipped_ticks_total").await >= 2.0).then_some(())
    })
    .await;
    let jobs = world.bus.stream_state(&world.bus.names().jobs).await.unwrap();
    assert_eq!(jobs.last_seq, 1);
    world.site.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_switched_off_is_scraped_only_when_it_is_named() {
    let world = World::start(30_000, 2, "interval = \"1s\"\nenabled = false").await;
    let scraper = world.scraper("w-1").await;
    let messages = world.whole_run().await;
    assert!(messages.last().unwrap().image.status.is_terminal());
    // Longer than its interval, by the clock that the schedule goes by.
    let began = Timestamp::now();
    until("two intervals pass", async || {
        (Timestamp::now().ms_since(began) > 2_500).then_some(())
    })
    .await;
    assert_eq!(
        world
            .bus
            .stream_state(&world.bus.names().jobs)
            .await
            .unwrap()
            .last_seq,
        1
    );
    scraper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_goes_by_a_changed_definition_and_a_wrong_one_changes_nothing() {
    let world = World::start(30_000, 2, "").await;
    let scraper = world.scraper("w-1").await;
    let outcome = async || world.whole_run().await.last().unwrap().image.outcome;
    assert_eq!(outcome().await, Some(Outcome::Complete));
    world.redefine("[markets.1]", "[expect]\nmin_events = 3\n[markets.1]");
    assert_eq!(outcome().await, Some(Outcome::Broken));
    // The problem is told, and the definition from before goes on.
    world.redefine("min_events = 3", "min_evnts = 1");
    assert_eq!(outcome().await, Some(Outcome::Broken));
    assert!(scraper.metric("oddswire_scraper_definition_problems").await >= 1.0);
    world.redefine("min_evnts = 1", "min_events = 2");
    assert_eq!(outcome().await, Some(Outcome::Complete));
    let metric = async |name| scraper.metric(name).await;
    assert!(metric("oddswire_scraper_definition_problems").await.abs() < 0.5);
    let read = metric("oddswire_scraper_definition_reads_total{reason=\"taken\"}").await;
    assert!((read - 2.0).abs() < 0.5, "{read}");
    scraper.stop().await;
}
