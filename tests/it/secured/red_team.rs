//! Whoever has a role's key tries everything that it may ask of the bus, with answers to be sent wherever it likes, and
//! with every header that means something to the server: nothing that is not the role's own may come of it.

use super::raw_client;
use crate::harness::{World, within};
use async_nats::{Client, HeaderMap};
use futures_util::StreamExt as _;
use oddswire_kit::{
    bus::Bus,
    log::{ReadError, Stored},
    publish::Publication,
    roles::{Role, Separation},
};
use oddswire_protocol::{Feed, RunId, progress::Status};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

const STREAMS: [&str; 6] = ["RUNS", "ODDS", "HISTORY", "JOBS", "KV_CONTROL", "KV_GATEWAY"];

/// Where an intruder has answers sent: what others listen to, what is stored, and what the server itself acts on.
const REPLIES: &[&str] = &[
    "oddswire.live.run.zz.zz",
    "oddswire.live.odds.confirmed.zz",
    "oddswire.feed.run.zz.zz",
    "oddswire.feed.odds.confirmed.zz",
    "oddswire.feed.odds.fence.zz",
    "oddswire.jobs.scrape.zz",
    "oddswire.ctl.run.zz",
    "$KV.CONTROL.source.zz",
    "$KV.CONTROL.worker.zz",
    "$KV.GATEWAY.cancel.zz",
    "$KV.GATEWAY.ticket.zz",
    "$JS.API.STREAM.PURGE.JOBS",
    "$JS.API.STREAM.PURGE.HISTORY",
    "$JS.API.STREAM.DELETE.HISTORY",
    "$ODDSWIRE.JS.API.STREAM.DELETE.HISTORY",
    "$JS.ACK.JOBS.scrape.1.1.1.1.0",
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.JOBS.scrape",
    "_R_.zz",
];

/// What it asks.
const QUERIES: &[&str] = &[
    r#"{"seq":1}"#,
    r#"{"seq":1,"next_by_subj":">","batch":8}"#,
    r#"{"last_by_subj":"oddswire.feed.run.zz.carrier"}"#,
    r#"{"last_by_subj":"nothing.is.there"}"#,
];

/// What means something to the server in a message that is to be stored.
const HEADERS: &[&[(&str, &str)]] = &[
    &[],
    &[("Nats-Rollup", "all")],
    &[("Nats-Rollup", "sub")],
    &[("KV-Operation", "PURGE"), ("Nats-Rollup", "all")],
    &[("Nats-Marker-Reason", "Purge")],
    &[("Nats-TTL", "1s")],
    &[("Nats-Expected-Stream", "ODDS")],
    &[
        ("Nats-Batch-Id", "zz"),
        ("Nats-Batch-Sequence", "1"),
        ("Nats-Batch-Commit", "1"),
    ],
    &[("Nats-Incr", "+1")],
    &[
        ("Nats-Schedule", "@every 1s"),
        ("Nats-Schedule-Target", "oddswire.feed.odds.confirmed.zz"),
    ],
    &[
        ("Nats-Stream", "ODDS"),
        ("Nats-Subject", "oddswire.feed.odds.confirmed.zz"),
        ("Nats-Sequence", "999999"),
    ],
];

/// A subject that a role may publish to, with something in the place of its wildcards.
fn example(pattern: &str) -> String {
    pattern.replace('*', "zz").replace('>', "zz.carrier")
}

fn matches(pattern: &str, subject: &str) -> bool {
    let (mut wanted, mut is) = (pattern.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), is.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(w), Some(i)) if w == "*" || w == i => {}
            _ => return false,
        }
    }
}

/// What each stream holds, by sequence; nothing of one that is gone.
async fn all_stored(operator: &Bus) -> BTreeMap<(&'static str, u64), String> {
    let mut all = BTreeMap::new();
    for stream in STREAMS {
        if operator.stream_state(stream).await == Err(ReadError::NoStream) {
            continue;
        }
        let mut read = operator.read(stream, ">".into(), 1, u64::MAX);
        while let Some(page) = within("a page", read.next_page()).await.unwrap() {
            all.extend(page.into_iter().map(|m| ((stream, m.seq), m.subject)));
        }
    }
    all
}

/// The same once HISTORY, which copies ODDS a little later, has the first of what is true.
async fn all_copied(operator: &Bus) -> BTreeMap<(&'static str, u64), String> {
    loop {
        let all = all_stored(operator).await;
        let mut history = all.iter().filter(|((stream, _), _)| *stream == "HISTORY");
        if history.any(|(_, subject)| subject.ends_with("true1")) {
            return all;
        }
    }
}

async fn bus_of(world: &World, role: Role) -> Bus {
    Bus::connect(&world.options_of(role), "red team", role.name())
        .await
        .unwrap()
}

