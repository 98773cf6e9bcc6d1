//! What a cursor is told, on both transports: the verdict, and then exactly what belongs to it.

use crate::harness::{Connection, Delivered, Gateway, Quote, Transport, World, within};
use oddswire_gateway::trial::Trial;
use oddswire_protocol::{
    Cursor, EventId, Feed, RunId, Timestamp,
    cursor::Position,
    envelope::{MessageType, Received},
    odds::OddsUpdate,
    progress::{ScrapeProgress, Status},
    server::{Heartbeat, Verdict},
    stream::Sizing,
};

const PRICE: Quote = Quote {
    event: "e1",
    source: "alpha",
    price: "1.85",
};
const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Run and sequence of each event of a run.
fn runs(events: &[Received]) -> Vec<(RunId, u64)> {
    let images = events
        .iter()
        .filter(|m| m.message_type == MessageType::ScrapeProgress)
        .map(|m| m.data::<ScrapeProgress>().unwrap());
    images.map(|image| (image.run_id, image.seq)).collect()
}

fn numbered(run: &RunId, seqs: impl IntoIterator<Item = u64>) -> Vec<(RunId, u64)> {
    seqs.into_iter().map(|seq| (run.clone(), seq)).collect()
}

/// Event and price of each odds image.
fn prices(events: &[Received]) -> Vec<(EventId, String)> {
    let images = events
        .iter()
        .filter(|m| m.message_type == MessageType::OddsUpdate)
        .map(|m| m.data::<OddsUpdate>().unwrap());
    images
        .map(|image| {
            let price = image.market.quotes[0].outcomes[0].price.unwrap();
            (image.event.event_id, serde_json::to_string(&price).unwrap())
        })
        .collect()
}

fn priced(expected: &[(&str, &str)]) -> Vec<(EventId, String)> {
    let priced = expected
        .iter()
        .map(|(event, price)| (EventId::of(event), (*price).to_owned()));
    priced.collect()
}

async fn publish(world: &World, source: &str, run: &RunId, seqs: std::ops::RangeInclusive<u64>) -> u64 {
    let mut last = 0;
    for seq in seqs {
        last = world.run_event(source, run, seq, Status::Running).await.seq;
    }
    last
}

async fn price(world: &World, event: &'static str, price: &'static str) {
    world
        .odds_event(&Quote {
            event,
            price,
            ..PRICE
        })
        .await;
}

/// The cursor of a client that has everything until now.
async fn cursor_now(gateway: &Gateway) -> Cursor {
    let mut client = Connection::open(Transport::Ws, &gateway.address, "", "now").await;
    client.acknowledged().await.cursor
}

/// The same cursor, as if it had been issued that long ago.
fn aged(cursor: Cursor, ms: i64) -> Cursor {
    cursor.issued_at(Timestamp::now().plus_ms(-ms))
}

fn moved(cursor: Cursor, feed: Feed, change: impl FnOnce(Position) -> Position) -> Cursor {
    cursor.with(feed, cursor.position(feed).map(change))
}

/// What a cursor gets from a gateway that nobody used before: its ring is empty.
async fn of_a_fresh_gateway(
    world: &World,
    transport: Transport,
    topics: &str,
    since: Cursor,
) -> (Delivered, Connection, Gateway) {
    let gateway = world.gateway().await;
    let mut client = Connection::open(transport, &gateway.address, topics, &since.to_string()).await;
    (client.joined().await, client, gateway)
}

#[tokio::test]
async fn what_no_bus_has_given_is_a_gap_and_the_state() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let run = RunId::new();
    publish(&world, "alpha", &run, 1..=3).await;
    let good = cursor_now(&gateway).await;
    let foreign = moved(good, Feed::Run, |at| Position {
        epoch: at.epoch ^ 1,
        ..at
    });
    let future = moved(good, Feed::Run, |at| Position {
        seq: at.seq + 1,
        ..at
    });
    for transport in Transport::BOTH {
        for since in ["garbage".to_owned(), foreign.to_string(), future.to_string()] {
            let mut client = Connection::open(transport, &gateway.address, "scrape_progress", &since).await;
            let got = client.joined().await;
            assert_eq!(got.resume.verdict, Verdict::Gap, "{transport:?} {since}");
            assert_eq!(runs(&got.events), numbered(&run, [3]), "{transport:?} {since}");
        }
        // Nothing of that is so of the good one.
        let mut client =
            Connection::open(transport, &gateway.address, "scrape_progress", &good.to_string()).await;
        let got = client.joined().await;
        assert_eq!(
            (got.resume.verdict, got.events.len()),
            (Verdict::Replayed, 0),
            "{transport:?}"
        );
    }
}

