//! Laws of the fictional world, without any socket.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helper functions too"
)]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use oddswire_demo_site::truth::{EventTruth, MarketStatus, MarketTruth, Truth};
use oddswire_demo_site::{Book, World, WorldSpec};
use proptest::prelude::*;

fn noon() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// Identifies a market at one line: shared match id, market key, period, line in quarters.
type MarketId = (String, String, String, Option<String>);

fn markets(truth: &Truth, book: Book) -> BTreeMap<MarketId, (&EventTruth, &MarketTruth)> {
    let events = truth.books[&book].events.iter();
    let rows = events.flat_map(|event| event.markets.iter().map(move |market| (event, market)));
    rows.map(|(event, market)| {
        let line = market.line.map(|line| line.to_string());
        (
            (
                event.match_id.clone(),
                market.key.clone(),
                market.period.clone(),
                line,
            ),
            (event, market),
        )
    })
    .collect()
}

/// Checks what holds for every book at every moment.
fn check(truth: &Truth) {
    assert_eq!(truth.books.len(), 4);
    for (book, shown) in &truth.books {
        let ids: BTreeSet<_> = shown.events.iter().map(|event| &event.match_id).collect();
        assert_eq!(ids.len(), shown.events.len(), "{book} shows an event twice");
        for event in &shown.events {
            assert_ne!(event.home_team, event.away_team);
            assert!(!event.markets.is_empty());
            assert_eq!(event.commence_time.timestamp() % 300, 0);
            for market in &event.markets {
                check_market(*book, market);
            }
        }
        let distinct = markets(truth, *book).len();
        assert_eq!(
            distinct,
            shown
                .events
                .iter()
                .map(|event| event.markets.len())
                .sum::<usize>()
        );
    }
}

