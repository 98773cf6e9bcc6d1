//! The demo's own four sources, scraped as they are shipped.

use crate::world::{Scraper, World, options, until};
use oddswire_demo_site::DemoOptions;
use oddswire_protocol::{RunId, progress::Status};
use oddswire_scraper::ScraperOptions;
use std::collections::BTreeMap;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_bookmakers_are_scraped_completely_and_once() {
    let world = World::start(30_000, 0, "").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let demo = DemoOptions {
        speed: 0.0,
        events: 12,
        ..DemoOptions::default()
    };
    let mut serving = JoinSet::new();
    serving.spawn(oddswire_demo_site::run(demo, listener, CancellationToken::new()));
    let options = ScraperOptions {
        no_schedule: true,
        ..options(&world.nats, "w-1")
    };
    let _scraper = Scraper::start(options, move |name| (name == "DEMO_URL").then(|| url.clone())).await;

    let scrape_all = async || {
        for source in ["alpha", "bravo", "charlie", "delta"] {
            let source: oddswire_protocol::SourceKey = source.parse().unwrap();
            until("the source is free", async || {
                world.job_as(source.clone(), &RunId::new()).await.ok()
            })
            .await;
        }
        world.jobs_done().await;
    };
    scrape_all().await;
    let mut ends = BTreeMap::new();
    for message in world.all_run_messages().await.unwrap() {
        ends.insert(
            message.image.source.to_string(),
            (message.image.status, message.image.errors),
        );
    }
    assert_eq!(ends.len(), 4);
    assert!(
        ends.values().all(|end| *end == (Status::Completed, vec![])),
        "{ends:?}"
    );
    let seqs = async || {
        world
            .odds()
            .await
            .iter()
            .map(|(stored, _)| stored.seq)
            .collect::<Vec<_>>()
    };
    let first = seqs().await;
    assert!(first.len() > 40, "{} images", first.len());
    scrape_all().await;
    assert_eq!(
        seqs().await,
        first,
        "the world stands still, and yet something was published"
    );
}
