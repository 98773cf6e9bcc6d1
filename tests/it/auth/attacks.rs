//! What is wrong with a token, and the one answer to it, by every way in.

use super::{bearer, claims, now_s, refusal, sign, token};
use crate::harness::{Ended, Gateway, GatewayProcess, World, Ws, logs};
use oddswire_gateway::auth::Mint;
use oddswire_protocol::{
    envelope::MessageType,
    server::{ConnectionAck, ErrorData},
};
use serde_json::{Value, json};

/// What a WebSocket was told before it was closed, and with what.
async fn told(mut client: Ws) -> (String, Ended) {
    let first = client.next().await;
    assert_eq!(first.message_type, MessageType::Error, "{first:?}");
    let error: ErrorData = first.data().unwrap();
    (error.code.as_str().to_owned(), client.ended().await)
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(LETTERS[(bits >> (18 - 6 * at) & 63) as usize] as char);
        }
    }
    text
}

fn with(key: &str, value: impl Into<Value>) -> String {
    let mut claims = claims("ann", &["odds_updates"], "read", 600);
    claims[key] = value.into();
    sign(&claims)
}

/// Each attack with the code of its answer and the close code of a WebSocket.
fn attacks() -> Vec<(&'static str, String, &'static str, u16)> {
    let good = token(&["odds_updates"], "read");
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let unsigned = base64url(br#"{"alg":"none","typ":"JWT"}"#);
    let other_body = base64url(
        claims("eve", &["odds_updates"], "read", 600)
            .to_string()
            .as_bytes(),
    );
    let by = |secret: &str, algorithm: &str| {
        let mint = Mint::new(secret, Some(algorithm)).unwrap();
        mint.sign(&claims("ann", &["odds_updates"], "read", 600), None)
            .unwrap()
    };
    vec![
        (
            "no signature",
            format!("{unsigned}.{body}."),
            "token_invalid",
            4501,
        ),
        (
            "none, signed",
            format!("{unsigned}.{body}.{signature}"),
            "token_invalid",
            4501,
        ),
        (
            "another algorithm",
            by(super::SECRET, "HS512"),
            "token_invalid",
            4501,
        ),
        (
            "another secret",
            by("another secret of at least 32 bytes", "HS256"),
            "token_invalid",
            4501,
        ),
        (
            "another body",
            format!("{head}.{other_body}.{signature}"),
            "token_invalid",
            4501,
        ),
        (
            "cut off",
            good[..good.len() - 4].to_owned(),
            "token_invalid",
            4501,
        ),
        ("two parts", format!("{head}.{body}"), "token_invalid", 4501),
        ("nonsense", "x".into(), "token_invalid", 4501),
        ("expired", with("exp", now_s() - 1), "token_expired", 4401),
        ("without an end", with("exp", Value::Null), "token_invalid", 4501),
        ("not yet valid", with("nbf", now_s() + 60), "token_invalid", 4501),
        ("another issuer", with("iss", "eve"), "token_invalid", 4501),
        ("another audience", with("aud", "eve"), "token_invalid", 4501),
        (
            "a claim that is no topic",
            with("oddswire", json!({"topics": ["*"]})),
            "token_invalid",
            4501,
        ),
        ("too large", with("pad", "x".repeat(9_000)), "token_invalid", 4501),
    ]
}

#[tokio::test]
async fn a_bad_token_has_the_same_answer_by_every_way() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    for (attack, token, code, close) in attacks() {
        let by_header = Ws::connect_with(&gateway.address, "", &[("authorization", &bearer(&token))]).await;
        assert_eq!(
            told(by_header.0).await,
            (code.into(), Ended::Code(close)),
            "{attack}, header"
        );
        let offered = format!("oddswire.v1, bearer.{token}");
        let (client, answered) =
            Ws::connect_with(&gateway.address, "", &[("sec-websocket-protocol", &offered)]).await;
        assert_eq!(answered.as_deref(), Some("oddswire.v1"), "{attack}");
        assert_eq!(
            told(client).await,
            (code.into(), Ended::Code(close)),
            "{attack}, subprotocol"
        );
        let mut client = gateway.ws("").await;
        client
            .send(&json!({"type": "auth", "token": token, "ref": 1}).to_string())
            .await;
        assert_eq!(
            told(client).await,
            (code.into(), Ended::Code(close)),
            "{attack}, message"
        );
        for path in ["/api/events", "/api/odds", "/api/scrapes/r1/events"] {
            let (status, found, challenge) = refusal(gateway.get_by(path, &token).await).await;
            assert_eq!((status, found.as_str()), (401, code), "{attack}, {path}");
            assert_eq!(
                challenge, "Bearer realm=\"oddswire\", error=\"invalid_token\"",
                "{attack}"
            );
        }
    }
    let text = reqwest::get(format!("{}/metrics", gateway.ops))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for reason in [
        "expired",
        "issuer",
        "audience",
        "not_yet_valid",
        "signature",
        "algorithm",
        "too_large",
    ] {
        let line = format!("oddswire_gateway_auth_total{{outcome=\"{reason}\"}}");
        assert!(text.contains(&line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_before_anybody_looks() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let (status, code, _) = refusal(gateway.get_by("/api/events", &"x".repeat(17_000)).await).await;
    assert_eq!((status, code.as_str()), (431, "head_too_large"));
}

#[tokio::test]
async fn nothing_and_too_much_are_refused() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    for path in [
        "/api/events",
        "/api/odds",
        "/api/scrapes",
        "/api/scrapes/r1/events",
        "/api/unknown",
    ] {
        let request = reqwest::Client::new().get(gateway.url(path));
        let (status, code, challenge) = refusal(gateway.send(request).await).await;
        assert_eq!((status, code.as_str()), (401, "token_missing"), "{path}");
        assert_eq!(challenge, "Bearer realm=\"oddswire\"");
    }
    let good = token(&["odds_updates"], "read");
    for path in ["/api/events", "/api/odds"] {
        let request = reqwest::Client::new().get(gateway.url(path));
        let twice = request
            .header("authorization", bearer(&good))
            .header("authorization", bearer(&good));
        let (status, code, _) = refusal(gateway.send(twice).await).await;
        assert_eq!((status, code.as_str()), (400, "several_tokens"), "{path}");
    }
    let ticket = gateway.ticket(&good).await;
    let (status, code, _) = refusal(
        gateway
            .get_by(&format!("/api/events?ticket={ticket}"), &good)
            .await,
    )
    .await;
    assert_eq!((status, code.as_str()), (400, "several_tokens"));
    let offered = format!("oddswire.v1, bearer.{good}");
    for second in [
        ("authorization", bearer(&good)),
        ("sec-websocket-protocol", format!("bearer.{good}")),
    ] {
        let headers = [
            ("sec-websocket-protocol", offered.as_str()),
            (second.0, second.1.as_str()),
        ];
        let (client, _) = Ws::connect_with(&gateway.address, "", &headers).await;
        assert_eq!(told(client).await, ("several_tokens".into(), Ended::Code(4501)));
    }
    let basic = reqwest::Client::new()
        .get(gateway.url("/api/odds"))
        .basic_auth("a", Some("b"));
    let (status, code, _) = refusal(gateway.send(basic).await).await;
    assert_eq!((status, code.as_str()), (401, "token_invalid"));
}

#[tokio::test]
async fn who_speaks_before_its_token_is_refused() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    for text in [
        r#"{"type":"ping"}"#,
        r#"{"type":"subscribe","topics":["odds_updates"],"since":"snapshot"}"#,
        "nonsense",
    ] {
        let mut client = gateway.ws("since=snapshot").await;
        client.send(text).await;
        assert_eq!(
            told(client).await,
            ("token_missing".into(), Ended::Code(4501)),
            "{text}"
        );
    }
}

#[tokio::test]
async fn the_first_message_lets_in_and_its_ref_is_given_back() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let mut client = gateway.ws("topics=odds_updates.soccer").await;
    let text = json!({"type": "auth", "token": token(&["odds_updates"], ""), "ref": "r"}).to_string();
    client.send(&text).await;
    let ack: ConnectionAck = client.next().await.data().unwrap();
    assert_eq!(ack.reference, Some("r".into()));
    assert_eq!(ack.topics, ["odds_updates.soccer"]);
    assert!(ack.token_expires_at.is_some());
}

