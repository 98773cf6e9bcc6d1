//! What breaks under a client in mid-connection: its replica, its stream, the bus. It is told, and loses nothing that
//! is still there.

use crate::harness::{
    Connection, Gateway, GatewayProcess, Quote, Transport, World, run_image, run_key, until, within,
};
use oddswire_protocol::{
    Cursor, Feed, RunId,
    envelope::{MessageType, Received},
    header::{ATTEMPT, BATCH, STATUS},
    progress::{ScrapeProgress, Status},
    server::{CaughtUp, Heartbeat, Upstream, Verdict},
};

const PRICE: Quote = Quote {
    event: "e1",
    source: "alpha",
    price: "1.85",
};

fn seq(event: &Received) -> u64 {
    event.data::<ScrapeProgress>().unwrap().seq
}

/// Run and sequence of each event of a run, in the order in which they came.
fn runs(events: &[Received]) -> Vec<(RunId, u64)> {
    let images = events
        .iter()
        .filter(|m| m.message_type == MessageType::ScrapeProgress)
        .map(|m| m.data::<ScrapeProgress>().unwrap());
    images.map(|image| (image.run_id, image.seq)).collect()
}

async fn publish(world: &World, run: &RunId, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        world.run_event("alpha", run, seq, Status::Running).await;
    }
}

/// An event of a run as large as one gets: a replay of many of them does not fit into sockets.
async fn publish_large(world: &World, run: &RunId, seq: u64) {
    let image = ScrapeProgress {
        message: "x".repeat(48 << 10),
        ..run_image("alpha", run, seq, Status::Running)
    };
    let headers = vec![
        (STATUS, Status::Running.as_str().to_owned()),
        (ATTEMPT, "1".to_owned()),
        (BATCH, image.batch_id.to_string()),
    ];
    let payload = serde_json::to_vec(&image).unwrap();
    world
        .event(&run_key("alpha", run), &format!("{run}:{seq}"), headers, &payload)
        .await;
}

#[tokio::test]
async fn a_replica_killed_in_the_middle_of_a_replay_is_continued_by_another() {
    const EVENTS: u64 = 600;
    const READ_BEFORE: u64 = 50;
    let world = World::new().await;
    let run = RunId::new();
    let start = {
        let gateway = world.gateway().await;
        let mut client = Connection::open(Transport::Ws, &gateway.address, "", "now").await;
        client.acknowledged().await.cursor
    };
    for seq in 1..=EVENTS {
        publish_large(&world, &run, seq).await;
    }
    let mut next = EVENTS + 1;
    for transport in Transport::BOTH {
        let mut doomed = GatewayProcess::start(&world.nats_url(), &[]);
        let other = GatewayProcess::start(&world.nats_url(), &[]);
        doomed.wait_ready().await;
        other.wait_ready().await;
        let topics = "scrape_progress";
        let mut client = Connection::open(transport, &doomed.address(), topics, &start.to_string()).await;
        assert_eq!(client.acknowledged().await.resume.verdict, Verdict::Replayed);
        let mut got = Vec::new();
        let mut last = start;
        while let Some((message, cursor)) = within("the end", client.try_next()).await {
            if message.message_type == MessageType::Heartbeat {
                continue;
            }
            // A caught_up would say that it was not in the middle.
            assert_eq!(message.message_type, MessageType::ScrapeProgress, "{transport:?}");
            got.push(seq(&message));
            last = cursor.expect("an event has a position");
            if got.len() as u64 == READ_BEFORE {
                doomed.kill().await;
            }
        }
        let before = got.len() as u64;
        assert!((READ_BEFORE..EVENTS).contains(&before), "{before} of {EVENTS}");

        let mut client = Connection::open(transport, &other.address(), topics, &last.to_string()).await;
        let rest = client.joined().await;
        assert_eq!(rest.resume.verdict, Verdict::Replayed, "{transport:?}");
        got.extend(rest.events.iter().map(seq));
        publish_large(&world, &run, next).await;
        got.push(seq(&client.next_event().await.0));
        assert_eq!(got, (1..=next).collect::<Vec<_>>(), "{transport:?}");
        next += 1;
    }
}

#[tokio::test]
async fn a_run_log_made_anew_is_a_gap_to_who_stays_and_to_who_comes_back() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let (before, after) = (RunId::new(), RunId::new());
    publish(&world, &before, 1..=20).await;
    world.odds_event(&PRICE).await;
    let mut staying = Vec::new();
    for transport in Transport::BOTH {
        let mut client = Connection::open(transport, &gateway.address, "", "snapshot").await;
        assert_eq!(runs(&client.joined().await.events), [(before.clone(), 20)]);
        staying.push((transport, client));
    }
    let old = {
        let mut client = Connection::open(Transport::Ws, &gateway.address, "", "now").await;
        client.acknowledged().await.cursor
    };
    world.delete_stream("RUNS").await;
    world.provision().await;
    publish(&world, &after, 1..=2).await;
    let mut new = old;
    for (transport, client) in &mut staying {
        let got = client.resumed().await;
        assert_eq!(got.resume.verdict, Verdict::Gap, "{transport:?}");
        assert!(
            got.events
                .iter()
                .any(|m| m.message_type == MessageType::OddsUpdate),
            "the client dropped its odds too: {transport:?}"
        );
        assert_eq!(
            runs(&got.events).last(),
            Some(&(after.clone(), 2)),
            "{transport:?}"
        );
        new = got.caught_up.cursor;
    }
    publish(&world, &after, 3..=3).await;
    for (transport, mut client) in staying {
        let (event, _) = client.next_event().await;
        assert_eq!(runs(&[event]), [(after.clone(), 3)], "{transport:?}");
    }
    let elsewhere = world.gateway().await;
    for at in [&gateway, &elsewhere] {
        for transport in Transport::BOTH {
            let back = comes_back(at, transport, old).await;
            assert_eq!(back.0, Verdict::Gap, "{transport:?}");
            assert_eq!(back.1.last(), Some(&(after.clone(), 3)), "{transport:?}");
            // A cursor of the new life is as good as any.
            let back = comes_back(at, transport, new).await;
            assert_eq!(
                back,
                (Verdict::Replayed, vec![(after.clone(), 3)]),
                "{transport:?}"
            );
        }
    }
}

