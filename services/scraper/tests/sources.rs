//! The four definitions in `sources/` against the demo bookmakers: what they read is the truth, and what goes wrong
//! there is told for what it is.

#![expect(
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helper functions too"
)]

#[path = "sources/board.rs"]
mod board;
#[path = "sources/demo.rs"]
mod demo;

use board::{board_of_harvest, board_of_truth};
use demo::{Demo, SOURCES};
use oddswire_demo_site::{Book, World, WorldSpec, truth::Truth};
use oddswire_protocol::{
    EventId,
    progress::{ErrorType, Outcome},
};
use oddswire_scraper::{
    reading::{Pages, Reason},
    source::load_dir,
    walk::{Walk, WalkError},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

#[tokio::test]
async fn each_definition_reads_exactly_what_its_bookmaker_shows() {
    let demo = Demo::start(7, 40).await;
    let mut suspended = BTreeSet::new();
    let mut unpriced = false;
    // A whole day of the world, so that events open, move, begin, are suspended and end.
    for hour in (0..24).step_by(4) {
        demo.clock_at(&format!("2026-11-22T{hour:02}:07:30Z")).await;
        let truth: Truth = demo.get("truth").await;
        for book in Book::ALL {
            let (harvest, faults) = demo.harvest(book).await;
            let (read, shown) = (board_of_harvest(&harvest), board_of_truth(&truth, book));
            assert_eq!(read.0, shown.0, "{book} at {hour}: events");
            assert_eq!(read.1, shown.1, "{book} at {hour}: quotes");
            assert_eq!(
                (harvest.outcome, faults),
                (Outcome::Complete, Vec::new()),
                "{book}"
            );
            assert!(harvest.listing_complete && !harvest.unconfirmed_all && harvest.unconfirmed.is_empty());
            assert_eq!(harvest.quote_count(), shown.1.len());
            suspended.extend(read.1.values().any(|(open, _)| !open).then_some(book));
            unpriced |= read
                .1
                .values()
                .any(|(_, prices)| prices.values().any(Option::is_none));
        }
    }
    assert_eq!(
        suspended.len(),
        4,
        "the day has no suspended quote at some book: choose another"
    );
    assert!(unpriced, "the day has no hidden price at charlie: choose another");
}

#[tokio::test]
async fn markets_that_nobody_maps_are_counted_and_listed() {
    let demo = Demo::start(7, 12).await;
    for (book, ids) in [
        (Book::Alpha, &["3760", "3799"][..]),
        (Book::Bravo, &["145"]),
        (Book::Charlie, &["OE"]),
        (Book::Delta, &[]),
    ] {
        let (harvest, _) = demo.harvest(book).await;
        let listed: Vec<_> = harvest
            .unmapped
            .items
            .keys()
            .map(|(reason, id)| (*reason, id.as_str()))
            .collect();
        let expected: Vec<_> = ids.iter().map(|id| (Reason::UnknownMarket, *id)).collect();
        assert_eq!(listed, expected, "{book}");
    }
}

#[tokio::test]
async fn the_same_event_has_one_id_at_all_four() {
    let demo = Demo::start(7, 12).await;
    let mut ids: BTreeMap<EventId, usize> = BTreeMap::new();
    for book in Book::ALL {
        for reading in demo.harvest(book).await.0.events {
            *ids.entry(reading.event.event_id.clone()).or_default() += 1;
        }
    }
    assert!(ids.values().any(|books| *books == 4), "{ids:?}");
}

#[tokio::test]
async fn a_site_that_fails_altogether_is_told_for_what_it_is() {
    let cases = [
        (
            json!({ "kind": "block_page" }),
            Outcome::Blocked,
            ErrorType::Blocked,
            None,
        ),
        (
            json!({ "kind": "truncated_json" }),
            Outcome::Broken,
            ErrorType::Parse,
            None,
        ),
        (
            json!({ "kind": "layout_drift" }),
            Outcome::Broken,
            ErrorType::SchemaDrift,
            None,
        ),
        (
            json!({ "kind": "server_error", "status": 503 }),
            Outcome::Unreachable,
            ErrorType::HttpStatus,
            Some(503),
        ),
        (
            json!({ "kind": "reset_in_body" }),
            Outcome::Unreachable,
            ErrorType::Connect,
            None,
        ),
        (
            json!({ "kind": "rate_limited", "retry_after_s": 0 }),
            Outcome::Unreachable,
            ErrorType::RateLimited,
            Some(429),
        ),
    ];
    let demo = Demo::start(7, 12).await;
    for book in Book::ALL {
        for (fault, outcome, error_type, http_status) in &cases {
            demo.fault(book, fault.clone(), None, None).await;
            let (result, faults) = demo.run(book, Pages::new()).await;
            let Err(WalkError::Unreadable {
                outcome: told,
                fault: last,
            }) = result
            else {
                panic!("{book}, {fault}: {result:?}");
            };
            let got = (told, last.error_type, last.http_status, last.retry_in_ms);
            assert_eq!(
                got,
                (*outcome, *error_type, *http_status, None),
                "{book}, {fault}: {last:?}"
            );
            assert_eq!(faults.last(), Some(&last));
            let message = &last.message;
            assert!(
                !message.contains('?') && message.contains(book.key()),
                "{message}"
            );
        }
        demo.fault(book, Value::Null, None, None).await;
    }
}

#[tokio::test]
async fn what_passes_is_tried_again_and_harms_nothing() {
    let demo = Demo::start(7, 12).await;
    for book in Book::ALL {
        for (fault, error_type) in [
            (
                json!({ "kind": "rate_limited", "retry_after_s": 0 }),
                ErrorType::RateLimited,
            ),
            (
                json!({ "kind": "server_error", "status": 500 }),
                ErrorType::HttpStatus,
            ),
            (json!({ "kind": "reset_in_body" }), ErrorType::Connect),
        ] {
            demo.fault(book, fault.clone(), Some(2), None).await;
            let (harvest, faults) = demo.harvest(book).await;
            assert_eq!(harvest.outcome, Outcome::Complete, "{book}, {fault}: {faults:?}");
            assert_eq!(faults.len(), 2, "{book}, {fault}: {faults:?}");
            for told in &faults {
                assert_eq!(told.error_type, error_type, "{book}: {told:?}");
                assert!(told.recoverable && told.retry_in_ms.is_some(), "{book}: {told:?}");
            }
        }
    }
}

#[tokio::test]
async fn one_failed_page_makes_its_own_events_unconfirmed_and_no_others() {
    let demo = Demo::start(7, 24).await;
    for (book, path) in [
        (Book::Alpha, "/alpha/api/events/"),
        (Book::Charlie, "/charlie/api/odds"),
        (Book::Delta, "/delta/football/"),
    ] {
        let (whole, _) = demo.harvest(book).await;
        for known in [whole.pages.clone(), Pages::new()] {
            let remembers = !known.is_empty();
            demo.fault(book, json!({ "kind": "truncated_json" }), Some(1), Some(path))
                .await;
            let (result, faults) = demo.run(book, known).await;
            let part = result.unwrap();
            assert_eq!(part.outcome, Outcome::Partial, "{book}");
            assert_eq!(faults.len(), 1, "{book}: {faults:?}");
            let lost: BTreeSet<_> = whole
                .events
                .iter()
                .filter(|reading| !part.has(&reading.event.event_id))
                .map(|reading| reading.event.event_id.clone())
                .collect();
            assert!(lost.iter().all(|event| !part.is_miss(event)), "{book}");
            assert_eq!(part.unconfirmed_all, !remembers, "{book}");
            if remembers {
                assert_eq!(part.unconfirmed, lost, "{book}");
                assert!(part.is_miss(&EventId::of("mc:match:of another day")), "{book}");
                assert_eq!(part.pages, whole.pages, "{book}");
            }
        }
    }
}

#[tokio::test]
async fn a_lost_page_of_a_moving_list_makes_all_unread_events_unconfirmed() {
    let demo = Demo::start(7, 40).await;
    let (whole, _) = demo.harvest(Book::Bravo).await;
    demo.fault(Book::Bravo, json!({ "kind": "block_page" }), Some(1), None)
        .await;
    // The first page is lost, so nothing is known of the others.
    let (result, _) = demo.run(Book::Bravo, whole.pages.clone()).await;
    assert!(
        matches!(
            result,
            Err(WalkError::Unreadable {
                outcome: Outcome::Blocked,
                ..
            })
        ),
        "{result:?}"
    );
    let (walk, _, _) = demo.walk(Book::Bravo, whole.pages);
    let targets = walk.discover().await.unwrap();
    assert_eq!(targets.len(), 1);
}

#[tokio::test]
async fn a_lost_page_of_the_listing_leaves_absence_unproved() {
    let demo = Demo::start(7, 24).await;
    demo.fault(
        Book::Alpha,
        json!({ "kind": "layout_drift" }),
        Some(1),
        Some("/alpha/api/leagues/"),
    )
    .await;
    let (harvest, faults) = demo.harvest(Book::Alpha).await;
    assert!(!harvest.listing_complete && harvest.unconfirmed_all);
    assert_eq!(
        faults.first().map(|fault| fault.error_type),
        Some(ErrorType::SchemaDrift)
    );
    assert!(!harvest.is_miss(&EventId::of("mc:match:1")));
    assert_eq!(harvest.outcome, Outcome::Partial);
}

#[tokio::test]
async fn events_that_ended_between_the_list_and_their_page_are_gone() {
    let demo = Demo::start(7, 12).await;
    let (before, _) = demo.harvest(Book::Alpha).await;
    let (walk, recorder, _) = demo.walk(Book::Alpha, before.pages.clone());
    let targets = walk.discover().await.unwrap();
    // Every event of the world ends within a day.
    demo.order("clock", json!({ "advance_ms": 25 * 3_600_000 })).await;
    let after = walk.map(walk.scrape(targets).await.unwrap());
    assert_eq!(after.outcome, Outcome::Empty);
    assert!(
        before
            .events
            .iter()
            .all(|reading| after.is_miss(&reading.event.event_id))
    );
    assert_eq!(after.gone.len(), before.events.len());
    assert!(recorder.state.lock().unwrap().faults.is_empty());
}

#[tokio::test]
async fn a_site_without_events_is_empty_and_nothing_else() {
    let at = "2026-11-22T12:00:00Z";
    for book in Book::ALL {
        let shows_nothing = |seed: &u64| {
            let spec = WorldSpec {
                seed: *seed,
                events: 1,
                ..WorldSpec::default()
            };
            World::new(spec).truth(at.parse().unwrap(), Some(book)).books[&book]
                .events
                .is_empty()
        };
        let seed = (0..1_000).find(shows_nothing).unwrap();
        let demo = Demo::start(seed, 1).await;
        demo.clock_at(at).await;
        let (harvest, faults) = demo.harvest(book).await;
        assert_eq!((harvest.outcome, faults), (Outcome::Empty, Vec::new()), "{book}");
        assert!(harvest.listing_complete);
    }
}

#[tokio::test]
async fn a_walk_ends_at_once_when_it_is_cancelled() {
    let demo = Demo::start(7, 12).await;
    for book in Book::ALL {
        demo.fault(book, json!({ "kind": "latency", "ms": 600_000 }), None, None)
            .await;
        let (walk, _, cancel) = demo.walk(book, Pages::new());
        let cancel_in_flight = async {
            while demo.faults_hit().await == 0 {}
            cancel.cancel();
        };
        let run = async { walk.scrape(walk.discover().await?).await };
        let (result, ()) = tokio::join!(run, cancel_in_flight);
        assert_eq!(result.unwrap_err(), WalkError::Cancelled, "{book}");
        demo.fault(book, Value::Null, None, None).await;
    }
}

#[test]
fn the_definitions_of_the_repository_load_together() {
    let sources = load_dir(Path::new(SOURCES), &|_| None).unwrap();
    let keys: Vec<_> = sources.iter().map(|source| source.key.as_str()).collect();
    assert_eq!(keys, ["alpha", "bravo", "charlie", "delta"]);
    for source in &sources {
        assert_eq!(
            source.base_url.as_str(),
            format!("http://{0}.localhost:4600/{0}", source.key)
        );
    }
}

/// The engine runs walks in tasks of a set.
#[test]
fn walks_can_run_in_tasks() {
    fn send<T: Send>(_: impl FnOnce(&'static Walk) -> T) {}
    send(Walk::discover);
    send(|walk| async { walk.scrape(walk.discover().await?).await });
}