fn assert_not_said(said: &str, secret: &str) {
    assert!(!said.contains(secret), "{secret} is in the log");
    // What a token says of itself is no secret; what signs it is.
    let signature = secret.rsplit('.').next().filter(|part| part.len() > 8);
    assert!(
        signature.is_none_or(|part| !said.contains(part)),
        "the signature of {secret} is in the log"
    );
}

#[tokio::test]
async fn no_log_has_a_token_or_a_ticket() {
    let world = World::new().await;
    let further = [
        format!("--auth-secret={}", super::SECRET),
        "--auth-leeway-s=0".to_owned(),
        "--log=trace".to_owned(),
        "--drain-delay-ms=0".to_owned(),
    ];
    let mut process = GatewayProcess::start(&world.nats_url(), &further);
    process.wait_ready().await;
    process.wait_ready().await;
    let address = process.address();
    let (http, url) = (reqwest::Client::new(), |path: &str| {
        format!("http://{address}{path}")
    });
    let good = token(&["odds_updates"], "read");
    assert!(super::SECRET.contains(logs::MARK));
    let mut secrets = vec![super::SECRET.to_owned()];
    for (_, token, _, _) in attacks() {
        http.get(url("/api/odds"))
            .bearer_auth(&token)
            .send()
            .await
            .unwrap();
        http.get(url("/api/events"))
            .bearer_auth(&token)
            .send()
            .await
            .unwrap();
        let offered = format!("oddswire.v1, bearer.{token}");
        told(
            Ws::connect_with(&address, "", &[("sec-websocket-protocol", &offered)])
                .await
                .0,
        )
        .await;
        secrets.push(token);
    }
    let mut client = Ws::connect(&address, "").await;
    client
        .send(&json!({"type": "auth", "token": good}).to_string())
        .await;
    client.next_of(MessageType::CaughtUp).await;
    client
        .send(&json!({"type": "auth", "token": good}).to_string())
        .await;
    client.next_of(MessageType::SubscriptionAck).await;
    let answer = http
        .post(url("/api/tickets"))
        .bearer_auth(&good)
        .send()
        .await
        .unwrap();
    let ticket = answer.json::<Value>().await.unwrap()["ticket"]
        .as_str()
        .unwrap()
        .to_owned();
    for _ in 0..2 {
        http.get(url(&format!("/api/events?ticket={ticket}")))
            .send()
            .await
            .unwrap();
    }
    logs::plant(&ticket);
    secrets.extend([good, ticket]);
    process.drain().await;
    let said = process.said();
    assert!(said.contains("session ended"), "it logs: {} bytes", said.len());
    for secret in secrets.iter().filter(|secret| secret.len() > 8) {
        assert_not_said(&said, secret);
    }
}

/// For tests elsewhere that need a gateway's answer.
pub(super) async fn refused_ws(gateway: &Gateway, query: &str) -> (String, Ended) {
    told(gateway.ws(query).await).await
}
