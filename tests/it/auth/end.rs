//! The end of a token in mid-connection, and how another one puts it off.

use super::{claims, on, refusal, sign};
use crate::harness::{Ended, Gateway, Quote, World, Ws, until};
use oddswire_protocol::{
    RunId,
    envelope::MessageType,
    progress::Status,
    server::{ConnectionAck, ErrorCode, ErrorData, SubscriptionAck},
};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

fn short(topics: &[&str], ttl_s: i64) -> String {
    sign(&claims("ann", topics, "", ttl_s))
}

/// One whose clients are looked after once a minute only.
async fn quiet(world: &World) -> Gateway {
    world
        .gateway_with(|options| {
            on(options);
            options.heartbeat_ms = 60_000;
        })
        .await
}

async fn error(client: &mut Ws) -> ErrorData {
    client.next_of(MessageType::Error).await.data().unwrap()
}

async fn renew(client: &mut Ws, token: &str) {
    client
        .send(&json!({"type": "auth", "token": token, "ref": 9}).to_string())
        .await;
}

#[tokio::test]
async fn a_parked_client_is_told_and_closed_when_its_token_ends() {
    let world = World::new().await;
    let gateway = quiet(&world).await;
    let mut client = gateway.ws_by("", &short(&["odds_updates"], 3)).await;
    client.next_of(MessageType::CaughtUp).await;
    let expiring = error(&mut client).await;
    assert_eq!(expiring.code, ErrorCode::TokenExpiring);
    assert_eq!(error(&mut client).await.code, ErrorCode::TokenExpired);
    assert_eq!(client.ended().await, Ended::Code(4401));
}