#[tokio::test]
async fn an_evicted_run_cursor_is_a_gap_that_names_the_oldest_good_one_and_the_state() {
    let world = World::sized(Sizing {
        runs_bytes: 64 << 10,
        ..Sizing::DEV
    })
    .await;
    let (first, second) = (RunId::new(), RunId::new());
    let early = publish(&world, "alpha", &first, 1..=3).await;
    world.copied(early).await;
    price(&world, "e1", "1.85").await;
    let cursor = cursor_now(&world.gateway().await).await;
    publish(&world, "alpha", &second, 1..=100).await;
    let state = world.bus.stream_state(&world.bus.names().runs).await.unwrap();
    assert!(
        state.first_seq > early + 1 && state.first_seq < state.last_seq,
        "{state:?}"
    );

    for transport in Transport::BOTH {
        let (got, ..) = of_a_fresh_gateway(&world, transport, "", cursor).await;
        assert_eq!(got.resume.verdict, Verdict::Gap, "{transport:?}");
        // The client drops all that it holds, so it gets the last image of everything.
        let last_images = [numbered(&first, [3]), numbered(&second, [100])].concat();
        assert_eq!(runs(&got.events), last_images, "{transport:?}");
        assert_eq!(prices(&got.events), priced(&[("e1", "1.85")]), "{transport:?}");
        let oldest = got
            .resume
            .oldest
            .expect("a gap in the log knows from where it is whole");
        assert_eq!(oldest.position(Feed::Run).unwrap().seq, state.first_seq - 1);

        // The oldest one is good, and the one before it is not.
        let (got, ..) = of_a_fresh_gateway(&world, transport, "", oldest).await;
        assert_eq!(got.resume.verdict, Verdict::Replayed, "{transport:?}");
        let kept = (state.first_seq - early)..=100;
        assert_eq!(runs(&got.events), numbered(&second, kept), "{transport:?}");
        let older = moved(oldest, Feed::Run, |at| Position {
            seq: at.seq - 1,
            ..at
        });
        let (got, ..) = of_a_fresh_gateway(&world, transport, "", older).await;
        assert_eq!(got.resume.verdict, Verdict::Gap, "{transport:?}");
    }
}

#[tokio::test]
async fn an_odds_cursor_older_than_six_days_is_a_gap_and_a_younger_one_is_continued() {
    let world = World::new().await;
    price(&world, "e1", "1.85").await;
    price(&world, "e2", "2.1").await;
    let run = RunId::new();
    publish(&world, "alpha", &run, 1..=1).await;
    let cursor = cursor_now(&world.gateway().await).await;
    price(&world, "e1", "1.9").await;
    publish(&world, "alpha", &run, 2..=3).await;
    let old = aged(cursor, 6 * DAY_MS + MINUTE_MS);
    let young = aged(cursor, 6 * DAY_MS - MINUTE_MS);
    for transport in Transport::BOTH {
        let (got, ..) = of_a_fresh_gateway(&world, transport, "", old).await;
        assert_eq!(got.resume.verdict, Verdict::Gap, "{transport:?}");
        assert_eq!(prices(&got.events), priced(&[("e2", "2.1"), ("e1", "1.9")]));
        assert_eq!(runs(&got.events), numbered(&run, [3]));
        let (got, ..) = of_a_fresh_gateway(&world, transport, "", young).await;
        assert_eq!(got.resume.verdict, Verdict::Replayed, "{transport:?}");
        assert_eq!(prices(&got.events), priced(&[("e1", "1.9")]));
        assert_eq!(runs(&got.events), numbered(&run, [2, 3]));
        // Positions of runs do not age by time: the log tells what it has.
        let (got, ..) = of_a_fresh_gateway(&world, transport, "scrape_progress", old).await;
        assert_eq!(got.resume.verdict, Verdict::Replayed, "{transport:?}");
        assert_eq!(runs(&got.events), numbered(&run, [2, 3]));
    }
}

