//! What a token allows, and nothing else.

use super::{refusal, token};
use crate::harness::{Ended, Gateway, Quote, World, Ws, within};
use oddswire_gateway::{GatewayOptions, auth::AuthOptions};
use oddswire_kit::tls;
use oddswire_protocol::{
    Cursor, Feed, RunId, Timestamp,
    cursor::Position,
    envelope::MessageType,
    progress::Status,
    server::{ConnectionAck, ErrorCode, ErrorData, SubscriptionAck},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

async fn ack(client: &mut Ws) -> ConnectionAck {
    client.next_of(MessageType::ConnectionAck).await.data().unwrap()
}

#[tokio::test]
async fn a_topic_outside_the_claim_is_told_and_the_others_are_granted() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let token = token(&["odds_updates.soccer.*.alpha", "scrape_progress.bravo"], "");
    for asked in [
        "odds_updates",
        "odds_updates.*",
        "odds_updates.soccer",
        "odds_updates.soccer.*.*",
        "odds_updates.*.*.alpha",
        "odds_updates.tennis.e1.alpha",
        "scrape_progress",
        "scrape_progress.*.r1",
    ] {
        let query = format!("topics={asked},scrape_progress.bravo.r1");
        let mut client = gateway.ws_by(&query, &token).await;
        assert_eq!(
            ack(&mut client).await.topics,
            ["scrape_progress.bravo.r1"],
            "{asked}"
        );
        let error: ErrorData = client.next().await.data().unwrap();
        assert_eq!(error.code, ErrorCode::TopicForbidden, "{asked}");
        let mut stream = gateway.sse_by(&query, &token).await;
        let (_, fault) = stream.until_named("fault").await;
        let error: ErrorData = fault.message().data().unwrap();
        assert_eq!(error.code, ErrorCode::TopicForbidden, "{asked}");
        // Alone it leaves nothing.
        let mut client = gateway.ws_by(&format!("topics={asked}"), &token).await;
        let error: ErrorData = client.next().await.data().unwrap();
        assert_eq!(error.code, ErrorCode::TopicForbidden, "{asked}");
        assert_eq!(client.ended().await, Ended::Code(4500), "{asked}");
        let answer = gateway
            .get_by(&format!("/api/events?topics={asked}"), &token)
            .await;
        let (status, code, _) = refusal(answer).await;
        assert_eq!((status, code.as_str()), (403, "topic_forbidden"), "{asked}");
    }
}

#[tokio::test]
async fn who_asks_for_no_topic_gets_what_its_token_allows() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let token = token(
        &[
            "odds_updates.soccer.*.alpha",
            "odds_updates.*.*.alpha",
            "scrape_progress.bravo",
        ],
        "",
    );
    let mut client = gateway.ws_by("since=snapshot", &token).await;
    assert_eq!(
        ack(&mut client).await.topics,
        ["odds_updates.*.*.alpha", "scrape_progress.bravo"]
    );
    client.next_of(MessageType::CaughtUp).await;
    for source in ["bravo", "alpha"] {
        let (event, price) = ("e1", "1.85");
        world.odds_event(&Quote { event, source, price }).await;
    }
    let event = client.next_event().await;
    assert!(event.data.get().contains("\"source\":\"alpha\""), "{event:?}");
    let nothing = super::token(&[], "read");
    let mut client = gateway.ws_by("", &nothing).await;
    let error: ErrorData = client.next().await.data().unwrap();
    assert_eq!(error.code, ErrorCode::TopicForbidden);
    assert_eq!(client.ended().await, Ended::Code(4500));
    let (status, code, _) = refusal(gateway.get_by("/api/events", &nothing).await).await;
    assert_eq!((status, code.as_str()), (403, "topic_forbidden"));
}

#[tokio::test]
async fn a_subscribe_reaches_no_further_than_the_claim() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let token = token(&["odds_updates.tennis"], "");
    let mut client = gateway.ws_by("", &token).await;
    client.next_of(MessageType::CaughtUp).await;
    client
        .send(r#"{"type":"subscribe","topics":["odds_updates.soccer","odds_updates.*","odds_updates.tennis.e1"],"since":"snapshot","ref":5}"#)
        .await;
    for _ in 0..2 {
        let error: ErrorData = client.next_event().await.data().unwrap();
        assert_eq!(
            (error.code, error.reference),
            (ErrorCode::TopicForbidden, Some(5.into()))
        );
    }
    let ack: SubscriptionAck = client.next_of(MessageType::SubscriptionAck).await.data().unwrap();
    assert_eq!(ack.topics, ["odds_updates.tennis", "odds_updates.tennis.e1"]);
}

