//! The bus is gone: clients stay, are told, and lose nothing.

use crate::harness::{Ended, Gateway, Quote, Sse, World, until};
use oddswire_protocol::{
    RunId,
    envelope::MessageType,
    progress::{ScrapeProgress, Status},
    server::{ConnectionAck, Heartbeat, Reconnect, Resume, Upstream, Verdict},
};

const PRICE: Quote = Quote {
    event: "e1",
    source: "alpha",
    price: "1.85",
};

#[tokio::test]
async fn a_gateway_without_a_bus_serves_says_so_and_heals() {
    let mut world = World::new().await;
    world.odds_event(&PRICE).await;
    world.kill_nats().await;
    let gateway = Gateway::start(&world.nats_url(), |_| {}).await;
    assert_eq!(
        reqwest::get(format!("{}/livez", gateway.ops))
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        reqwest::get(format!("{}/readyz", gateway.ops))
            .await
            .unwrap()
            .status(),
        503
    );
    let mut client = gateway.ws("topics=odds_updates&since=snapshot").await;
    let ack: ConnectionAck = client.next().await.data().unwrap();
    assert_eq!(ack.resume.verdict, Verdict::Unavailable);
    let heartbeat: Heartbeat = client.next_of(MessageType::Heartbeat).await.data().unwrap();
    assert_eq!(heartbeat.upstream, Upstream::Down);
    let (status, problem) = gateway.get("/api/odds").await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("bus_unavailable")));

    world.restart_nats().await;
    let resume: Resume = client.next_of(MessageType::Resume).await.data().unwrap();
    assert_eq!(resume.verdict, Verdict::Snapshot);
    let (before, _) = client.until(MessageType::CaughtUp).await;
    assert_eq!(before.len(), 1, "{before:#?}");
    gateway.wait_ready().await;
}

#[tokio::test]
async fn clients_stay_connected_through_a_restart_and_miss_nothing() {
    let mut world = World::new().await;
    let gateway = world.gateway().await;
    let mut socket = gateway.ws("topics=scrape_progress").await;
    let mut stream = gateway.sse("topics=scrape_progress").await;
    socket.next_of(MessageType::CaughtUp).await;
    stream.until(MessageType::CaughtUp).await;
    let run = RunId::new();
    for seq in 1..=50 {
        if seq % 10 == 5 {
            world.kill_nats().await;
            world.restart_nats().await;
        }
        world.run_event("alpha", &run, seq, Status::Running).await;
    }
    for seq in 1..=50 {
        let event: ScrapeProgress = socket.next_event().await.data().unwrap();
        assert_eq!(event.seq, seq);
        let event: ScrapeProgress = stream.next_event().await.message().data().unwrap();
        assert_eq!(event.seq, seq);
    }
}

#[tokio::test]
async fn streams_that_are_missing_are_named_and_waited_for() {
    let mut world = World::new().await;
    world.kill_nats().await;
    let empty = tempfile::tempdir().unwrap();
    let nats = oddswire_kit::nats_server::NatsServer::start(empty.path(), None)
        .await
        .unwrap();
    let gateway = Gateway::start(&nats.url(), |_| {}).await;
    let ready = format!("{}/readyz", gateway.ops);
    until("readiness to name the missing stream", async || {
        let text = reqwest::get(&ready).await.unwrap().text().await.unwrap();
        text.contains("RUNS is missing") && text.contains("oddswire provision")
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_stops_is_unready_first_and_closes_each_client_at_a_slot_it_was_told() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| (options.drain_delay_ms, options.grace_ms) = (5_000, 8_000))
        .await;
    gateway.wait_ready().await;
    let mut socket = gateway.ws("").await;
    socket.next_of(MessageType::CaughtUp).await;
    let mut stream: Sse = gateway.sse("").await;
    stream.until(MessageType::CaughtUp).await;
    let ready = format!("{}/readyz", gateway.ops);
    let address = gateway.address.clone();
    gateway.ask_to_stop();
    until("the gateway to say that it is stopping", async || {
        let answer = reqwest::get(&ready).await.unwrap();
        answer.status() == 503 && answer.text().await.unwrap().contains("stopping")
    })
    .await;
    // Balancers may not have noticed: it still takes clients, and serves those it has.
    let mut late = crate::harness::Ws::connect(&address, "").await;
    late.next_of(MessageType::CaughtUp).await;
    let told: Reconnect = socket.next_of(MessageType::Reconnect).await.data().unwrap();
    assert!(told.after_ms < 5_000, "{told:?}");
    world.odds_event(&PRICE).await;
    let (_, reconnect) = stream.until(MessageType::Reconnect).await;
    assert!(
        reconnect.retry.is_some_and(|ms| (1_000..=3_000).contains(&ms)),
        "{reconnect:?}"
    );
    late.next_of(MessageType::Reconnect).await;
    assert_eq!(socket.ended().await, Ended::Code(1012));
    assert_eq!(late.ended().await, Ended::Code(1012));
    while stream.try_next().await.is_some() {}
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_that_never_reads_does_not_hold_up_the_end() {
    let world = World::new().await;
    let gateway = world.gateway_with(|options| options.grace_ms = 1_000).await;
    let stuck = gateway.ws("").await;
    gateway.stop().await.unwrap();
    drop(stuck);
}

#[tokio::test]
async fn what_is_owed_during_an_outage_is_not_lost_by_coming_back_with_its_cursor() {
    let mut world = World::new().await;
    world.odds_event(&PRICE).await;
    world.kill_nats().await;
    let gateway = Gateway::start(&world.nats_url(), |_| {}).await;
    let mut stream = gateway.sse("topics=odds_updates&since=snapshot").await;
    let id = stream.next_event().await.id.unwrap();
    drop(stream);
    world.restart_nats().await;
    gateway.wait_ready().await;
    let url = gateway.url("/api/events?topics=odds_updates&since=snapshot");
    let mut stream = Sse::connect(&url, Some(&id)).await;
    let (before, _) = stream.until(MessageType::CaughtUp).await;
    assert_eq!(before.last().unwrap().event, "odds_update", "{before:#?}");
}

#[tokio::test]
async fn a_snapshot_asked_for_during_an_outage_comes_after_it() {
    let mut world = World::new().await;
    world.odds_event(&PRICE).await;
    let gateway = world.gateway().await;
    let mut other = gateway.ws("topics=odds_updates").await;
    other.next_of(MessageType::CaughtUp).await;
    world.kill_nats().await;
    until("the gateway to notice", async || {
        let mut probe = Box::pin(gateway.ws("topics=odds_updates")).await;
        let ack: ConnectionAck = Box::pin(probe.next()).await.data().unwrap();
        ack.resume.verdict == Verdict::Unavailable
    })
    .await;
    let mut client = gateway.ws("topics=odds_updates.soccer").await;
    let ack: ConnectionAck = client.next().await.data().unwrap();
    assert_eq!(ack.resume.verdict, Verdict::Unavailable);
    client
        .send(r#"{"type":"subscribe","topics":["odds_updates.soccer"],"since":"snapshot"}"#)
        .await;
    let ack = client.next_of(MessageType::SubscriptionAck).await;
    assert!(ack.data.get().contains("unavailable"), "{ack:?}");
    world.restart_nats().await;
    let resume: Resume = client.next_of(MessageType::Resume).await.data().unwrap();
    assert_eq!(resume.verdict, Verdict::Snapshot);
    client.next_of(MessageType::OddsUpdate).await;
}
