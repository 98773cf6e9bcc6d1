//! What clients begin and do not end: messages and bodies that have come in part are counted, as long as they are there.

use crate::harness::{Gateway, Plain, World, until};
use tokio::io::AsyncWriteExt;

const CLIENTS: usize = 40;
const PART: usize = 50_000;

/// The bytes that are counted as waiting.
async fn waiting(gateway: &Gateway) -> usize {
    let metrics = reqwest::get(format!("{}/metrics", gateway.ops)).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix("oddswire_gateway_queue_bytes "));
    value.unwrap().parse().unwrap()
}

async fn are_counted_and_given_back(gateway: &Gateway, open: Vec<Plain>) {
    until("each part to be counted", async || {
        waiting(gateway).await >= CLIENTS * PART
    })
    .await;
    drop(open);
    until("all of it to be given back", async || waiting(gateway).await == 0).await;
}

#[tokio::test]
async fn messages_that_have_come_in_part_are_counted() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut open = Vec::new();
    for _ in 0..CLIENTS {
        let (mut plain, answer) = Plain::handshake(&gateway.address, &[]).await;
        assert_eq!(answer.status, 101);
        // A text of 65,535 bytes with a mask of zeros.
        plain.stream.write_all(b"\x81\xfe\xff\xff\0\0\0\0").await.unwrap();
        plain.stream.write_all(&b"x".repeat(PART)).await.unwrap();
        open.push(plain);
    }
    are_counted_and_given_back(&gateway, open).await;
}

#[tokio::test]
async fn bodies_that_have_come_in_part_are_counted() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut open = Vec::new();
    for _ in 0..CLIENTS {
        let mut plain = Plain::connect(&gateway.address).await;
        plain
            .send("POST /api/scrapes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n\r\n")
            .await;
        plain.stream.write_all(&b"x".repeat(PART)).await.unwrap();
        open.push(plain);
    }
    are_counted_and_given_back(&gateway, open).await;
}
