//! A gateway whose shards hang: it accepts, its bus answers, and its clients hear nothing. Its own clients notice.

use crate::{
    harness::{Gateway, World, until},
    interest::listens,
};
use oddswire_gateway::trial::Trial;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

async fn readiness(gateway: &Gateway) -> (u16, String) {
    let answer = reqwest::get(format!("{}/readyz", gateway.ops)).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn metric(gateway: &Gateway, name: &str) -> String {
    let text = reqwest::get(format!("{}/metrics", gateway.ops)).await.unwrap();
    let text = text.text().await.unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_shards_hang_says_that_it_is_not_ready() {
    let world = World::new().await;
    let block: &'static AtomicBool = Box::leak(Box::default());
    let trial = Trial {
        block_shards: Some(block),
        ..Trial::default()
    };
    let control = Trial {
        no_own_clients: true,
        ..trial
    };
    let gateway = Gateway::start_on_trial(&world.nats_url(), trial, |_| {}).await;
    let without = Gateway::start_on_trial(&world.nats_url(), control, |_| {}).await;
    gateway.wait_ready().await;
    without.wait_ready().await;
    until("the gateway's own clients at both shards", async || {
        let heard = metric(&gateway, "oddswire_gateway_own_client_delay_seconds_count").await;
        heard.parse::<u32>().is_ok_and(|heard| heard >= 4)
    })
    .await;

    block.store(true, SeqCst);
    until("that it is not ready", async || {
        readiness(&gateway).await.0 == 503
    })
    .await;
    let (_, fault) = readiness(&gateway).await;
    assert!(fault.starts_with("clients: shard 0 sends nothing"), "{fault}");
    until("the metric", async || {
        metric(&gateway, "oddswire_gateway_deaf_shards").await == "2"
    })
    .await;
    // Nothing else notices.
    assert_eq!(readiness(&without).await, (200, "ok\n".to_owned()));

    block.store(false, SeqCst);
    until("that it is ready again", async || {
        readiness(&gateway).await.0 == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_clients_of_a_gateway_are_no_audience() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    gateway.wait_ready().await;
    until("a heartbeat of both", async || {
        let heard = metric(&gateway, "oddswire_gateway_own_client_delay_seconds_count").await;
        heard.parse::<u32>().is_ok_and(|heard| heard >= 2)
    })
    .await;
    assert_eq!(metric(&gateway, "oddswire_gateway_sessions").await, "0");
    assert_eq!(metric(&gateway, "oddswire_gateway_delivered_total").await, "0");
    // A gateway listens to a feed only while somebody is interested in it.
    assert!(!listens(&world).await);
}
