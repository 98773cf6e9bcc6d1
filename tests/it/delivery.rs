//! Events to clients: every one, in order, the same bytes everywhere.

use crate::harness::{Quote, World, odds_key};
use oddswire_protocol::{
    Cursor, Feed, RunId,
    envelope::MessageType,
    progress::{ScrapeProgress, Status},
    server::{CaughtUp, ConnectionAck, Heartbeat, Pong, SubscriptionAck, Upstream, Verdict},
};

const PRICE: Quote = Quote {
    event: "e1",
    source: "alpha",
    price: "1.85",
};

#[tokio::test]
async fn a_connection_begins_with_its_acknowledgement_and_is_caught_up_at_once() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("").await;
    let first = client.next().await;
    assert_eq!(first.message_type, MessageType::ConnectionAck);
    let ack: ConnectionAck = first.data().unwrap();
    assert_eq!(ack.topics, ["scrape_progress", "odds_updates"]);
    assert_eq!((ack.resume.verdict, ack.heartbeat_ms), (Verdict::Live, 1_000));
    assert_eq!(first.id, None);
    let second = client.next().await;
    assert_eq!(second.message_type, MessageType::CaughtUp);
    assert_eq!(second.data::<CaughtUp>().unwrap().replayed, 0);
}

#[tokio::test]
async fn every_event_of_a_run_comes_in_order_and_its_terminal_one_last() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("topics=scrape_progress").await;
    client.next_of(MessageType::CaughtUp).await;
    let run = RunId::new();
    for seq in 1..=20 {
        let status = if seq == 20 {
            Status::Completed
        } else {
            Status::Running
        };
        world.run_event("alpha", &run, seq, status).await;
    }
    for seq in 1..=20 {
        let event: ScrapeProgress = client.next_event().await.data().unwrap();
        assert_eq!((event.seq, event.status.is_terminal()), (seq, seq == 20));
    }
}

#[tokio::test]
async fn two_gateways_and_both_transports_give_the_same_bytes_live_and_replayed() {
    let world = World::new().await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    let mut sockets = [one.ws("").await, two.ws("").await];
    let mut streams = [one.sse("").await, two.sse("").await];
    for client in &mut sockets {
        client.next_of(MessageType::CaughtUp).await;
    }
    for client in &mut streams {
        client.until(MessageType::CaughtUp).await;
    }
    let run = RunId::new();
    let mut expected = 0;
    for seq in 1..=10 {
        world.run_event("alpha", &run, seq, Status::Running).await;
        expected += 1;
    }
    world.odds_event(&PRICE).await;
    // The order between the feeds is each gateway's own; the bytes of each event are not.
    let mut seen: Vec<Vec<String>> = Vec::new();
    for client in &mut sockets {
        let mut got = Vec::new();
        while got.len() < expected + 1 {
            let text = client.text().await;
            if !text.starts_with("{\"type\":\"heartbeat\"") {
                got.push(text);
            }
        }
        got.sort();
        seen.push(got);
    }
    for client in &mut streams {
        let mut got = Vec::new();
        while got.len() < expected + 1 {
            got.push(client.next_event().await.data);
        }
        got.sort();
        seen.push(got);
    }
    one.stop().await.unwrap();
    let mut late = two.sse("since=snapshot").await;
    let (mut replayed, _) = late.until(MessageType::CaughtUp).await;
    replayed.remove(0);
    let odds = replayed.into_iter().find(|e| e.event == "odds_update").unwrap();
    assert!(seen.iter().all(|got| *got == seen[0]), "{seen:#?}");
    assert!(seen[0].contains(&odds.data));
}

#[tokio::test]
async fn an_event_is_delivered_once_however_many_topics_match() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway
        .ws("topics=odds_updates,odds_updates.soccer,odds_updates.*.*.alpha")
        .await;
    client.next_of(MessageType::CaughtUp).await;
    world.odds_event(&PRICE).await;
    world
        .odds_event(&Quote {
            price: "1.9",
            ..PRICE
        })
        .await;
    let (first, second) = (client.next_event().await, client.next_event().await);
    assert!(
        first.data.get().contains("1.85") && second.data.get().contains("1.9"),
        "{first:?} {second:?}"
    );
}

#[tokio::test]
async fn a_topic_lets_through_what_it_names_and_nothing_else() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("topics=odds_updates.*.*.bravo").await;
    client.next_of(MessageType::CaughtUp).await;
    world.odds_event(&PRICE).await;
    world.run_event("bravo", &RunId::new(), 1, Status::Running).await;
    world
        .odds_event(&Quote {
            source: "bravo",
            ..PRICE
        })
        .await;
    let only = client.next_event().await;
    assert!(only.data.get().contains("\"source\":\"bravo\""), "{only:?}");
}

