//! Many hostile clients at once: what a gateway holds for them is bounded, and who behaves is served.

use crate::harness::{GatewayProcess, Plain, Quote, World, Ws, until};
use oddswire_kit::descriptors;
use oddswire_protocol::envelope::MessageType;
use tokio::io::AsyncWriteExt;

const CONNECTIONS: usize = 400;
const MIB: u64 = 1 << 20;
/// What one connection may cost at most: a message that never ends is the dearest, 64 KiB, in a buffer that doubles.
const EACH: u64 = 160 << 10;

/// One hostile client of each kind in turn. What it opened stays open.
async fn attack(address: &str, number: usize) -> Option<Plain> {
    let mut plain = Plain {
        stream: tokio::net::TcpStream::connect(address).await.ok()?,
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
    let handshake = format!(
        "{}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        get("/api/ws?topics=odds_updates")
    );
    let mut frames = Vec::new();
    let said = match number % 7 {
        0 => String::new(),
        1 => format!("{}x-big: {}", get("/api/odds"), "x".repeat(15_000)),
        2 => format!("{}x-big: {}", get("/api/events"), "x".repeat(15_000)),
        3 => format!(
            "POST /api/scrapes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 65536\r\n\r\n{}",
            "x".repeat(65_000)
        ),
        // Never reads.
        4 => format!("{}\r\n", get("/api/events?since=snapshot")),
        // The first frame of a message that never ends.
        5 => {
            frames.extend_from_slice(b"\x01\xfe\xff\xf0\0\0\0\0");
            frames.resize(65_000, b'x');
            handshake
        }
        // Pings and does not read.
        _ => {
            frames = b"\x89\xfd\0\0\0\0".to_vec();
            frames.resize(4 + 2 + 125, b'x');
            frames = frames.repeat(30);
            handshake
        }
    };
    let _ = plain.stream.write_all(said.as_bytes()).await;
    let _ = plain.stream.write_all(&frames).await;
    Some(plain)
}

async fn wave(address: &str, count: usize) -> Vec<Plain> {
    let mut open = Vec::new();
    for number in 0..count {
        open.extend(attack(address, number).await);
    }
    open
}

fn refused(metrics: &str, reason: &str) -> u64 {
    let name = format!("oddswire_gateway_refused_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name.as_str()));
    line.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn memory_is_bounded_when_every_limit_is_hit_at_once() {
    descriptors::raise();
    let world = World::new().await;
    let further = [
        format!("--connections-max={CONNECTIONS}"),
        "--head-ms=60000".to_owned(),
        "--body-ms=60000".to_owned(),
        "--requests-per-s=0".to_owned(),
        "--ring-bytes=1048576".to_owned(),
    ];
    let gateway = GatewayProcess::start(&world.nats_url(), &further);
    gateway.wait_ready().await;
    let mut good = Ws::connect(&gateway.address(), "topics=odds_updates").await;
    good.next_of(MessageType::CaughtUp).await;
    let before = gateway.memory();
    let first = wave(&gateway.address(), CONNECTIONS * 2).await;
    until("the gateway to be full", async || {
        refused(&gateway.metrics().await, "Full") > 0
    })
    .await;
    let full = gateway.memory();
    let second = wave(&gateway.address(), CONNECTIONS * 3).await;
    let fuller = gateway.memory();
    let bound = before + CONNECTIONS as u64 * EACH + 16 * MIB;
    println!(
        "before {} MiB, full {} MiB, attacked on {} MiB",
        before / MIB,
        full / MIB,
        fuller / MIB
    );
    assert!(
        full.max(fuller) < bound,
        "{before} before, {full} full, {fuller} attacked on"
    );
    let quote = Quote {
        event: "e1",
        source: "alpha",
        price: "1.85",
    };
    world.odds_event(&quote).await;
    good.next_of(MessageType::OddsUpdate).await;
    drop((first, second));
    until("room again", async || {
        gateway
            .metrics()
            .await
            .contains("oddswire_gateway_connections 1\n")
    })
    .await;
    Ws::connect(&gateway.address(), "")
        .await
        .next_of(MessageType::CaughtUp)
        .await;
}