#[tokio::test]
async fn a_cursor_of_an_hour_ago_is_continued_with_exactly_what_happened_since() {
    let world = World::new().await;
    let (run, other) = (RunId::new(), RunId::new());
    publish(&world, "alpha", &run, 1..=3).await;
    price(&world, "e1", "1.85").await;
    let cursor = aged(cursor_now(&world.gateway().await).await, HOUR_MS);
    let topics = format!("scrape_progress.alpha,odds_updates.soccer.{}", EventId::of("e1"));
    for transport in Transport::BOTH {
        let (got, ..) = of_a_fresh_gateway(&world, transport, &topics, cursor).await;
        assert_eq!(
            (got.resume.verdict, got.events.len(), got.caught_up.replayed),
            (Verdict::Replayed, 0, 0),
            "nothing at all happened: {transport:?}"
        );
    }
    publish(&world, "bravo", &other, 1..=300).await;
    for event_price in ["2.1", "2.2", "2.3"] {
        price(&world, "e2", event_price).await;
    }
    for transport in Transport::BOTH {
        let (got, ..) = of_a_fresh_gateway(&world, transport, &topics, cursor).await;
        assert_eq!(
            (got.resume.verdict, got.events.len(), got.caught_up.replayed),
            (Verdict::Replayed, 0, 0),
            "only other keys moved: {transport:?}"
        );
    }
    publish(&world, "alpha", &run, 4..=5).await;
    price(&world, "e1", "1.9").await;
    price(&world, "e1", "1.95").await;
    for (next, transport) in (6..).zip(Transport::BOTH) {
        let (got, mut client, _gateway) = of_a_fresh_gateway(&world, transport, &topics, cursor).await;
        assert_eq!(got.resume.verdict, Verdict::Replayed, "{transport:?}");
        assert_eq!(runs(&got.events), numbered(&run, 4..next), "{transport:?}");
        assert_eq!(prices(&got.events), priced(&[("e1", "1.95")]), "{transport:?}");
        assert_eq!(got.caught_up.replayed, got.events.len() as u64);
        publish(&world, "alpha", &run, next..=next).await;
        assert_eq!(runs(&[client.next_event().await.0]), numbered(&run, [next]));
        // With other topics the same cursor is continued with what others got.
        let (got, ..) = of_a_fresh_gateway(&world, transport, "scrape_progress.bravo", cursor).await;
        assert_eq!(runs(&got.events), numbered(&other, 1..=300), "{transport:?}");
    }
}

#[tokio::test]
async fn a_client_that_idles_is_moved_on_by_heartbeats_and_comes_back_with_the_last_one() {
    let world = World::new().await;
    let one = world.gateway_with(|options| options.heartbeat_ms = 400).await;
    let two = world.gateway().await;
    let (run, other) = (RunId::new(), RunId::new());
    let topics = format!("scrape_progress.alpha,odds_updates.soccer.{}", EventId::of("e1"));
    // It had been away for nearly as long as a client may be.
    let since = aged(cursor_now(&one).await, 6 * DAY_MS - HOUR_MS).to_string();
    let mut idle = Vec::new();
    for transport in Transport::BOTH {
        let mut client = Connection::open(transport, &one.address, &topics, &since).await;
        assert_eq!(client.joined().await.events.len(), 0);
        idle.push((transport, client));
    }
    let passed = publish(&world, "bravo", &other, 1..=20).await;
    price(&world, "e2", "2.1").await;
    for (transport, client) in &mut idle {
        let mut cursor = heartbeat(client).await;
        within("a heartbeat past what others got", async {
            while cursor.position(Feed::Run).unwrap().seq < passed {
                cursor = heartbeat(client).await;
            }
        })
        .await;
        // Heartbeats are further apart than the gateway lingers with a feed that nobody follows: it is followed.
        for _ in 0..2 {
            cursor = heartbeat(client).await;
        }
        assert_eq!(cursor.position(Feed::Run).unwrap().seq, passed, "{transport:?}");
        assert!(
            cursor.age_ms(Timestamp::now()) < MINUTE_MS.unsigned_abs(),
            "{transport:?}"
        );
    }
    publish(&world, "alpha", &run, 1..=1).await;
    let mut cursors = Vec::new();
    for (transport, mut client) in idle {
        let (event, _) = client.next_event().await;
        assert_eq!(runs(&[event]), numbered(&run, [1]), "{transport:?}");
        cursors.push((transport, heartbeat(&mut client).await));
    }
    publish(&world, "alpha", &run, 2..=4).await;
    price(&world, "e1", "1.85").await;
    for (transport, cursor) in cursors {
        let since = cursor.to_string();
        let mut client = Connection::open(transport, &two.address, &topics, &since).await;
        let got = client.joined().await;
        assert_eq!(got.resume.verdict, Verdict::Replayed, "{transport:?}");
        assert_eq!(runs(&got.events), numbered(&run, 2..=4), "{transport:?}");
        assert_eq!(prices(&got.events), priced(&[("e1", "1.85")]), "{transport:?}");
    }
}