#[tokio::test]
async fn a_snapshot_is_the_last_image_of_each_key_then_live() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for price in ["1.5", "1.6", "1.7"] {
        world.odds_event(&Quote { price, ..PRICE }).await;
    }
    world
        .odds_event(&Quote {
            source: "bravo",
            ..PRICE
        })
        .await;
    let (done, open) = (RunId::new(), RunId::new());
    for (run, seq, status) in [
        (&done, 1, Status::Running),
        (&done, 2, Status::Completed),
        (&open, 1, Status::Running),
    ] {
        world.run_event("alpha", run, seq, status).await;
    }
    let mut client = gateway.ws("since=snapshot").await;
    let (mut before, caught_up) = client.until(MessageType::CaughtUp).await;
    let ack: ConnectionAck = before.remove(0).data().unwrap();
    assert_eq!(ack.resume.verdict, Verdict::Snapshot);
    assert_eq!(before.len(), 4, "{before:#?}");
    assert_eq!(caught_up.data::<CaughtUp>().unwrap().replayed, 4);
    assert!(before.iter().all(|m| m.id.is_some()));
    let prices: Vec<_> = before
        .iter()
        .filter(|m| m.message_type == MessageType::OddsUpdate)
        .map(|m| m.data.get())
        .collect();
    assert!(
        prices.len() == 2 && prices.iter().any(|p| p.contains("1.7")),
        "{prices:?}"
    );
    world
        .odds_event(&Quote {
            price: "1.8",
            ..PRICE
        })
        .await;
    assert!(client.next_event().await.data.get().contains("1.8"));
}

#[tokio::test]
async fn topics_come_and_go_in_mid_connection() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world.odds_event(&PRICE).await;
    let mut client = gateway.ws("topics=scrape_progress.nobody").await;
    client.next_of(MessageType::CaughtUp).await;
    client
        .send(r#"{"type":"subscribe","topics":["odds_updates.soccer"],"since":"snapshot","ref":"a"}"#)
        .await;
    let ack: SubscriptionAck = client.next_event().await.data().unwrap();
    assert_eq!(ack.topics, ["scrape_progress.nobody", "odds_updates.soccer"]);
    assert_eq!(
        (ack.resume.verdict, ack.reference),
        (Verdict::Snapshot, Some("a".into()))
    );
    assert_eq!(client.next_event().await.message_type, MessageType::OddsUpdate);
    let caught_up: CaughtUp = client.next_event().await.data().unwrap();
    assert_eq!((caught_up.replayed, caught_up.reference), (1, Some("a".into())));
    // The feed is followed now: a second topic on it reads its images beside the stream.
    client
        .send(r#"{"type":"subscribe","topics":["odds_updates.*.*.alpha"],"since":"snapshot","ref":2}"#)
        .await;
    client.next_of(MessageType::SubscriptionAck).await;
    assert_eq!(client.next_event().await.message_type, MessageType::OddsUpdate);
    assert_eq!(
        client.next_event().await.data::<CaughtUp>().unwrap().reference,
        Some(2.into())
    );
    client
        .send(r#"{"type":"unsubscribe","topics":["odds_updates.soccer","odds_updates.*.*.alpha"]}"#)
        .await;
    let ack: SubscriptionAck = client.next_of(MessageType::SubscriptionAck).await.data().unwrap();
    assert_eq!(ack.topics, ["scrape_progress.nobody"]);
    world
        .odds_event(&Quote {
            price: "2.5",
            ..PRICE
        })
        .await;
    world.run_event("nobody", &RunId::new(), 1, Status::Running).await;
    assert_eq!(
        client.next_event().await.message_type,
        MessageType::ScrapeProgress
    );
}

#[tokio::test]
async fn a_ping_is_answered_with_its_ref_and_heartbeats_carry_a_cursor() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("").await;
    client.send(r#"{"type":"ping"}"#).await;
    client.send(r#"{"type":"ping","ref":"r-1"}"#).await;
    assert_eq!(client.next_of(MessageType::Pong).await.data.get(), "{}");
    assert_eq!(
        client
            .next_of(MessageType::Pong)
            .await
            .data::<Pong>()
            .unwrap()
            .reference,
        Some("r-1".into())
    );
    let heartbeat: Heartbeat = client.next_of(MessageType::Heartbeat).await.data().unwrap();
    assert_eq!((heartbeat.upstream, heartbeat.lag_ms), (Upstream::Ok, 0));
}

#[tokio::test]
async fn an_event_stream_has_its_headers_ids_and_names() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut stream = gateway.sse("topics=odds_updates,bogus").await;
    assert_eq!(stream.header("cache-control"), "no-store, no-transform");
    assert_eq!(stream.header("x-accel-buffering"), "no");
    let ack = stream.next_event().await;
    assert_eq!((ack.event.as_str(), ack.id.is_some()), ("connection_ack", true));
    let fault = stream.next_event().await;
    assert_eq!((fault.event.as_str(), fault.id.as_deref()), ("fault", None));
    assert_eq!(fault.message().message_type, MessageType::Error);
    stream.until(MessageType::CaughtUp).await;
    world.odds_event(&PRICE).await;
    let odds = stream.next_event().await;
    assert_eq!(odds.event, "odds_update");
    let at = odds.id.unwrap().parse::<Cursor>().unwrap();
    // A heartbeat's position is a safe one: here, nothing has come since.
    let heartbeat = stream.next().await;
    assert_eq!(heartbeat.event, "heartbeat");
    assert_eq!(
        heartbeat
            .id
            .unwrap()
            .parse::<Cursor>()
            .unwrap()
            .position(Feed::Odds),
        at.position(Feed::Odds)
    );
}

#[tokio::test]
async fn the_stream_of_one_run_ends_with_it_and_then_says_so() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let run = RunId::new();
    world.run_event("alpha", &run, 1, Status::Running).await;
    world.run_event("alpha", &run, 2, Status::Running).await;
    let path = format!("/api/scrapes/{run}/events");
    let mut stream = crate::harness::Sse::connect(&gateway.url(&path), None).await;
    let (before, _) = stream.until(MessageType::CaughtUp).await;
    // Its last image alone: the acknowledgement and that.
    assert_eq!(
        before.iter().map(|e| e.event.as_str()).collect::<Vec<_>>(),
        ["connection_ack", "scrape_progress"]
    );
    world.run_event("alpha", &run, 3, Status::Completed).await;
    let last = stream.next_event().await;
    assert!(last.data.contains("completed"));
    assert!(stream.try_next().await.is_none(), "the stream is over");
    let id = last.id.unwrap();
    let again = crate::harness::Sse::request(&gateway.url(&path), Some(&id)).await;
    assert_eq!(again.status(), 204);
    // With the cursor of the event before, the terminal one comes again.
    let id = before.last().unwrap().id.clone().unwrap();
    let mut stream = crate::harness::Sse::connect(&gateway.url(&path), Some(&id)).await;
    let rest: Vec<_> = [stream.next_event().await, stream.next_event().await].into();
    assert_eq!(rest[1].data, last.data);
}

#[tokio::test]
async fn a_broken_event_is_skipped_and_the_next_one_comes() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("topics=odds_updates").await;
    client.next_of(MessageType::CaughtUp).await;
    for (at, payload) in [&b"not json"[..], b"{\"a\":\n1}", b"[1]", b"{\"a\":\"\xff\"}"]
        .into_iter()
        .enumerate()
    {
        world
            .event(
                &odds_key(PRICE.event, PRICE.source),
                &format!("bad-{at}"),
                Vec::new(),
                payload,
            )
            .await;
    }
    world.odds_event(&PRICE).await;
    assert!(client.next_event().await.data.get().contains("1.85"));
}

