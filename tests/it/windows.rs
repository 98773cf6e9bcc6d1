//! Clients of HTTP/2 that open their windows late, by little, or never: each answer is judged by itself, and by whether
//! its client takes it.

use crate::{
    harness::{
        Gateway, GatewayProcess, World,
        h2::{DATA, GOAWAY, H2, HEADERS, RESET, WIDE},
        until,
    },
    shares::{self, BOARD, closed_windows},
    tls::Certificate,
};
use std::time::Duration;
use tokio::time::timeout;

/// A gateway that waits so long for a client, and half a second for its next request.
async fn gateway(world: &World, certificate: &Certificate, patience_ms: u64) -> Gateway {
    let gateway = world
        .gateway_with(|options| {
            certificate.put_in(options);
            options.limits.head_ms = 500;
            options.patience_ms = patience_ms;
        })
        .await;
    gateway.wait_ready().await;
    gateway
}

async fn has_no_connection(gateway: &Gateway) -> bool {
    let metrics = reqwest::get(format!("{}/metrics", gateway.ops)).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    metrics.contains("oddswire_gateway_connections 0\n")
        && metrics.contains("oddswire_gateway_queue_bytes 0\n")
}

#[tokio::test]
async fn answers_that_are_asked_for_after_a_goaway_and_not_read_are_cut_off_like_others() {
    let world = World::new().await;
    shares::board(&world).await;
    let certificate = Certificate::new();
    let gateway = gateway(&world, &certificate, 2_000).await;
    let mut h2 = H2::connect(&certificate, &gateway.address, 0).await;
    h2.next_of(GOAWAY).await;
    // The ping behind it is not answered: until it is, requests may still be on their way.
    for number in 0..20 {
        h2.get(number * 2 + 1, BOARD).await;
    }
    h2.next_of(HEADERS).await;
    until("the connection to be cut off", async || {
        has_no_connection(&gateway).await
    })
    .await;
}

/// Each of these is one part, made whole before the first byte is sent.
const SMALL: &str = "/api/odds?limit=2";

#[tokio::test]
async fn small_answers_that_nobody_reads_have_their_places_until_they_are_gone() {
    let world = World::new().await;
    shares::board(&world).await;
    let certificate = Certificate::new();
    let gateway = gateway(&world, &certificate, 60_000).await;
    let (_open, good) = closed_windows(&gateway.address, &certificate, 100, SMALL).await;
    assert!((1..50).contains(&good), "{good} of 100");
    let (_open, more) = closed_windows(&gateway.address, &certificate, 100, "/api/sources").await;
    assert_eq!(more, 0, "whatever is read from the bus");
}

/// The control: without places all of them are answered.
#[tokio::test]
async fn control_without_places_all_small_answers_are_made() {
    let world = World::new().await;
    shares::board(&world).await;
    let certificate = Certificate::new();
    let mut flags = certificate.flags().to_vec();
    flags.push("--whole-answers".to_owned());
    let process = GatewayProcess::start(&world.nats_url(), &flags);
    process.wait_ready().await;
    let (_open, good) = closed_windows(&process.address(), &certificate, 100, SMALL).await;
    assert_eq!(good, 100);
}

#[tokio::test]
async fn an_answer_whose_client_opens_its_window_late_comes_whole() {
    const STREAM: u32 = 1;
    let world = World::new().await;
    let certificate = Certificate::new();
    let gateway = gateway(&world, &certificate, 60_000).await;
    let mut h2 = H2::connect(&certificate, &gateway.address, 1).await;
    h2.get(STREAM, "/api/schemas/message.scrape_progress").await;
    let mut body = h2.next_of(DATA).await.payload;
    assert_eq!(body.len(), 1, "the window is one byte");
    // Longer than a connection without a request is kept, and than it may take to hang up.
    let left = timeout(Duration::from_secs(4), h2.next_of(GOAWAY)).await;
    assert!(left.is_err(), "a request is under way: {left:?}");
    h2.widen(STREAM, WIDE - 1).await;
    loop {
        let frame = h2.next_of(DATA).await;
        body.extend_from_slice(&frame.payload);
        if frame.is_last() {
            break;
        }
    }
    let schema: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(schema["$schema"].is_string(), "{schema}");
}

/// An answer of which all is with the kernel: to HTTP/2 it is over.
#[tokio::test]
async fn an_answer_whose_client_reads_late_comes_whole() {
    let world = World::new().await;
    let certificate = Certificate::new();
    let gateway = gateway(&world, &certificate, 60_000).await;
    let socket = shares::connect_with(2, &gateway.address, 4_096).await;
    let socket = certificate.connect_over(socket, b"h2").await.unwrap();
    let mut h2 = H2::begin(socket, WIDE).await;
    h2.get(1, "/api/asyncapi.json").await;
    // Longer than a connection without a request is kept, and than it may take to hang up.
    let _ = timeout(Duration::from_secs(4), std::future::pending::<()>()).await;
    let mut bytes = 0;
    loop {
        let frame = h2.next_of(DATA).await;
        bytes += frame.payload.len();
        if frame.is_last() {
            break;
        }
        // As clients do: to a socket that is closed already it is a reason to forget the rest.
        h2.widen(0, 1).await;
    }
    assert_eq!(bytes, include_str!("../../docs/asyncapi.json").len());
}

#[tokio::test]
async fn an_event_stream_that_is_not_read_ends_and_the_others_of_its_connection_go_on() {
    const UNREAD: u32 = 1;
    const READ: u32 = 3;
    let world = World::new().await;
    let certificate = Certificate::new();
    let gateway = gateway(&world, &certificate, 2_000).await;
    let mut h2 = H2::connect(&certificate, &gateway.address, 0).await;
    h2.get(UNREAD, "/api/events").await;
    h2.get(READ, "/api/events").await;
    h2.widen(READ, WIDE).await;
    let reset = h2.next_of(RESET).await;
    assert_eq!(reset.stream, UNREAD);
    // Heartbeats, one a second: for longer than a patience and a second one.
    for _ in 0..6 {
        let frame = h2.next_of(DATA).await;
        assert_eq!(frame.stream, READ);
    }
}
