//! Answers that nobody reads, asked for again and again beside others: the gateway grows by a bounded piece, and the
//! others do not notice. With answers made whole before they are sent it grows by each of them.

use super::floods::{Delays, OTHERS, is_long, publish};
use crate::{
    harness::{GatewayProcess, Sse, World, within},
    shares::{self, BOARD, GROWTH, MIB},
    tls::Certificate,
};
use oddswire_protocol::envelope::MessageType;
use std::{convert::Infallible, time::Duration};
use tokio::{select, time::sleep};

/// How long an answer is left unread before the next is asked for.
const HOLD: Duration = Duration::from_secs(4);
/// Between two events, so that a long run sees many answers begin and end.
const PAUSE: Duration = Duration::from_millis(20);

/// Where boards are asked for and not read.
#[derive(Debug, Clone, Copy)]
enum Unread {
    /// On 80 connections.
    Connections,
    /// On 100 streams of one connection of HTTP/2, whose windows are 0.
    Streams,
}

impl Unread {
    async fn attack(self, address: &str, certificate: &Certificate) -> Infallible {
        loop {
            match self {
                Self::Connections => {
                    let _unread = shares::unread_boards(address, 80).await;
                    sleep(HOLD).await;
                }
                Self::Streams => {
                    let _unread = shares::closed_windows(address, certificate, 100, BOARD).await;
                    sleep(HOLD).await;
                }
            }
        }
    }
}

/// What unread answers did to others.
struct Outcome {
    /// Bytes.
    growth: u64,
    delays: Delays,
}

/// Asks for boards and leaves them unread, while three event streams get as many events as asked.
#[expect(clippy::print_stderr, reason = "the figures of a long run are its result")]
async fn beside(unread: Unread, events: u32, further: &[&str]) -> Outcome {
    let world = World::new().await;
    shares::board(&world).await;
    let certificate = Certificate::new();
    let mut flags: Vec<String> = further.iter().map(|flag| (*flag).to_owned()).collect();
    let (client, scheme) = match unread {
        Unread::Connections => (reqwest::Client::new(), "http"),
        Unread::Streams => {
            flags.extend(certificate.flags());
            (certificate.client_of(reqwest::Client::builder()), "https")
        }
    };
    let gateway = GatewayProcess::start(&world.nats_url(), &flags);
    gateway.wait_ready().await;
    let address = gateway.address();
    let port = address.rsplit(':').next().unwrap();
    let url = format!("{scheme}://localhost:{port}/api/events?topics=odds_updates&since=now");
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut stream = Sse::of(within("a stream", client.get(&url).send()).await.unwrap());
        stream.until(MessageType::CaughtUp).await;
        others.push(stream);
    }
    let before = gateway.memory();
    let (mut growth, mut delays) = (0, Delays::default());
    let publishing = async {
        // The first answers are unread before the first event is published.
        sleep(HOLD / 2).await;
        for number in 0..events {
            let began = publish(&world, number).await;
            for stream in &mut others {
                stream.until(MessageType::OddsUpdate).await;
                delays.took(began);
            }
            growth = growth.max(gateway.memory().saturating_sub(before));
            sleep(PAUSE).await;
        }
    };
    select! {
        () = publishing => {}
        _ = unread.attack(&address, &certificate) => {}
    }
    eprintln!(
        "boards unread on {unread:?}: {events} events to 3 others, publishing included: p50 {:?}, p99 {:?}; grew by {} MiB",
        delays.share(50),
        delays.share(99),
        growth / MIB,
    );
    assert!(gateway.panics().is_empty(), "{:?}", gateway.panics());
    Outcome { growth, delays }
}

async fn costs_little(unread: Unread) {
    let Outcome { growth, delays } = beside(unread, if is_long() { 2_000 } else { 60 }, &[]).await;
    assert!(growth < GROWTH, "{unread:?}: {growth}");
    // A machine that does something else meanwhile has other figures: in a siege it does nothing else.
    let slow = delays.share(99);
    assert!(!is_long() || slow <= OTHERS, "{unread:?}: p99 {slow:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boards_unread_again_and_again_cost_a_bounded_piece_and_nobody_else_notices() {
    costs_little(Unread::Connections).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boards_unread_on_streams_of_no_window_cost_a_bounded_piece_and_nobody_else_notices() {
    costs_little(Unread::Streams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_with_answers_made_whole_unread_boards_take_what_they_like() {
    let Outcome { growth, .. } = beside(Unread::Connections, 60, &["--whole-answers"]).await;
    assert!(growth > GROWTH, "{growth}: the test proves nothing");
}