async fn comes_back(gateway: &Gateway, transport: Transport, cursor: Cursor) -> (Verdict, Vec<(RunId, u64)>) {
    let mut client = Connection::open(transport, &gateway.address, "", &cursor.to_string()).await;
    let got = client.joined().await;
    (got.resume.verdict, runs(&got.events))
}

#[tokio::test]
async fn a_cursor_brought_while_the_bus_is_down_is_kept_and_continued_when_it_is_back() {
    let mut world = World::new().await;
    let gateway = world.gateway().await;
    let run = RunId::new();
    publish(&world, &run, 1..=2).await;
    let cursor = {
        let mut client = Connection::open(Transport::Ws, &gateway.address, "", "now").await;
        client.acknowledged().await.cursor
    };
    publish(&world, &run, 3..=5).await;
    world.odds_event(&PRICE).await;
    world.kill_nats().await;
    until("the gateway to notice", async || {
        let mut client = Box::pin(Connection::open(Transport::Ws, &gateway.address, "", "now")).await;
        Box::pin(client.acknowledged()).await.resume.verdict == Verdict::Unavailable
    })
    .await;
    let mut clients = Vec::new();
    for transport in Transport::BOTH {
        let mut client = Connection::open(transport, &gateway.address, "", &cursor.to_string()).await;
        let ack = client.acknowledged().await;
        assert_eq!(ack.resume.verdict, Verdict::Unavailable, "{transport:?}");
        // Whoever leaves now comes back with nothing lost.
        for feed in Feed::ALL {
            assert_eq!(ack.cursor.position(feed), cursor.position(feed), "{transport:?}");
        }
        let heartbeat: Heartbeat = client.next_of(MessageType::Heartbeat).await.data().unwrap();
        assert_eq!(heartbeat.upstream, Upstream::Down, "{transport:?}");
        assert_eq!(heartbeat.cursor.position(Feed::Run), cursor.position(Feed::Run));
        clients.push((transport, client));
    }
    world.restart_nats().await;
    publish(&world, &run, 6..=7).await;
    for (transport, client) in &mut clients {
        // One verdict, then what is owed; nothing before it.
        let (resume, _) = client.next_event().await;
        assert_eq!(resume.message_type, MessageType::Resume, "{transport:?}");
        let resume: oddswire_protocol::server::Resume = resume.data().unwrap();
        assert_eq!(resume.verdict, Verdict::Replayed, "{transport:?}");
        let (mut events, mut caught_up) = (Vec::new(), 0);
        // One caught_up for the acknowledgement, one for the resume; what is published meanwhile may come after them.
        while caught_up < 2 || runs(&events).len() < 5 {
            let (message, _) = client.next_event().await;
            if message.message_type == MessageType::CaughtUp {
                caught_up += 1;
                let told: CaughtUp = message.data().unwrap();
                assert_eq!(told.replayed, events.len() as u64, "{transport:?}");
            } else {
                events.push(message);
            }
        }
        let wanted: Vec<_> = (3..=7).map(|seq| (run.clone(), seq)).collect();
        assert_eq!(runs(&events), wanted, "{transport:?}");
        assert_eq!(events.len(), wanted.len() + 1, "and the price: {transport:?}");
    }
}

#[tokio::test]
async fn a_snapshot_of_a_run_log_made_anew_is_whole_at_once_and_shows_no_run_of_the_old_one() {
    let world = World::new().await;
    let (before, after) = (RunId::new(), RunId::new());
    publish(&world, &before, 1..=20).await;
    world.copied(20).await;
    world.delete_stream("RUNS").await;
    world.provision().await;
    // First while the copy of last images knows of the old log alone, then past the sequences of that.
    for seqs in [1..=2, 3..=30] {
        let last = *seqs.end();
        publish(&world, &after, seqs).await;
        for transport in Transport::BOTH {
            let gateway = world.gateway().await;
            let mut client =
                Connection::open(transport, &gateway.address, "scrape_progress", "snapshot").await;
            let got = client.joined().await;
            assert_eq!(runs(&got.events), [(after.clone(), last)], "{transport:?}");
            let (_, list) = gateway.get("/api/scrapes").await;
            let listed: Vec<_> = list["runs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|run| &run["seq"])
                .collect();
            assert_eq!(listed, [last], "{transport:?}");
        }
    }
}
