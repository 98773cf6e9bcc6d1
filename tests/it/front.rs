//! Who may come in, and how many: answers as a client sees them.

use crate::harness::{Answer, Ended, Gateway, Plain, World, Ws, until};
use oddswire_protocol::envelope::MessageType;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const EVIL: &str = "origin: https://evil.example";

pub(crate) async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let text = reqwest::get(format!("{}/metrics", gateway.ops)).await.unwrap();
    let text = text.text().await.unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_default();
    line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

async fn refused(gateway: &Gateway, reason: &str) -> u64 {
    metric(
        gateway,
        &format!("oddswire_gateway_refused_total{{reason=\"{reason}\"}}"),
    )
    .await
}

fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
    if status == 503 || status == 429 {
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=5).contains(&after));
    }
}

#[tokio::test]
async fn a_foreign_page_opens_no_stream_and_starts_nothing() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let address = &gateway.address;
    for line in [
        "GET /api/events",
        "GET /api/scrapes/x/events",
        "POST /api/scrapes",
    ] {
        let answer = Plain::request(address, line, &[EVIL]).await;
        assert_refused(&answer, 403, "origin_not_allowed");
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    let (_, answer) = Plain::handshake(address, &[EVIL]).await;
    assert_eq!(answer.status, 403);
    let own = format!("origin: http://{address}");
    let (_, answer) = Plain::handshake(address, &[&own]).await;
    assert_eq!(answer.status, 101);
    assert_eq!(refused(&gateway, "Origin").await, 4);
}

#[tokio::test]
async fn an_allowed_page_may_ask_read_and_listen() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| options.front.allow_origin = vec!["https://*.example.org".parse().unwrap()])
        .await;
    let address = &gateway.address;
    let (page, name) = ("origin: https://odds.example.org", "https://odds.example.org");
    let asks = [
        "access-control-request-method: POST",
        "access-control-request-headers: authorization",
    ];
    let answer = Plain::request(address, "OPTIONS /api/scrapes", &[page, asks[0], asks[1]]).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(name));
    assert!(
        answer
            .header("access-control-allow-headers")
            .unwrap()
            .contains("authorization")
    );
    assert!(answer.header("access-control-allow-credentials").is_none());
    assert_eq!(answer.header("vary"), Some("origin"));
    let answer = Plain::request(address, "OPTIONS /api/scrapes", &[EVIL, asks[0]]).await;
    assert_refused(&answer, 403, "origin_not_allowed");
    let answer = Plain::request(address, "GET /api/scrapes", &[page]).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, Some(name))
    );
    let answer = Plain::request(address, "GET /api/scrapes", &[EVIL]).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, None)
    );
    assert_eq!(answer.header("vary"), Some("origin"));
    let mut stream = Plain::connect(address).await;
    stream
        .send(&format!(
            "GET /api/events HTTP/1.1\r\nhost: {address}\r\n{page}\r\n\r\n"
        ))
        .await;
    let answer = Answer::parse(&stream.until("connection_ack").await);
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, Some(name))
    );
}

#[tokio::test]
async fn a_name_rebound_to_this_machine_starts_nothing() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let rebound = ["host: evil.example:8080", "origin: http://evil.example:8080"];
    for line in ["POST /api/scrapes", "GET /api/odds", "GET /api/events", "GET /"] {
        let answer = Plain::request(&gateway.address, line, &rebound).await;
        assert_refused(&answer, 403, "host_not_allowed");
    }
    let answer = Plain::request(&gateway.address, "GET /api/scrapes", &["host: localhost:8080"]).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_full_gateway_says_when_to_come_back_and_has_room_again() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| options.limits.connections_max = 2)
        .await;
    let mut clients = vec![
        gateway.ws("topics=odds_updates").await,
        gateway.ws("topics=odds_updates").await,
    ];
    let answer = Plain::request(&gateway.address, "GET /api/scrapes", &[]).await;
    assert_refused(&answer, 503, "gateway_full");
    assert_eq!(metric(&gateway, "oddswire_gateway_connections ").await, 2);
    // Who is in is served.
    clients[0].next_of(MessageType::CaughtUp).await;
    clients.pop();
    until("a place", async || {
        Ws::try_connect(&gateway.address, "").await.is_some()
    })
    .await;
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_share() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| {
            options.limits.connections_per_address = 1;
            options.front.trust_proxy = vec!["127.0.0.2/32".parse().unwrap()];
        })
        .await;
    let _client = gateway.ws("").await;
    let answer = Plain::request(
        &gateway.address,
        "GET /api/events",
        &["x-forwarded-for: 192.0.2.7"],
    )
    .await;
    assert_refused(&answer, 503, "address_full");
    assert_eq!(refused(&gateway, "AddressFull").await, 1);
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| {
            options.limits.connections_per_address = 1;
            options.front.trust_proxy = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .await;
    let open = async |client: &str| {
        let (plain, answer) = Plain::handshake(&gateway.address, &[client]).await;
        (plain, answer.status)
    };
    let (first, status) = open("x-forwarded-for: 192.0.2.1").await;
    assert_eq!(status, 101);
    // What the client itself claims stands to the left of what the proxy says.
    assert_eq!(open("x-forwarded-for: 203.0.113.9, 192.0.2.1").await.1, 503);
    let (_second, status) = open("x-forwarded-for: 192.0.2.2").await;
    assert_eq!(status, 101);
    drop(first);
    until("a place", async || {
        Box::pin(open("x-forwarded-for: 192.0.2.1")).await.1 == 101
    })
    .await;
}

