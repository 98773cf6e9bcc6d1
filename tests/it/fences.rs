//! Fences and batches of odds: what gateways make of them, and what the bus does on three servers.

use crate::harness::{Quote, World, odds_key, update, within};
use oddswire_kit::publish::{Ack, Publication, PublishError};
use oddswire_protocol::{
    SourceKey, Timestamp,
    envelope::MessageType,
    header::{MSG_ID, cloud_event},
};
use tokio_util::sync::CancellationToken;

const PRICE: Quote = Quote {
    event: "one",
    source: "alpha",
    price: "1.85",
};

fn fence(world: &World, id: &str, behind: u64) -> Publication {
    let source: SourceKey = "alpha".parse().unwrap();
    Publication {
        expected: Some(behind),
        ..Publication::new(world.bus.subjects().fence(&source), id.into(), Vec::new().into())
    }
}

fn image(world: &World, id: &str, event: &str) -> Publication {
    let (key, now) = (odds_key(event, "alpha"), Timestamp::now());
    let image = update(event, "alpha", PRICE.price.parse().unwrap(), now);
    let payload = serde_json::to_vec(&image).unwrap();
    Publication {
        headers: cloud_event(&key, id, "test", now),
        ..Publication::new(world.bus.subjects().feed(&key), id.into(), payload.into())
    }
}

async fn publish(world: &World, batch: &[Publication]) -> Result<Ack, PublishError> {
    let stop = CancellationToken::new();
    within("the bus to answer", world.bus.publish_batch(batch, &stop, |_| ())).await
}

#[tokio::test]
async fn a_batch_is_shown_without_its_fence_and_leaves_no_hole() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("topics=odds_updates").await;
    client.next_of(MessageType::CaughtUp).await;
    let batch = [
        fence(&world, "f1", 0),
        image(&world, "a", "one"),
        image(&world, "b", "two"),
    ];
    let ack = publish(&world, &batch).await.unwrap();
    // The first write to ODDS begins a term before it.
    assert_eq!(ack.seq, 4);
    world.odds_event(&PRICE).await;
    for _ in 0..3 {
        assert_eq!(client.next_event().await.message_type, MessageType::OddsUpdate);
    }
    // One that comes now finds no event in the fence either; what was overwritten may still be on the ring.
    let mut late = gateway.ws("topics=odds_updates&since=snapshot").await;
    let (events, _) = late.until(MessageType::CaughtUp).await;
    let images = events
        .iter()
        .filter(|event| event.message_type == MessageType::OddsUpdate);
    assert!((2..=3).contains(&images.count()));
    let metrics = reqwest::get(format!("{}/metrics", gateway.ops)).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for name in ["quarantined", "holes"] {
        let mut lines = metrics
            .lines()
            .filter(|line| line.starts_with(&format!("oddswire_gateway_{name}_total")));
        assert!(lines.all(|line| line.ends_with(" 0")), "{name}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_three_servers_a_batch_behind_an_older_fence_is_refused_though_its_keys_are_new() {
    let world = World::cluster().await;
    let claim = publish(&world, &[fence(&world, "claim", 0)]).await.unwrap();
    let first = [fence(&world, "f1", claim.seq), image(&world, "a", "one")];
    let ack = publish(&world, &first).await.unwrap();
    // The same again, as after an answer that was lost: what stands tells that it is there.
    assert_eq!(publish(&world, &first).await, Err(PublishError::WrongLast));
    let odds = &world.bus.names().odds;
    let last = world
        .bus
        .leader_last_message(odds, &first[0].subject)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((last.header(MSG_ID), last.seq), (Some("f1"), ack.seq - 1));
    // Somebody takes over, and then something late comes for a key that nobody has written.
    let over = publish(&world, &[fence(&world, "over", last.seq)]).await.unwrap();
    let late = [fence(&world, "late", last.seq), image(&world, "b", "two")];
    assert_eq!(publish(&world, &late).await, Err(PublishError::WrongLast));
    let state = world.bus.stream_state(odds).await.unwrap();
    assert_eq!(state.last_seq, over.seq, "nothing of it is stored");
}