fn check_market(book: Book, market: &MarketTruth) {
    if let Some(line) = market.line {
        assert_eq!(
            (line * 4.0).fract().to_bits() << 1,
            0,
            "{line} is no quarter line"
        );
    }
    let has_line = market.key == "totals" || market.key == "spreads";
    assert_eq!(market.line.is_some(), has_line, "{market:?}");
    for outcome in &market.outcomes {
        match outcome.price {
            Some(price) => {
                assert!((1.001..=1_000.0).contains(&price), "{book} {market:?}");
                assert!(
                    (price * 1_000.0 - (price * 1_000.0).round()).abs() < 1e-6,
                    "{price}"
                );
            }
            None => assert!(book == Book::Charlie && market.status == MarketStatus::Suspended),
        }
    }
    let prices: Option<Vec<_>> = market.outcomes.iter().map(|outcome| outcome.price).collect();
    if let Some(prices) = prices {
        let whole = if market.key == "double_chance" { 2.0 } else { 1.0 };
        let margin = prices.iter().map(|price| 1.0 / price).sum::<f64>() / whole - 1.0;
        // The margins are 4.1 to 8.9 percent; rounding to ticks moves the sum a little.
        assert!(
            (0.03..0.10).contains(&margin),
            "{book} has a margin of {margin}: {market:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_moment_is_valid_and_repeatable(
        seed: u64,
        events in 1_u32..60,
        pace_percent in 1_u32..1_000,
        second in 0_i64..40_000_000,
    ) {
        let spec = WorldSpec { seed, events, pace_percent };
        let at = noon() + TimeDelta::seconds(second);
        let truth = World::new(spec).truth(at, None);
        check(&truth);
        prop_assert_eq!(&World::new(spec).truth(at, None), &truth);
        let text = serde_json::to_string(&truth).unwrap();
        prop_assert_eq!(serde_json::from_str::<Truth>(&text).unwrap(), truth);
    }
}

#[test]
fn another_seed_is_another_world() {
    let world = |seed| {
        World::new(WorldSpec {
            seed,
            ..WorldSpec::default()
        })
        .truth(noon(), None)
    };
    assert_ne!(world(7).books, world(8).books);
}

#[test]
fn the_default_world_has_about_24_events_around_now() {
    let truth = World::new(WorldSpec::default()).truth(noon(), None);
    let events = &truth.books[&Book::Alpha].events;
    assert!((20..=24).contains(&events.len()), "{}", events.len());
    assert!(
        events.iter().any(|event| event.commence_time < noon()),
        "nothing is in play"
    );
    assert!(
        events
            .iter()
            .any(|event| event.commence_time > noon() + TimeDelta::hours(12))
    );
    let leagues: BTreeSet<_> = events
        .iter()
        .map(|event| (&event.league, &event.country))
        .collect();
    assert_eq!(
        leagues
            .iter()
            .filter(|(name, _)| *name == "Premier League")
            .count(),
        2
    );
    let shown: BTreeSet<_> = truth.books.values().map(|book| book.events.len()).collect();
    assert!(shown.len() > 1, "the books differ in what they show");
}

#[test]
fn a_real_line_zero_and_quarter_lines_exist() {
    let truth = World::new(WorldSpec::default()).truth(noon(), Some(Book::Alpha));
    let lines = |key: &str, period: &str| -> BTreeSet<String> {
        let all = markets(&truth, Book::Alpha);
        let wanted = all.keys().filter(|(_, k, p, _)| k == key && p == period);
        wanted.filter_map(|(_, _, _, line)| line.clone()).collect()
    };
    assert!(lines("spreads", "ft").contains("0"));
    for line in ["1.5", "2.25", "2.5", "3.5"] {
        assert!(lines("totals", "ft").contains(line), "{line}");
    }
    assert!(lines("totals", "h1").contains("1"));
}

/// What happened at any book between two moments.
#[derive(Debug, Default)]
struct Seen {
    price_changes: usize,
    suspensions: usize,
    resumptions: usize,
    vanished: usize,
    returned: usize,
    appeared: usize,
    kick_off_moves: usize,
    new_events: usize,
    finished_events: usize,
    hidden_prices: usize,
}

fn watch(world: World, from: DateTime<Utc>, steps: i32, step: TimeDelta) -> Seen {
    let mut seen = Seen::default();
    let mut before = world.truth(from, None);
    let mut ever: BTreeSet<(Book, MarketId)> = BTreeSet::new();
    for index in 1..=steps {
        let after = world.truth(from + step * index, None);
        check(&after);
        for book in Book::ALL {
            let (old, new) = (markets(&before, book), markets(&after, book));
            let events = |truth: &Truth| -> BTreeSet<String> {
                truth.books[&book]
                    .events
                    .iter()
                    .map(|event| event.match_id.clone())
                    .collect()
            };
            let (old_events, new_events) = (events(&before), events(&after));
            seen.new_events += new_events.difference(&old_events).count();
            seen.finished_events += old_events.difference(&new_events).count();
            ever.extend(old.keys().map(|id| (book, id.clone())));
            for (id, (event, market)) in &new {
                let Some((old_event, old_market)) = old.get(id) else {
                    if ever.contains(&(book, id.clone())) {
                        seen.returned += 1;
                    } else if old_events.contains(&id.0) {
                        seen.appeared += 1;
                    }
                    continue;
                };
                seen.kick_off_moves += usize::from(event.commence_time != old_event.commence_time);
                seen.price_changes += usize::from(market.outcomes != old_market.outcomes);
                match (old_market.status, market.status) {
                    (MarketStatus::Open, MarketStatus::Suspended) => seen.suspensions += 1,
                    (MarketStatus::Suspended, MarketStatus::Open) => seen.resumptions += 1,
                    _ => {}
                }
                seen.hidden_prices += market
                    .outcomes
                    .iter()
                    .filter(|outcome| outcome.price.is_none())
                    .count();
            }
            let gone = old
                .keys()
                .filter(|id| !new.contains_key(*id) && new_events.contains(&id.0));
            seen.vanished += gone.count();
        }
        before = after;
    }
    seen
}

#[test]
fn within_an_hour_everything_happens() {
    let seen = watch(
        World::new(WorldSpec::default()),
        noon(),
        240,
        TimeDelta::seconds(15),
    );
    for count in [
        seen.price_changes,
        seen.suspensions,
        seen.resumptions,
        seen.vanished,
        seen.returned,
        seen.appeared,
        seen.kick_off_moves,
        seen.new_events,
        seen.finished_events,
        seen.hidden_prices,
    ] {
        assert!(count > 0, "{seen:?}");
    }
}

#[test]
fn some_price_changes_every_few_seconds() {
    let world = World::new(WorldSpec::default());
    let mut before = world.truth(noon(), None).books;
    for step in 1..=12 {
        let after = world.truth(noon() + TimeDelta::seconds(step * 10), None).books;
        assert_ne!(before, after, "nothing changed in ten seconds");
        before = after;
    }
}

#[test]
fn a_greater_pace_changes_more() {
    let changes = |pace_percent| {
        let world = World::new(WorldSpec {
            pace_percent,
            ..WorldSpec::default()
        });
        watch(world, noon(), 30, TimeDelta::seconds(2)).price_changes
    };
    let (slow, normal, fast) = (changes(10), changes(100), changes(1_000));
    assert!(slow < normal && normal < fast, "{slow} {normal} {fast}");
}

#[test]
fn events_keep_their_identity_for_their_whole_life() {
    let world = World::new(WorldSpec::default());
    let mut known: BTreeMap<String, (String, String, String, String)> = BTreeMap::new();
    let mut finished = BTreeSet::new();
    let mut live = BTreeSet::new();
    for half_hour in 0..96 {
        let truth = world.truth(noon() + TimeDelta::minutes(30) * half_hour, Some(Book::Alpha));
        let events = &truth.books[&Book::Alpha].events;
        let now: BTreeSet<_> = events.iter().map(|event| event.match_id.clone()).collect();
        finished.extend(live.difference(&now).cloned());
        assert!(now.is_disjoint(&finished), "a finished event came back");
        live = now;
        for event in events {
            let names = (
                event.home_team.clone(),
                event.away_team.clone(),
                event.league.clone(),
                event.country.clone(),
            );
            assert_eq!(
                known
                    .entry(event.match_id.clone())
                    .or_insert_with(|| names.clone()),
                &names
            );
        }
    }
    assert!(known.len() > 50, "{}", known.len());
}

/// Gives the first millisecond after `from` at which a book shows an event that it does not show at `from`.
fn first_shown(
    world: World,
    book: Book,
    match_id: &str,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> DateTime<Utc> {
    let shows = |at| {
        world.truth(at, Some(book)).books[&book]
            .events
            .iter()
            .any(|event| event.match_id == match_id)
    };
    let (mut without, mut with) = (from, until);
    assert!(!shows(without) && shows(with));
    while with - without > TimeDelta::milliseconds(1) {
        let middle = without + TimeDelta::milliseconds((with - without).num_milliseconds() / 2);
        if shows(middle) {
            with = middle;
        } else {
            without = middle;
        }
    }
    with
}

#[test]
fn a_book_shows_the_world_of_some_seconds_ago() {
    let world = World::new(WorldSpec::default());
    let until = noon() + TimeDelta::hours(6);
    let ids = |at, book: Book| -> BTreeSet<String> {
        world.truth(at, Some(book)).books[&book]
            .events
            .iter()
            .map(|event| event.match_id.clone())
            .collect()
    };
    let new: BTreeSet<_> = ids(until, Book::Alpha)
        .difference(&ids(noon(), Book::Alpha))
        .cloned()
        .collect();
    let everywhere = new
        .intersection(&ids(until, Book::Delta))
        .next()
        .cloned()
        .unwrap();
    let at_alpha = first_shown(world, Book::Alpha, &everywhere, noon(), until);
    let at_delta = first_shown(world, Book::Delta, &everywhere, noon(), until);
    assert_eq!(
        (at_delta - at_alpha).num_milliseconds(),
        Book::Delta.lag_ms() - Book::Alpha.lag_ms()
    );
}

#[test]
fn moments_out_of_range_are_answered() {
    let world = World::new(WorldSpec::default());
    for at in [
        DateTime::<Utc>::MIN_UTC,
        DateTime::<Utc>::MAX_UTC,
        DateTime::UNIX_EPOCH,
    ] {
        assert!(!World::knows(at));
        check(&world.truth(at, None));
    }
}

#[test]
fn a_large_world_has_an_id_of_its_own_for_each_event() {
    let world = World::new(WorldSpec {
        events: 2_500,
        ..WorldSpec::default()
    });
    let at = "2026-11-22T12:00:00Z".parse().unwrap();
    let truth = world.truth(at, Some(Book::Alpha));
    let events = &truth.books[&Book::Alpha].events;
    let ids: BTreeSet<_> = events.iter().map(|event| &event.match_id).collect();
    assert!(events.len() > 2_200, "{}", events.len());
    assert_eq!(ids.len(), events.len());
}
