//! A gateway takes from the bus what its clients want, and nothing otherwise.

use crate::harness::{Quote, World, until, within};
use oddswire_protocol::envelope::MessageType;

/// How many messages the server has sent to the gateway's live connection, as the server counts.
async fn sent_to_gateway(world: &World) -> u64 {
    let url = format!("{}/connz", world.monitor_url());
    let answer = within("the server's counts", reqwest::get(url)).await.unwrap();
    let connz: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let connections = connz["connections"].as_array().unwrap();
    let live = connections
        .iter()
        .find(|c| c["name"] == "oddswire-gateway-live")
        .expect("the gateway is connected");
    live["out_msgs"].as_u64().unwrap()
}

/// Whether the server has a subscription of the gateway to the live side.
pub(crate) async fn listens(world: &World) -> bool {
    let url = format!(
        "{}/subsz?subs=1&test=oddswire.live.odds.quote.s.e.a.m",
        world.monitor_url()
    );
    let answer = within("the server's counts", reqwest::get(url)).await.unwrap();
    let subsz: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let subscriptions = subsz["subscriptions_list"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    subscriptions
        .iter()
        .any(|s| s["subject"] == "oddswire.live.odds.>")
}

async fn publish(world: &World, count: u64) {
    for at in 0..count {
        let price = if at % 2 == 0 { "1.85" } else { "1.9" };
        world
            .odds_event(&Quote {
                event: "e1",
                source: "alpha",
                price,
            })
            .await;
    }
}

/// The answers to the gateway's own checks while nothing else is sent: at most this many while `EVENTS` are
/// published, by far fewer than they are.
const CHECKS_MAX: u64 = 60;
const EVENTS: u64 = 300;

#[tokio::test]
async fn without_a_client_events_cost_the_gateway_nothing() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    gateway.wait_ready().await;
    assert!(!listens(&world).await);
    let before = sent_to_gateway(&world).await;
    publish(&world, EVENTS).await;
    let added = sent_to_gateway(&world).await - before;
    assert!(
        added < CHECKS_MAX,
        "{added} messages were sent to a gateway without clients"
    );

    let mut client = gateway.ws("topics=odds_updates").await;
    client.next_of(MessageType::CaughtUp).await;
    let before = sent_to_gateway(&world).await;
    publish(&world, EVENTS).await;
    for _ in 0..EVENTS {
        client.next_of(MessageType::OddsUpdate).await;
    }
    assert!(sent_to_gateway(&world).await - before >= EVENTS);

    drop(client);
    until("the gateway to stop listening after the linger", async || {
        !listens(&world).await
    })
    .await;
    let before = sent_to_gateway(&world).await;
    publish(&world, EVENTS).await;
    let added = sent_to_gateway(&world).await - before;
    assert!(
        added < CHECKS_MAX,
        "{added} messages were sent after the last client left"
    );
}

#[tokio::test]
async fn a_client_of_runs_alone_brings_no_odds() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("topics=scrape_progress").await;
    client.next_of(MessageType::CaughtUp).await;
    assert!(!listens(&world).await);
}