#[tokio::test]
async fn a_feed_joined_late_has_its_snapshot_though_others_follow_it_already() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut other = gateway.ws("topics=odds_updates").await;
    other.next_of(MessageType::CaughtUp).await;
    let mut client = gateway.ws("topics=scrape_progress.nobody").await;
    client.next_of(MessageType::CaughtUp).await;
    world.odds_event(&PRICE).await;
    other.next_of(MessageType::OddsUpdate).await;
    // Lets the client walk past what it does not follow.
    world.run_event("nobody", &RunId::new(), 1, Status::Running).await;
    client.next_of(MessageType::ScrapeProgress).await;
    client
        .send(r#"{"type":"subscribe","topics":["odds_updates"],"since":"snapshot","ref":1}"#)
        .await;
    client.next_of(MessageType::SubscriptionAck).await;
    let (before, caught_up) = client.until(MessageType::CaughtUp).await;
    assert_eq!(
        (before.len(), caught_up.data::<CaughtUp>().unwrap().replayed),
        (1, 1),
        "{before:#?}"
    );
}

#[tokio::test]
async fn the_stream_of_a_run_that_is_over_is_its_last_image_and_then_nothing() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let run = RunId::new();
    world.run_event("alpha", &run, 1, Status::Running).await;
    world.run_event("alpha", &run, 2, Status::Completed).await;
    let url = gateway.url(&format!("/api/scrapes/{run}/events"));
    let mut stream = crate::harness::Sse::connect(&url, None).await;
    stream.next_event().await;
    let last = stream.next_event().await;
    assert!(last.data.contains("completed"));
    assert_eq!(stream.next_event().await.event, "caught_up");
    assert!(stream.try_next().await.is_none());
    assert_eq!(
        crate::harness::Sse::request(&url, last.id.as_deref())
            .await
            .status(),
        204
    );
}
