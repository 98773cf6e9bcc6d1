//! What clients do wrong: each gets the contract's answer, and nobody else notices.

use crate::harness::{Ended, Quote, World};
use oddswire_protocol::{
    envelope::MessageType,
    server::{ErrorCode, ErrorData},
};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

#[tokio::test]
async fn bad_text_is_answered_and_the_connection_lives() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    for (text, code) in [
        ("{", ErrorCode::InvalidJson),
        (r#"{"type":"shout","ref":1}"#, ErrorCode::UnknownType),
        (r#"{"type":"subscribe"}"#, ErrorCode::InvalidMessage),
        (
            r#"{"type":"subscribe","topics":["bogus"]}"#,
            ErrorCode::InvalidTopic,
        ),
        (
            r#"{"type":"unsubscribe","topics":["odds_updates.x"]}"#,
            ErrorCode::InvalidTopic,
        ),
        (r#"{"type":"auth","token":"x"}"#, ErrorCode::AuthDisabled),
    ] {
        client.send(text).await;
        let error: ErrorData = client.next_of(MessageType::Error).await.data().unwrap();
        assert_eq!(error.code, code, "{text}");
    }
    client.send(r#"{"type":"ping","ref":"still here"}"#).await;
    client.next_of(MessageType::Pong).await;
}

#[tokio::test]
async fn a_bad_topic_is_told_and_the_others_are_granted() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("topics=odds_updates.%3E,odds_updates.soccer").await;
    let ack = client.next().await;
    assert!(
        ack.data.get().contains(r#""topics":["odds_updates.soccer"]"#),
        "{ack:?}"
    );
    let error: ErrorData = client.next().await.data().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidTopic);
}

#[tokio::test]
async fn no_valid_topic_is_refused_on_both_transports() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("topics=bogus").await;
    let error: ErrorData = client.next().await.data().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidTopic);
    assert_eq!(client.ended().await, Ended::Code(4500));
    let (status, problem) = gateway.get("/api/events?topics=bogus").await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (400, Some("invalid_topic")),
        "{problem}"
    );
}

#[tokio::test]
async fn a_message_of_one_mebibyte_is_closed_with_1009() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    // The gateway may close before it has taken all of it.
    let frame = Message::text("x".repeat(1 << 20));
    client.send_raw(frame).await;
    assert_eq!(client.ended().await, Ended::Code(1009));
}

#[tokio::test]
async fn text_that_is_not_utf8_is_closed_with_1007() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    // A masked text frame of two bytes that are no UTF-8; the mask is zero.
    client
        .tcp()
        .write_all(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe])
        .await
        .unwrap();
    assert_eq!(client.ended().await, Ended::Code(1007));
}

#[tokio::test]
async fn a_frame_that_is_none_is_closed_with_1002() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    // A reserved opcode.
    client.tcp().write_all(&[0x83, 0x80, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(client.ended().await, Ended::Code(1002));
}

#[tokio::test]
async fn one_bad_client_does_not_touch_another() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut good = gateway.ws("topics=odds_updates").await;
    good.next_of(MessageType::CaughtUp).await;
    let mut bad = gateway.ws("").await;
    bad.tcp().write_all(&[0xff; 64]).await.unwrap();
    bad.ended().await;
    world
        .odds_event(&Quote {
            event: "e1",
            source: "alpha",
            price: "1.85",
        })
        .await;
    assert_eq!(good.next_event().await.message_type, MessageType::OddsUpdate);
}

#[tokio::test]
async fn a_flood_of_messages_is_limited_and_the_connection_lives() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("topics=odds_updates").await;
    client.next_of(MessageType::CaughtUp).await;
    for _ in 0..100 {
        client.send(r#"{"type":"ping"}"#).await;
    }
    let error: ErrorData = client.next_of(MessageType::Error).await.data().unwrap();
    assert_eq!(error.code, ErrorCode::RateLimited);
    world
        .odds_event(&Quote {
            event: "e1",
            source: "alpha",
            price: "1.85",
        })
        .await;
    client.next_of(MessageType::OddsUpdate).await;
}