/// Something true in each stream.
async fn something_true(world: &World, number: u64) {
    let stop = CancellationToken::new();
    let status = if number == 1 {
        Status::Running
    } else {
        Status::Completed
    };
    let run = RunId::new();
    world.run_event("alpha", &run, 1, status).await;
    let confirmed = format!("oddswire.feed.odds.confirmed.true{number}");
    for subject in [
        confirmed,
        format!("oddswire.jobs.scrape.true{number}"),
        format!("$KV.CONTROL.source.true{number}"),
    ] {
        let message = Publication::new(subject.clone(), format!("{run}:{subject}"), "{}".into());
        world.bus.publish(&message, &stop).await.unwrap();
    }
    let gateway = bus_of(world, Role::Gateway).await;
    gateway
        .kv_put(&format!("cancel.true{number}"), "{}".into(), None, &stop)
        .await
        .unwrap();
}

/// Everything that a role may ask, with every reply subject, and everything that it may store, with every header.
async fn attack(intruder: &Client, role: Role, world: &World) {
    let may = role.permissions(world.bus.subjects()).publish;
    // These change what the role is there to change.
    let own = [
        "STREAM.MSG.DELETE",
        "STREAM.CREATE",
        "STREAM.UPDATE",
        "CONSUMER.CREATE",
        "$JS.ACK",
    ];
    let (api, stores): (Vec<&String>, Vec<&String>) = may
        .iter()
        .filter(|subject| !own.iter().any(|own| subject.contains(own)))
        .partition(|subject| subject.starts_with("$JS."));
    for pattern in stores {
        let subject = example(pattern);
        for headers in HEADERS {
            let mut map = HeaderMap::new();
            for (name, value) in *headers {
                map.insert(*name, *value);
            }
            intruder
                .publish_with_headers(subject.clone(), map, "forged".into())
                .await
                .unwrap();
        }
        for reply in REPLIES {
            intruder
                .publish_with_reply(subject.clone(), *reply, "forged".into())
                .await
                .unwrap();
        }
    }
    for subject in api {
        for (query, reply) in QUERIES
            .iter()
            .flat_map(|query| REPLIES.iter().map(move |reply| (query, reply)))
        {
            intruder
                .publish_with_reply(subject.clone(), *reply, (*query).into())
                .await
                .unwrap();
        }
    }
    intruder.flush().await.unwrap();
}

/// What came of it that is not the role's own.
async fn findings(world: &mut World, role: Role) -> Vec<String> {
    world.bus = bus_of(world, Role::Scraper).await;
    let operator = bus_of(world, Role::Operator).await;
    something_true(world, 1).await;
    let before = within("the copy of odds to have what is true", all_copied(&operator)).await;
    let (gateway, reader) = (
        bus_of(world, Role::Gateway).await,
        bus_of(world, Role::Reader).await,
    );
    let mut heard: Vec<(Feed, Stored)> = Vec::new();
    let mut listeners = Vec::new();
    for bus in [&gateway, &reader] {
        for feed in Feed::ALL {
            listeners.push((feed, bus.listen(feed).await.unwrap()));
        }
        // The server has the subscriptions.
        bus.stream_state("RUNS").await.unwrap();
    }
    let intruder = raw_client(world, role).await;
    attack(&intruder, role, world).await;
    // Streams take messages in order, so what was forged is stored when this is.
    something_true(world, 2).await;
    for (feed, listener) in &mut listeners {
        loop {
            let message = within("the live side", listener.next()).await.unwrap();
            let is_last = match feed {
                Feed::Run => message.header("Oddswire-Status") == Some("completed"),
                Feed::Odds => message.subject.ends_with("true2"),
            };
            heard.push((*feed, message));
            if is_last {
                break;
            }
        }
    }
    let after = all_stored(&operator).await;
    let may = role.permissions(world.bus.subjects()).publish;
    let mut found = Vec::new();
    for (at, subject) in &before {
        if !after.contains_key(at) {
            found.push(format!("{}: {subject} is gone", at.0));
        }
    }
    for (at, subject) in after.iter().filter(|(at, _)| !before.contains_key(at)) {
        let own = may.iter().any(|pattern| matches(pattern, subject)) || subject.ends_with("true2");
        let own = own || subject.starts_with("oddswire.feed.run.alpha.");
        if !own {
            found.push(format!("{}: {subject} is stored", at.0));
        }
    }
    for (feed, message) in heard {
        let stream = world.bus.names().feed(feed);
        let is_there = after.get(&(if stream == "RUNS" { "RUNS" } else { "ODDS" }, message.seq));
        // A newer one may have taken its place in ODDS since.
        if is_there.is_some_and(|subject| *subject != message.subject) || message.seq > 1_000_000 {
            found.push(format!("{feed}: {} came by as {}", message.subject, message.seq));
        }
    }
    found.sort();
    found.dedup();
    found
}

