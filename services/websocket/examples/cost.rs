//! What the layer costs for one message: `cargo run --release -p oddswire-websocket --example cost`.
#![expect(clippy::print_stdout, reason = "its output is for a person at a terminal")]

use bytes::Bytes;
use oddswire_websocket::{Deflater, Limits, Reader, frame};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const ROUNDS: u32 = 20_000;
const KINDS: usize = 100;

fn main() {
    println!("a Reader is {} bytes", size_of::<Reader>());
    for quotes in [1, 6] {
        let messages: Vec<String> = (0..KINDS).map(|seed| message(seed, quotes)).collect();
        measure(&messages);
    }
}

fn measure(messages: &[String]) {
    let mut deflater = Deflater::new();
    let plain: Vec<Bytes> = messages.iter().map(frame::text).collect();
    let deflated: Vec<Bytes> = messages.iter().filter_map(|text| deflater.text(text)).collect();
    println!(
        "\n{} bytes a frame, {} deflated",
        mean_len(&plain),
        mean_len(&deflated)
    );
    let mut reader = Reader::new(Limits { message_bytes: 4096 }, true);
    let mut read = |bytes: &[u8]| reader.read(bytes).map(|(_, incoming)| incoming.is_some());
    let plain: Vec<Vec<u8>> = plain.iter().map(|frame| masked(frame)).collect();
    let deflated: Vec<Vec<u8>> = deflated.iter().map(|frame| masked(frame)).collect();
    tell("frame::text", messages, |text| frame::text(text).len());
    tell("Deflater::text", messages, |text| deflater.text(text).is_some());
    tell("Reader::read", &plain, |bytes| read(bytes));
    tell("Reader::read, deflated", &deflated, |bytes| read(bytes));
}

fn tell<T, R>(what: &str, inputs: &[T], mut work: impl FnMut(&T) -> R) {
    let start = now();
    for input in inputs.iter().cycle().take(ROUNDS as usize) {
        black_box(work(black_box(input)));
    }
    println!(
        "{what:<24} {:>8.2} µs",
        micros(start.elapsed()) / f64::from(ROUNDS)
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch at a terminal: there is no runtime here to pause"
)]
fn now() -> Instant {
    Instant::now()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn mean_len(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum::<usize>() / frames.len().max(1)
}

/// Something like an event, of which no two are alike.
fn message(seed: usize, quotes: usize) -> String {
    let price = |n: usize| 1000 + (seed * 7919 + n * 104_729) % 9000;
    let quotes: Vec<String> = (0..quotes)
        .map(|n| {
            let (over, under) = (price(n), price(n + 50));
            format!(
                r#"{{"line":{n}.5,"status":"open","outcomes":[{{"name":"over","price":{over}}},{{"name":"under","price":{under}}}]}}"#
            )
        })
        .collect();
    format!(
        r#"{{"type":"odds_update","timestamp":"2026-11-22T23:00:{:02}.{:03}Z","data":{{"event_id":"ce3dc1f4-{:04x}-5660-9b3e-9c44259ab12b","source":"bravo","market":{{"key":"totals","period":"ft","quotes":[{}]}}}}}}"#,
        seed % 60,
        price(3) % 1000,
        price(4),
        quotes.join(",")
    )
}

/// A server's frame as a client would have sent it.
fn masked(frame: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let head = if frame[1] < 126 { 2 } else { 4 };
    let mut bytes = frame[..head].to_vec();
    bytes[1] |= 0x80;
    bytes.extend(MASK);
    bytes.extend(
        frame[head..]
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}
