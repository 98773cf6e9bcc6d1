//! Images on the bus that no gateway shows to anybody.

use crate::world::{World, until};
use oddswire_kit::{log::Stored, publish::Publication};
use oddswire_protocol::event::check_event;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

const CALM_MS: u64 = 30_000;

/// Whether a gateway shows it.
fn is_shown(world: &World, stored: &Stored) -> bool {
    let key = world.bus.subjects().parse(&stored.subject).unwrap();
    check_event(&key, |name| stored.header(name), &stored.payload).is_ok()
}

/// Stores the same image again as somebody who leaves out its headers; gives its subject.
async fn spoil(world: &World, event: usize) -> String {
    let (stored, _) = world.odds().await.swap_remove(event);
    let subject = stored.subject.clone();
    let spoilt = Publication::new(subject.clone(), format!("spoilt:{}", stored.seq), stored.payload);
    world
        .bus
        .publish(&spoilt, &CancellationToken::new())
        .await
        .unwrap();
    let spoilt = stored_at(world, &subject).await;
    assert!(!is_shown(world, &spoilt));
    subject
}

async fn stored_at(world: &World, subject: &str) -> Stored {
    until("the image", async || {
        let odds = world.odds().await;
        let mut stored = odds.into_iter().map(|(stored, _)| stored);
        stored.find(|stored| stored.subject == subject)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_gateways_do_not_show_is_published_again_by_the_next_run() {
    let world = World::start(CALM_MS, 3, "").await;
    let _scraper = world.scraper("w-1").await;
    world.whole_run().await;
    let subject = spoil(&world, 1).await;
    world.whole_run().await;
    assert!(is_shown(&world, &stored_at(&world, &subject).await));
    assert_eq!(world.confirmed().await.1.unconfirmed_event_ids, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_gateways_do_not_show_is_withdrawn_like_any_other_when_its_market_is_gone() {
    let world = World::start(CALM_MS, 3, "").await;
    let _scraper = world.scraper("w-1").await;
    world.whole_run().await;
    let before: BTreeSet<_> = world
        .odds()
        .await
        .into_iter()
        .map(|(stored, _)| stored.subject)
        .collect();
    world.site.remove(1);
    world.whole_run().await;
    let unconfirmed = world.confirmed().await.1.unconfirmed_event_ids;
    assert_eq!(unconfirmed.len(), 1);
    let gone = world
        .odds()
        .await
        .into_iter()
        .position(|(_, image)| image.event_ids[0] == unconfirmed[0]);
    let subject = spoil(&world, gone.unwrap()).await;
    world.whole_run().await;
    assert_eq!(world.confirmed().await.1.unconfirmed_event_ids, []);
    let stored = stored_at(&world, &subject).await;
    assert!(is_shown(&world, &stored) && stored.header("Nats-TTL").is_some());
    let odds = world.odds().await;
    let image = odds.iter().find(|(stored, _)| stored.subject == subject);
    assert!(image.unwrap().1.market.quotes.is_empty());
    let after: BTreeSet<_> = odds.into_iter().map(|(stored, _)| stored.subject).collect();
    assert_eq!(after, before);
}