#[tokio::test]
async fn too_many_streams_and_requests_at_once_come_back_later() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| {
            options.limits.handshakes_per_s = 1;
            options.limits.requests_per_s = 1;
        })
        .await;
    // Refused within one second's worth, however slow this machine is: two of many are enough.
    let mut codes = Vec::new();
    for line in ["GET /api/events", "GET /api/scrapes"] {
        for _ in 0..10 {
            let mut plain = Plain::connect(&gateway.address).await;
            let request = format!("{line} HTTP/1.1\r\nhost: {}\r\n\r\n", gateway.address);
            plain.send(&request).await;
            let said = plain.until("\r\n\r\n").await;
            codes.push(Answer::parse(&said).status);
        }
    }
    assert!(
        codes[..10].contains(&503) && codes[..10].contains(&200),
        "{codes:?}"
    );
    assert!(
        codes[10..].contains(&429) && codes[10..].contains(&200),
        "{codes:?}"
    );
    assert!(refused(&gateway, "Handshakes").await > 0 && refused(&gateway, "Requests").await > 0);
}

#[tokio::test]
async fn a_flood_of_pings_ends_the_connection_and_no_other() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut good = gateway.ws("topics=odds_updates").await;
    good.next_of(MessageType::CaughtUp).await;
    // A masked ping, and a masked pong, of one byte.
    for opcode in [0x89, 0x8a] {
        let mut bad = gateway.ws("").await;
        bad.next_of(MessageType::CaughtUp).await;
        let frames = [opcode, 0x81, 0, 0, 0, 0, b'x'].repeat(100);
        bad.tcp().write_all(&frames).await.unwrap();
        let ended = crate::harness::within("the end of a flood", bad.ended()).await;
        assert_eq!(ended, Ended::Code(1008));
    }
    assert!(refused(&gateway, "Pings").await >= 2);
    good.send(r#"{"type":"ping"}"#).await;
    good.next_of(MessageType::Pong).await;
}

#[tokio::test]
async fn who_drips_is_cut_off() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| {
            options.limits.head_ms = 300;
            options.limits.body_ms = 300;
        })
        .await;
    // Nothing, a part of a head, and a part of the head of an event stream.
    for part in [
        "",
        "GET /api/odds HTTP/1.1\r\nhost: x",
        "GET /api/events HTTP/1.1\r\nhost: x\r\nx-",
    ] {
        let mut plain = Plain::connect(&gateway.address).await;
        plain.send(part).await;
        let (mut read, mut write) = plain.stream.into_split();
        let drip = async {
            while write.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let cut = async {
            let mut rest = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut rest).await;
        };
        let drip = async {
            if part.is_empty() {
                std::future::pending::<()>().await;
            } else {
                drip.await;
            }
        };
        crate::harness::within("a dripping client to be cut off", async {
            tokio::select! { () = drip => {}, () = cut => {} }
        })
        .await;
    }
    let mut plain = Plain::connect(&gateway.address).await;
    let head =
        "POST /api/scrapes HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{";
    plain.send(head).await;
    assert_refused(&Answer::parse(&plain.rest().await), 408, "body_timeout");
}

#[tokio::test]
async fn heads_are_bounded_in_every_direction() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let address = &gateway.address;
    let long = format!("GET /api/odds?sport={}", "x".repeat(9_000));
    assert_refused(&Plain::request(address, &long, &[]).await, 414, "target_too_long");
    let big = format!("x-big: {}", "x".repeat(20_000));
    let many: Vec<String> = (0..150).map(|n| format!("x-{n}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for line in ["GET /api/odds", "GET /api/events"] {
        assert_eq!(Plain::request(address, line, &[&big]).await.status, 431, "{line}");
        let status = Plain::request(address, line, &many).await.status;
        assert!(matches!(status, 431 | 400), "{line}: {status}");
    }
}

#[tokio::test]
async fn a_connection_ends_after_many_requests() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| options.limits.requests_per_s = 0)
        .await;
    let mut plain = Plain::connect(&gateway.address).await;
    let one = "GET /api/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let (read, mut write) = plain.stream.split();
    let all = one.repeat(1_200);
    let ask = async {
        let _ = write.write_all(all.as_bytes()).await;
        std::future::pending::<()>().await;
    };
    let mut read = read;
    let mut said = Vec::new();
    let hear = async {
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut said).await;
    };
    crate::harness::within("the connection to end", async {
        tokio::select! { () = ask => {}, () = hear => {} }
    })
    .await;
    let answers = String::from_utf8_lossy(&said).matches("HTTP/1.1 404").count();
    assert!((1..=1_000).contains(&answers), "{answers}");
}
