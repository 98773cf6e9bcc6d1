//! Clients that come back, to any gateway.

use crate::harness::{Quote, Sse, World};
use oddswire_protocol::{
    Cursor, Feed, RunId,
    cursor::Position,
    envelope::{MessageType, Received},
    progress::{ScrapeProgress, Status},
    server::{CaughtUp, ConnectionAck, Verdict},
};

const PRICE: Quote = Quote {
    event: "e1",
    source: "alpha",
    price: "1.85",
};

fn seqs(messages: &[Received]) -> Vec<u64> {
    let runs = messages
        .iter()
        .filter(|m| m.message_type == MessageType::ScrapeProgress);
    runs.map(|m| m.data::<ScrapeProgress>().unwrap().seq).collect()
}

async fn events(world: &World, run: &RunId, from: u64, to: u64) {
    for seq in from..=to {
        world.run_event("alpha", run, seq, Status::Running).await;
    }
}

#[tokio::test]
async fn another_gateway_continues_a_cursor_of_either_transport() {
    let world = World::new().await;
    let (one, two) = (world.gateway().await, world.gateway().await);
    let run = RunId::new();
    let mut socket = one.ws("topics=scrape_progress&since=now").await;
    let mut stream = one.sse("topics=scrape_progress").await;
    socket.next_of(MessageType::CaughtUp).await;
    stream.until(MessageType::CaughtUp).await;
    events(&world, &run, 1, 5).await;
    let mut last = None;
    for _ in 0..3 {
        last = socket.next_event().await.id;
    }
    let mut id = None;
    for _ in 0..4 {
        id = stream.next_event().await.id;
    }
    drop((socket, stream));
    events(&world, &run, 6, 8).await;
    // The socket's cursor goes on as an event stream, the stream's as a socket.
    let last = last.unwrap().to_string();
    let mut stream = Sse::connect(&two.url("/api/events?topics=scrape_progress"), Some(&last)).await;
    let (before, _) = stream.until(MessageType::CaughtUp).await;
    let before: Vec<Received> = before.iter().map(crate::harness::SseEvent::message).collect();
    assert_eq!(
        before[0].data::<ConnectionAck>().unwrap().resume.verdict,
        Verdict::Replayed
    );
    assert_eq!(seqs(&before), [4, 5, 6, 7, 8]);
    let mut socket = two
        .ws(&format!("topics=scrape_progress&since={}", id.unwrap()))
        .await;
    let (before, _) = socket.until(MessageType::CaughtUp).await;
    assert_eq!(seqs(&before), [5, 6, 7, 8]);
}

#[tokio::test]
async fn the_cursor_of_the_board_is_continued_by_a_stream() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world.odds_event(&PRICE).await;
    let (status, board) = gateway.get("/api/odds").await;
    assert_eq!((status, board["markets"].as_array().unwrap().len()), (200, 1));
    world
        .odds_event(&Quote {
            price: "2.5",
            ..PRICE
        })
        .await;
    let query = format!("topics=odds_updates&since={}", board["cursor"].as_str().unwrap());
    let mut client = gateway.ws(&query).await;
    let (before, caught_up) = client.until(MessageType::CaughtUp).await;
    assert_eq!(before.len(), 2);
    assert!(before[1].data.get().contains("2.5"));
    assert_eq!(caught_up.data::<CaughtUp>().unwrap().replayed, 1);
}

#[tokio::test]
async fn what_is_no_good_cursor_is_a_gap_and_a_snapshot() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world.odds_event(&PRICE).await;
    let (_, board) = gateway.get("/api/odds").await;
    let good: Cursor = board["cursor"].as_str().unwrap().parse().unwrap();
    let position = good.position(Feed::Odds).unwrap();
    let foreign = good.with(
        Feed::Odds,
        Some(Position {
            epoch: position.epoch ^ 1,
            ..position
        }),
    );
    let future = good.with(
        Feed::Odds,
        Some(Position {
            seq: position.seq + 1_000,
            ..position
        }),
    );
    let old = good.issued_at(oddswire_protocol::Timestamp::now().plus_ms(-7 * 24 * 3_600_000));
    for since in [
        "garbage".to_owned(),
        foreign.to_string(),
        future.to_string(),
        old.to_string(),
    ] {
        let mut client = gateway.ws(&format!("topics=odds_updates&since={since}")).await;
        let (before, _) = client.until(MessageType::CaughtUp).await;
        assert_eq!(
            before[0].data::<ConnectionAck>().unwrap().resume.verdict,
            Verdict::Gap,
            "{since}"
        );
        assert_eq!(before.len(), 2, "{before:#?}");
    }
}