async fn heartbeat(client: &mut Connection) -> Cursor {
    let heartbeat: Heartbeat = client.next_of(MessageType::Heartbeat).await.data().unwrap();
    heartbeat.cursor
}

#[tokio::test]
async fn a_cursor_ahead_of_a_replica_that_is_behind_is_waited_for_and_never_a_gap() {
    let world = World::new().await;
    let ahead = world.gateway().await;
    // Nothing comes in but what it looks for itself, no more often than every 5 s, or when it is asked to.
    let lossy = Trial {
        lose_live: 1.0,
        ..Trial::default()
    };
    let behind =
        Gateway::start_on_trial(&world.nats_url(), lossy, |options| options.heartbeat_ms = 100).await;
    let run = RunId::new();
    let mut good = Connection::open(Transport::Ws, &ahead.address, "scrape_progress", "now").await;
    let mut resident = Connection::open(Transport::Ws, &behind.address, "scrape_progress", "now").await;
    good.joined().await;
    resident.joined().await;
    let mut seq = 0;
    let mut seen = Vec::new();
    for transport in Transport::BOTH {
        // The replica looks more often right after it began: until then it may have caught up by itself.
        let cursor = loop {
            assert!(seq < 100, "the replica keeps up without live messages");
            seq += 1;
            publish(&world, "alpha", &run, seq..=seq).await;
            let cursor = good.next_event().await.1.unwrap();
            let (message, _) = resident.next().await;
            if message.message_type != MessageType::Heartbeat {
                seen.push(message);
                continue;
            }
            let there: Heartbeat = message.data().unwrap();
            if there.cursor.position(Feed::Run) < cursor.position(Feed::Run) {
                break cursor;
            }
        };
        publish(&world, "alpha", &run, seq + 1..=seq + 3).await;
        let topics = "scrape_progress";
        let mut client = Connection::open(transport, &behind.address, topics, &cursor.to_string()).await;
        let mut got = client.joined().await;
        assert_eq!(got.resume.verdict, Verdict::Replayed, "{transport:?}");
        // It is caught up with the replica, which may still be catching up itself.
        while got.events.len() < 3 {
            got.events.push(client.next_event().await.0);
        }
        assert_eq!(
            runs(&got.events),
            numbered(&run, seq + 1..=seq + 3),
            "{transport:?}"
        );
        // It goes on, once each, when a newer cursor makes the replica look again.
        publish(&world, "alpha", &run, seq + 4..=seq + 6).await;
        let mut newest = cursor;
        for _ in 1..=6 {
            newest = good.next_event().await.1.unwrap();
        }
        seq += 6;
        let mut newer = Connection::open(transport, &behind.address, topics, &newest.to_string()).await;
        let got = newer.joined().await;
        assert_eq!(
            (got.resume.verdict, got.events.len()),
            (Verdict::Replayed, 0),
            "{transport:?}"
        );
        for wanted in seq - 2..=seq {
            assert_eq!(runs(&[client.next_event().await.0]), numbered(&run, [wanted]));
        }
    }
    // Who was there all the time has everything once, in order.
    while seen.len() < usize::try_from(seq).unwrap() {
        seen.push(resident.next_event().await.0);
    }
    assert_eq!(runs(&seen), numbered(&run, 1..=seq));
}

#[tokio::test]
async fn a_cursor_that_says_nothing_of_a_kind_of_topic_is_a_snapshot_with_that_kind() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let run = RunId::new();
    publish(&world, "alpha", &run, 1..=2).await;
    price(&world, "e1", "1.85").await;
    let mut client = Connection::open(Transport::Ws, &gateway.address, "scrape_progress", "now").await;
    let runs_only = client.acknowledged().await.cursor;
    assert_eq!(runs_only.position(Feed::Odds), None);
    publish(&world, "alpha", &run, 3..=4).await;
    price(&world, "e1", "1.9").await;
    for transport in Transport::BOTH {
        let since = runs_only.to_string();
        let mut client = Connection::open(transport, &gateway.address, "", &since).await;
        let got = client.joined().await;
        assert_eq!(got.resume.verdict, Verdict::Snapshot, "{transport:?}");
        assert_eq!(prices(&got.events), priced(&[("e1", "1.9")]), "{transport:?}");
        assert_eq!(runs(&got.events), numbered(&run, [4]), "{transport:?}");
        // What it speaks of is continued.
        let mut client = Connection::open(transport, &gateway.address, "scrape_progress", &since).await;
        let got = client.joined().await;
        assert_eq!(got.resume.verdict, Verdict::Replayed, "{transport:?}");
        assert_eq!(runs(&got.events), numbered(&run, 3..=4), "{transport:?}");
    }
}