async fn of_each_role(separation: Separation) -> BTreeMap<&'static str, Vec<String>> {
    let mut all = BTreeMap::new();
    for role in [Role::Reader, Role::Gateway, Role::Scraper, Role::Provision] {
        let mut world = World::secured_by(separation).await;
        all.insert(role.name(), findings(&mut world, role).await);
    }
    all
}

#[tokio::test]
async fn a_stolen_key_of_any_role_does_nothing_but_what_the_role_may() {
    let all = of_each_role(Separation::Accounts).await;
    assert!(all.values().all(Vec::is_empty), "{all:#?}");
}

/// The control: in one account, apart by permissions alone, the same attempts find what is known.
#[tokio::test]
async fn in_one_account_answers_of_the_server_go_where_an_intruder_likes() {
    let all = of_each_role(Separation::Permissions).await;
    for (role, known) in [
        ("reader", "ODDS: oddswire.feed.odds.confirmed.zz is stored"),
        // Stored, or all jobs purged by one of the answers.
        ("reader", "JOBS: "),
        ("gateway", "ODDS: oddswire.feed.odds.confirmed.zz is stored"),
        ("scraper", "KV_GATEWAY: $KV.GATEWAY.ticket.zz is stored"),
        ("reader", "HISTORY: oddswire.feed.odds.confirmed.true1 is gone"),
        ("provision", "RUNS: oddswire.feed.run.zz.zz is stored"),
    ] {
        assert!(
            all[role].iter().any(|found| found.starts_with(known)),
            "{role}, {known}: {all:#?}"
        );
    }
}

/// A live message has to prove what it is, also where the server lets others come by: in one account.
#[tokio::test]
async fn what_comes_by_live_and_is_no_event_of_its_stream_is_not_heard() {
    for separation in [Separation::Permissions, Separation::Accounts] {
        let mut world = World::secured_by(separation).await;
        world.bus = bus_of(&world, Role::Scraper).await;
        something_true(&world, 1).await;
        let gateway = bus_of(&world, Role::Gateway).await;
        let mut listener = gateway.listen(Feed::Odds).await.unwrap();
        gateway.stream_state("ODDS").await.unwrap();
        let raw = raw_client(&world, Role::Gateway).await;
        let mut all = raw.subscribe("oddswire.live.odds.>").await.unwrap();
        let query = r#"{"seq":1,"next_by_subj":"oddswire.feed.run.>"}"#;
        for reply in [
            "oddswire.live.odds.confirmed.zz",
            "oddswire.live.odds.quote.a.b.c.d",
        ] {
            raw.publish_with_reply("$JS.API.DIRECT.GET.RUNS", reply, query.into())
                .await
                .unwrap();
        }
        raw.flush().await.unwrap();
        something_true(&world, 2).await;
        let came_by = within("what comes by", all.next()).await.unwrap();
        // The control: in one account it does.
        let forged = came_by.subject.as_str() != "oddswire.live.odds.confirmed.true2";
        assert_eq!(forged, separation == Separation::Permissions, "{came_by:?}");
        let heard = within("an event", listener.next()).await.unwrap();
        assert_eq!(heard.subject, "oddswire.feed.odds.confirmed.true2");
    }
}

/// A publisher may write a status into its message's head, where clients look for the server's: a read of the stream must
/// not end there.
#[tokio::test]
async fn a_stored_message_with_a_status_of_its_own_ends_no_read() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    let mut socket = tokio::net::TcpStream::connect(world.nats_url().trim_start_matches("nats://"))
        .await
        .unwrap();
    socket
        .write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n")
        .await
        .unwrap();
    for status in ["503 gone", "204 EOB", "404 none"] {
        let head = format!("NATS/1.0 {status}\r\nce-type: x\r\n\r\n");
        let size = head.len();
        let frame = format!(
            "HPUB oddswire.feed.run.zz.zz {size} {}\r\n{head}{{}}\r\n",
            size + 2
        );
        socket.write_all(frame.as_bytes()).await.unwrap();
    }
    socket.write_all(b"PING\r\n").await.unwrap();
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("PONG") {
        let mut part = [0; 4096];
        let taken = within("the server's word", socket.read(&mut part)).await.unwrap();
        assert!(taken > 0);
        said.extend_from_slice(&part[..taken]);
    }
    world.run_event("alpha", &RunId::new(), 1, Status::Running).await;
    let mut read = world.bus.read("RUNS", ">".into(), 1, 4);
    let mut seqs = Vec::new();
    while let Some(page) = read.next_page().await.unwrap() {
        seqs.extend(page.into_iter().map(|message| message.seq));
    }
    assert_eq!(seqs, [1, 2, 3, 4]);
}