#[tokio::test]
async fn an_event_stream_ends_with_its_token_and_the_next_goes_on_where_it_ended() {
    let world = World::new().await;
    let gateway = quiet(&world).await;
    let run = RunId::new();
    world.run_event("alpha", &run, 1, Status::Running).await;
    let old = short(&["scrape_progress"], 3);
    let mut stream = gateway.sse_by("since=snapshot", &old).await;
    let mut last_id = None;
    let mut faults = Vec::new();
    while let Some(event) = stream.try_next().await {
        last_id = event.id.clone().or(last_id);
        if event.event == "fault" {
            faults.push(event.message().data::<ErrorData>().unwrap().code);
        }
    }
    assert_eq!(faults, [ErrorCode::TokenExpiring, ErrorCode::TokenExpired]);
    for seq in 2..=4 {
        world.run_event("alpha", &run, seq, Status::Running).await;
    }
    let last_id = last_id.expect("ids came");
    let again = |token: &str| {
        let request = reqwest::Client::new().get(gateway.url("/api/events"));
        request.bearer_auth(token).header("last-event-id", &last_id)
    };
    let (status, code, challenge) = refusal(gateway.send(again(&old)).await).await;
    assert_eq!((status, code.as_str()), (401, "token_expired"));
    assert!(challenge.contains("invalid_token"), "{challenge}");
    let answer = gateway.send(again(&short(&["scrape_progress"], 600))).await;
    let mut stream = crate::harness::Sse::of(answer);
    let (before, _) = stream.until(MessageType::CaughtUp).await;
    let progress = before.iter().filter(|event| event.event == "scrape_progress");
    assert_eq!(progress.count(), 3, "{before:#?}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_ended_as_well() {
    let world = World::new().await;
    let gateway = quiet(&world).await;
    let token = short(&["odds_updates"], 4);
    let mut stalled = TcpStream::connect(&gateway.address).await.unwrap();
    let head =
        format!("GET /api/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
    stalled.write_all(head.as_bytes()).await.unwrap();
    let sessions = async || {
        let text = reqwest::get(format!("{}/metrics", gateway.ops))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("oddswire_gateway_sessions "));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    until("the session", async || sessions().await == "1").await;
    let fell_behind = async || {
        let text = reqwest::get(format!("{}/metrics", gateway.ops))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.lines()
            .any(|line| line.starts_with("oddswire_gateway_fell_behind_total ") && !line.ends_with(" 0"))
    };
    let mut number = 0;
    while !fell_behind().await && sessions().await == "1" {
        number += 1;
        for _ in 0..20 {
            world.big_odds_event("e1", number).await;
        }
    }
    until("its end", async || sessions().await == "0").await;
    drop(stalled);
}

#[tokio::test]
async fn a_new_token_puts_the_end_off() {
    let world = World::new().await;
    let gateway = quiet(&world).await;
    let mut client = gateway.ws_by("", &short(&["odds_updates"], 4)).await;
    let ack: ConnectionAck = client.next_of(MessageType::ConnectionAck).await.data().unwrap();
    assert_eq!(error(&mut client).await.code, ErrorCode::TokenExpiring);
    renew(&mut client, &short(&["odds_updates"], 8)).await;
    let renewed: SubscriptionAck = client.next_of(MessageType::SubscriptionAck).await.data().unwrap();
    assert_eq!(renewed.reference, Some(9.into()));
    assert!(renewed.token_expires_at > ack.token_expires_at);
    // Told again, with the time of the new one: the old end has passed unnoticed.
    let notice = client.next_of(MessageType::Error).await;
    assert_eq!(notice.data::<ErrorData>().unwrap().code, ErrorCode::TokenExpiring);
    let last = client.next_of(MessageType::Error).await;
    assert_eq!(last.data::<ErrorData>().unwrap().code, ErrorCode::TokenExpired);
    assert!(last.timestamp > ack.token_expires_at.unwrap());
    assert_eq!(client.ended().await, Ended::Code(4401));
}

#[tokio::test]
async fn a_new_token_that_is_refused_changes_nothing() {
    let world = World::new().await;
    let gateway = quiet(&world).await;
    let mut client = gateway.ws_by("", &short(&["odds_updates"], 4)).await;
    client.next_of(MessageType::CaughtUp).await;
    let other = sign(&claims("eve", &["odds_updates", "scrape_progress"], "", 600));
    renew(&mut client, &other).await;
    let refused = error(&mut client).await;
    assert_eq!(
        (refused.code, refused.reference),
        (ErrorCode::SubjectChanged, Some(9.into()))
    );
    renew(&mut client, &format!("{other}x")).await;
    assert_eq!(error(&mut client).await.code, ErrorCode::TokenInvalid);
    client
        .send(r#"{"type":"subscribe","topics":["scrape_progress"]}"#)
        .await;
    assert_eq!(error(&mut client).await.code, ErrorCode::TopicForbidden);
    assert_eq!(client.ended().await, Ended::Code(4401), "the old end holds");
}

#[tokio::test]
async fn a_new_token_may_narrow_and_widen() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let mut client = gateway
        .ws_by(
            "topics=odds_updates.*.*.alpha,odds_updates.*.*.bravo",
            &short(&["odds_updates"], 600),
        )
        .await;
    client.next_of(MessageType::CaughtUp).await;
    renew(
        &mut client,
        &short(&["odds_updates.*.*.bravo", "scrape_progress"], 600),
    )
    .await;
    let ack: SubscriptionAck = client.next_of(MessageType::SubscriptionAck).await.data().unwrap();
    assert_eq!(ack.topics, ["odds_updates.*.*.bravo"]);
    let (event, price) = ("e1", "1.85");
    for source in ["alpha", "bravo"] {
        world.odds_event(&Quote { event, source, price }).await;
    }
    let message = client.next_event().await;
    assert!(message.data.get().contains("\"source\":\"bravo\""), "{message:?}");
    client
        .send(r#"{"type":"subscribe","topics":["scrape_progress"]}"#)
        .await;
    let ack: SubscriptionAck = client.next_of(MessageType::SubscriptionAck).await.data().unwrap();
    assert_eq!(ack.topics, ["odds_updates.*.*.bravo", "scrape_progress"]);
    // A token for nothing leaves a connection for nothing.
    renew(&mut client, &short(&[], 600)).await;
    let ack: SubscriptionAck = client.next_of(MessageType::SubscriptionAck).await.data().unwrap();
    assert!(ack.topics.is_empty());
    world
        .odds_event(&Quote {
            event,
            source: "bravo",
            price,
        })
        .await;
    client.send(r#"{"type":"ping"}"#).await;
    let (before, _) = client.until(MessageType::Pong).await;
    assert!(
        before.iter().all(|m| m.message_type != MessageType::OddsUpdate),
        "{before:#?}"
    );
}