#[tokio::test]
async fn bad_queries_and_unknown_addresses_get_problem_documents() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for (path, status, code) in [
        ("/api/events?conflate_ms=soon", 400, "invalid_query"),
        ("/api/ws", 400, "not_a_websocket"),
        ("/api/nothing", 404, "not_found"),
        ("/api/scrapes/not-a-run", 404, "unknown_run"),
        ("/api/scrapes/not-a-run/events", 404, "unknown_run"),
        ("/api/scrapes/UPPER", 404, "unknown_run"),
        ("/api/scrapes?status=asleep", 400, "invalid_query"),
        ("/api/scrapes?limit=0", 400, "invalid_query"),
        ("/api/odds?sport=*", 400, "invalid_query"),
        ("/api/odds?page=x", 400, "invalid_query"),
    ] {
        let (found, problem) = gateway.get(path).await;
        assert_eq!(
            (found, problem["code"].as_str()),
            (status, Some(code)),
            "{path}: {problem}"
        );
        assert!(
            problem["detail"].as_str().is_some_and(|d| !d.is_empty()),
            "{path}"
        );
    }
    let (status, problem) = gateway.post("/api/odds", "").await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (405, Some("method_not_allowed"))
    );
    let (status, problem) = gateway.get("/api/scrapes/%ff").await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("unknown_run")));
    let (status, problem) = gateway.post("/api/scrapes", &" ".repeat(70_000)).await;
    assert_eq!((status, problem["code"].as_str()), (413, Some("body_too_large")));
    let (status, problem) = gateway.post("/api/scrapes", "{").await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("invalid_body")));
    let (status, problem) = gateway.post("/api/scrapes", r#"{"sauces":[]}"#).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (400, Some("invalid_body")),
        "{problem}"
    );
}

#[tokio::test]
async fn a_client_that_says_goodbye_is_answered() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("").await;
    client.next_of(MessageType::CaughtUp).await;
    client
        .send_raw(Message::Close(Some(CloseFrame {
            code: 1000.into(),
            reason: "bye".into(),
        })))
        .await;
    assert_eq!(client.ended().await, Ended::Code(1000));
}

#[tokio::test]
async fn long_lists_of_topics_are_refused_as_one() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("topics=odds_updates").await;
    client.next_of(MessageType::CaughtUp).await;
    let names = vec!["\"x\""; 5_000].join(",");
    for kind in ["subscribe", "unsubscribe"] {
        client
            .send(&format!(r#"{{"type":"{kind}","topics":[{names}]}}"#))
            .await;
        let error: ErrorData = client.next_of(MessageType::Error).await.data().unwrap();
        assert_eq!(error.code, ErrorCode::TooManyTopics);
    }
    client.send(r#"{"type":"ping"}"#).await;
    assert_eq!(
        client.next_event().await.message_type,
        MessageType::Pong,
        "one answer each"
    );
}

#[tokio::test]
async fn images_of_a_topic_that_was_left_come_no_more() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world
        .odds_event(&Quote {
            event: "e1",
            source: "alpha",
            price: "1.85",
        })
        .await;
    let mut client = gateway.ws("topics=odds_updates.tennis").await;
    client.next_of(MessageType::CaughtUp).await;
    client
        .send(r#"{"type":"subscribe","topics":["odds_updates.soccer"],"since":"snapshot"}"#)
        .await;
    client
        .send(r#"{"type":"unsubscribe","topics":["odds_updates.soccer"]}"#)
        .await;
    client.send(r#"{"type":"ping"}"#).await;
    client.next_of(MessageType::SubscriptionAck).await;
    client.next_of(MessageType::SubscriptionAck).await;
    client.next_of(MessageType::Pong).await;
    world
        .odds_event(&Quote {
            event: "e1",
            source: "alpha",
            price: "1.9",
        })
        .await;
    world
        .odds_event(&Quote {
            event: "e1",
            source: "tennis",
            price: "1.9",
        })
        .await;
    client.send(r#"{"type":"ping"}"#).await;
    let (before, _) = client.until(MessageType::Pong).await;
    assert!(
        before.iter().all(|m| m.message_type != MessageType::OddsUpdate),
        "{before:#?}"
    );
}

#[tokio::test]
async fn an_empty_since_and_two_of_them_are_refused_by_name() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for query in ["since=", "since=&topics=odds_updates", "since=now&since=snapshot"] {
        for (path, upgrade) in [("/api/events", false), ("/api/ws", true)] {
            let mut request = reqwest::Client::new().get(gateway.url(&format!("{path}?{query}")));
            if upgrade {
                request = request
                    .header("connection", "upgrade")
                    .header("upgrade", "websocket")
                    .header("sec-websocket-version", "13")
                    .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 400, "{path} {query}");
            let problem: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            assert_eq!(problem["code"], "invalid_query", "{path} {query}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.starts_with("since is "), "{path} {query}: {detail}");
        }
    }
}