#[tokio::test]
async fn a_feed_that_no_topic_touches_is_carried_through_the_cursor_unchanged() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world.odds_event(&PRICE).await;
    let run = RunId::new();
    events(&world, &run, 1, 2).await;
    let mut both = gateway.ws("since=now").await;
    let ack: ConnectionAck = both.next().await.data().unwrap();
    let runs = ack.cursor.position(Feed::Run);
    assert!(runs.is_some());
    drop(both);
    let mut odds = gateway
        .ws(&format!("topics=odds_updates&since={}", ack.cursor))
        .await;
    odds.next_of(MessageType::CaughtUp).await;
    events(&world, &run, 3, 4).await;
    world
        .odds_event(&Quote {
            price: "2.5",
            ..PRICE
        })
        .await;
    let carried = odds.next_event().await.id.unwrap();
    assert_eq!(carried.position(Feed::Run), runs);
    let mut again = gateway.ws(&format!("since={carried}")).await;
    let (before, _) = again.until(MessageType::CaughtUp).await;
    assert_eq!(seqs(&before), [3, 4]);
}

#[tokio::test]
async fn a_client_that_did_not_ask_for_resume_gets_no_ids() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("topics=odds_updates").await;
    client.next_of(MessageType::CaughtUp).await;
    world.odds_event(&PRICE).await;
    assert_eq!(client.next_event().await.id, None);
}

#[tokio::test]
async fn a_ring_that_does_not_reach_back_is_completed_from_the_log() {
    let world = World::new().await;
    // The smallest ring, and events larger than it holds.
    let gateway = world.gateway_with(|options| options.ring_bytes = 1 << 20).await;
    let mut keep = gateway.ws("topics=scrape_progress&since=now").await;
    let ack: ConnectionAck = keep.next().await.data().unwrap();
    keep.next_of(MessageType::CaughtUp).await;
    let run = RunId::new();
    events(&world, &run, 1, 2_000).await;
    for seq in 1..=2_000 {
        // It did not read meanwhile, so it may be told that it lags.
        let event = keep.next_of(MessageType::ScrapeProgress).await;
        assert_eq!(event.data::<ScrapeProgress>().unwrap().seq, seq);
    }
    let mut back = gateway
        .ws(&format!("topics=scrape_progress&since={}", ack.cursor))
        .await;
    let (before, _) = back.until(MessageType::CaughtUp).await;
    assert_eq!(seqs(&before), (1..=2_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_gap_in_one_feed_begins_all_feeds_anew() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world.odds_event(&PRICE).await;
    let run = RunId::new();
    events(&world, &run, 1, 2).await;
    let mut client = gateway.ws("since=now").await;
    let ack: ConnectionAck = client.next().await.data().unwrap();
    let runs = ack.cursor.position(Feed::Run).unwrap();
    let foreign = ack.cursor.with(
        Feed::Run,
        Some(Position {
            epoch: runs.epoch ^ 1,
            ..runs
        }),
    );
    let mut client = gateway.ws(&format!("since={foreign}")).await;
    let (before, _) = client.until(MessageType::CaughtUp).await;
    assert_eq!(
        before[0].data::<ConnectionAck>().unwrap().resume.verdict,
        Verdict::Gap
    );
    // The client has dropped everything, so it gets everything.
    assert!(
        before.iter().any(|m| m.message_type == MessageType::OddsUpdate),
        "{before:#?}"
    );
    assert_eq!(seqs(&before), [2]);
}

#[tokio::test]
async fn a_stream_made_anew_under_a_running_gateway_is_a_gap_in_mid_connection() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world.odds_event(&PRICE).await;
    let mut client = gateway.ws("since=snapshot").await;
    client.next_of(MessageType::CaughtUp).await;
    world.delete_stream("ODDS").await;
    world.provision().await;
    world.odds_event(&Quote { event: "e2", ..PRICE }).await;
    let resume: oddswire_protocol::server::Resume = client.next_of(MessageType::Resume).await.data().unwrap();
    assert_eq!(resume.verdict, Verdict::Gap);
    let (before, _) = client.until(MessageType::CaughtUp).await;
    let odds: Vec<_> = before
        .iter()
        .filter(|m| m.message_type == MessageType::OddsUpdate)
        .collect();
    assert_eq!(odds.len(), 1, "{before:#?}");
}

#[tokio::test]
async fn a_bus_that_is_wiped_as_a_whole_is_one_gap_in_mid_connection() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world.odds_event(&PRICE).await;
    let run = RunId::new();
    events(&world, &run, 1, 2).await;
    let mut client = gateway.ws("since=snapshot").await;
    client.next_of(MessageType::CaughtUp).await;
    for stream in ["RUNS_LAST", "RUNS", "ODDS"] {
        world.delete_stream(stream).await;
    }
    world.provision().await;
    world.odds_event(&Quote { event: "e2", ..PRICE }).await;
    let resume: oddswire_protocol::server::Resume = client.next_of(MessageType::Resume).await.data().unwrap();
    assert_eq!(resume.verdict, Verdict::Gap);
    client.next_of(MessageType::CaughtUp).await;
    // Both streams are followed in their new life, and there was no second word of it.
    let again = RunId::new();
    events(&world, &again, 1, 1).await;
    let (before, _) = client.until(MessageType::ScrapeProgress).await;
    assert!(
        before.iter().all(|m| m.message_type != MessageType::Resume),
        "{before:#?}"
    );
}