#[tokio::test]
async fn the_stream_of_a_run_is_asked_like_its_topic() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let run = RunId::new();
    let end = world.run_event("alpha", &run, 1, Status::Completed).await;
    let path = format!("/api/scrapes/{run}/events");
    let (status, code, _) = refusal(
        gateway
            .get_by(&path, &token(&["scrape_progress.bravo"], "read"))
            .await,
    )
    .await;
    assert_eq!((status, code.as_str()), (403, "topic_forbidden"));
    let answer = gateway
        .get_by(&path, &token(&["scrape_progress.alpha"], ""))
        .await;
    assert_eq!(answer.status(), 200);
    // From behind its end: who may not follow it does not learn that it is over.
    let epoch = world
        .bus
        .stream_state(&world.bus.names().runs)
        .await
        .unwrap()
        .epoch;
    let position = Position::new(epoch, end.seq);
    let cursor = Cursor::at(Timestamp::now()).with(Feed::Run, Some(position));
    let path = format!("{path}?since={cursor}");
    for (topics, status) in [("scrape_progress.bravo", 403), ("scrape_progress.alpha", 204)] {
        let answer = gateway.get_by(&path, &token(&[topics], "read")).await;
        assert_eq!(answer.status(), status, "{topics}");
    }
}

#[tokio::test]
async fn each_address_asks_for_its_scope() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let run = RunId::new();
    world.run_event("alpha", &run, 1, Status::Completed).await;
    for (method, path, scope) in [
        ("GET", "/api/odds".to_owned(), "read"),
        ("GET", "/api/scrapes".to_owned(), "read"),
        ("GET", format!("/api/scrapes/{run}"), "read"),
        ("GET", "/api/sources".to_owned(), "read"),
        ("GET", "/api/workers".to_owned(), "read"),
        ("POST", "/api/scrapes".to_owned(), "runs:start"),
        ("POST", format!("/api/scrapes/{run}/cancel"), "runs:cancel"),
    ] {
        let ask = async |token: &str| {
            if method == "GET" {
                gateway.get_by(&path, token).await
            } else {
                gateway.post_by(&path, token).await
            }
        };
        let others: Vec<&str> = ["read", "runs:start", "runs:cancel"]
            .into_iter()
            .filter(|o| *o != scope)
            .collect();
        let (status, code, challenge) =
            refusal(ask(&token(&["odds_updates"], &others.join(" "))).await).await;
        assert_eq!((status, code.as_str()), (403, "scope_missing"), "{method} {path}");
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
        let answer = ask(&token(&[], scope)).await;
        assert!(answer.status().is_success(), "{method} {path}: {answer:?}");
    }
    let page = reqwest::get(gateway.url("/")).await.unwrap();
    assert_eq!(page.status(), 200, "the page itself has nothing to hide");
}

#[tokio::test]
async fn a_gateway_that_others_can_reach_does_not_start_without() {
    tls::install_provider();
    let start = async |listen: &str, auth: AuthOptions| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let operators = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        let options = GatewayOptions {
            listen: listen.parse().unwrap(),
            auth,
            ..Gateway::options("nats://127.0.0.1:1", &operators)
        };
        within(
            "an end",
            Box::pin(oddswire_gateway::run(options, listener, operators, stop)),
        )
        .await
    };
    let off = AuthOptions::default;
    for listen in [
        "0.0.0.0:8080",
        "[::]:8080",
        "192.0.2.1:8080",
        "[::ffff:192.0.2.1]:80",
    ] {
        let error = start(listen, off()).await.unwrap_err();
        assert!(error.is_configuration(), "{listen}");
        assert!(error.to_string().contains("--insecure-no-auth"), "{error}");
        let insecure_no_auth = true;
        let flagged = AuthOptions {
            insecure_no_auth,
            ..off()
        };
        assert!(start(listen, flagged).await.is_ok(), "{listen}");
        let auth_secret = Some(super::SECRET.parse().unwrap());
        assert!(
            start(listen, AuthOptions { auth_secret, ..off() }).await.is_ok(),
            "{listen}"
        );
    }
    for listen in ["127.0.0.1:8080", "[::1]:8080", "[::ffff:127.0.0.1]:80"] {
        assert!(start(listen, off()).await.is_ok(), "{listen}");
    }
}
