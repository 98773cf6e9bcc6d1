use super::*;
use oddswire_protocol::{EventId, Price, odds::Event};
use proptest::prelude::*;
use std::sync::LazyLock;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_770_000_000_000 + seconds * 1_000).unwrap()
}

fn sight(seconds: i64) -> Sight {
    Sight {
        source: "alpha".parse().unwrap(),
        run_id: format!("run-{seconds}").parse().unwrap(),
        at: at(seconds),
    }
}

fn line(thousandths: i64) -> Option<Line> {
    Line::from_thousandths(thousandths).ok()
}

fn outcome(name: &str, price: Option<i64>) -> OutcomeReading {
    OutcomeReading {
        name: name.into(),
        label: name.to_uppercase(),
        price: price.map(|price| Price::from_thousandths(price).unwrap()),
        status: if price.is_some() {
            QuoteStatus::Open
        } else {
            QuoteStatus::Suspended
        },
    }
}

fn quote(line: Option<Line>, outcomes: Vec<OutcomeReading>) -> QuoteReading {
    let open = outcomes.iter().any(|outcome| outcome.status == QuoteStatus::Open);
    QuoteReading {
        line,
        status: if open {
            QuoteStatus::Open
        } else {
            QuoteStatus::Suspended
        },
        outcomes,
        source_updated_at: None,
    }
}

fn event(quotes: Vec<QuoteReading>) -> EventReading {
    EventReading {
        event: Event {
            event_id: EventId::of("mc:match:1"),
            sport_key: "soccer".parse().unwrap(),
            league: "First".into(),
            country: None,
            commence_time: at(86_400),
            home_team: "Home".into(),
            away_team: "Away".into(),
        },
        markets: vec![MarketReading {
            key: "totals".parse().unwrap(),
            period: "ft".parse().unwrap(),
            quotes,
        }],
    }
}

static KEY: LazyLock<QuoteKey> = LazyLock::new(|| QuoteKey {
    event_id: event(vec![]).event.event_id,
    market: "totals-ft".parse().unwrap(),
    sport: "soccer".parse().unwrap(),
});

fn withdrawn_whole(event: Option<&EventReading>) -> Seen<'_> {
    Seen::Withdrawn { key: &KEY, event }
}

fn look(
    before: Option<&OddsUpdate>,
    event: &EventReading,
    withdraw: &[Option<Line>],
    seconds: i64,
) -> Option<OddsUpdate> {
    let withdraw = withdraw.iter().copied().collect();
    let market = &event.markets[0];
    let seen = Seen::Market {
        event,
        market,
        withdraw: &withdraw,
    };
    diff(before, seen, &sight(seconds))
}

/// The price of an outcome of the first quote and the one before; 0 is none.
fn price_of(image: &OddsUpdate, name: &str) -> (u32, u32) {
    let outcomes = &image.market.quotes[0].outcomes;
    let outcome = outcomes.iter().find(|outcome| outcome.name == name).unwrap();
    let thousandths = |price: Option<Price>| price.map_or(0, Price::thousandths);
    (thousandths(outcome.price), thousandths(outcome.previous_price))
}

#[test]
fn a_price_that_moves_leaves_the_one_before_until_it_moves_again() {
    let reading = |over| {
        event(vec![quote(
            None,
            vec![outcome("over", Some(over)), outcome("under", Some(2_000))],
        )])
    };
    let first = look(None, &reading(1_850), &[], 0).unwrap();
    assert_eq!(price_of(&first, "over"), (1_850, 0));
    let second = look(Some(&first), &reading(1_900), &[], 30).unwrap();
    assert_eq!(price_of(&second, "over"), (1_900, 1_850));
    assert_eq!(price_of(&second, "under"), (2_000, 0));
    assert_eq!(second.market.quotes[0].changed_at, at(30));
    assert_eq!(look(Some(&second), &reading(1_900), &[], 60), None);
    let third = look(Some(&second), &reading(1_800), &[], 90).unwrap();
    assert_eq!(price_of(&third, "over"), (1_800, 1_900));
}

#[test]
fn a_suspended_outcome_keeps_its_last_price_and_may_come_back() {
    let open = event(vec![quote(None, vec![outcome("over", Some(1_850))])]);
    let suspended = event(vec![quote(None, vec![outcome("over", None)])]);
    let first = look(None, &open, &[], 0).unwrap();
    let second = look(Some(&first), &suspended, &[], 30).unwrap();
    assert_eq!(second.market.quotes[0].status, QuoteStatus::Suspended);
    assert_eq!(price_of(&second, "over"), (1_850, 0));
    let third = look(Some(&second), &open, &[], 60).unwrap();
    assert_eq!(third.market.quotes[0].status, QuoteStatus::Open);
    assert_eq!(price_of(&third, "over"), (1_850, 0));
}

#[test]
fn a_line_that_vanished_stays_until_it_counts_as_withdrawn_and_may_come_back() {
    let lines = |lines: &[i64]| {
        event(
            lines
                .iter()
                .map(|at| quote(line(*at), vec![outcome("over", Some(1_850))]))
                .collect(),
        )
    };
    let statuses =
        |image: &OddsUpdate| -> Vec<_> { image.market.quotes.iter().map(|quote| quote.status).collect() };
    let (both, one) = (lines(&[2_500, 3_500]), lines(&[2_500]));
    let first = look(None, &both, &[], 0).unwrap();
    assert_eq!(look(Some(&first), &one, &[], 30), None);
    let second = look(Some(&first), &one, &[line(3_500)], 60).unwrap();
    assert_eq!(statuses(&second), [QuoteStatus::Open, QuoteStatus::Withdrawn]);
    assert_eq!(second.snapshot_count, 2);
    let quotes = &second.market.quotes;
    assert_eq!((quotes[0].changed_at, quotes[1].changed_at), (at(0), at(60)));
    assert_eq!((quotes[0].confirmed_at, quotes[1].confirmed_at), (at(60), at(0)));
    assert!(!is_withdrawn(&second));
    let third = look(Some(&second), &both, &[], 90).unwrap();
    assert_eq!(statuses(&third), [QuoteStatus::Open, QuoteStatus::Open]);
}

#[test]
fn a_market_that_counts_as_withdrawn_is_published_so_once() {
    let first = look(
        None,
        &event(vec![quote(line(0), vec![outcome("home", Some(1_850))])]),
        &[],
        0,
    )
    .unwrap();
    let gone = diff(Some(&first), withdrawn_whole(None), &sight(30)).unwrap();
    assert!(is_withdrawn(&gone));
    assert_eq!(price_of(&gone, "home"), (1_850, 0));
    assert_eq!(diff(Some(&gone), withdrawn_whole(None), &sight(60)), None);
}

#[test]
fn a_market_that_is_gone_and_of_which_nothing_could_be_read_becomes_an_image_without_quotes() {
    let reading = event(vec![]);
    let known = diff(None, withdrawn_whole(Some(&reading)), &sight(30)).unwrap();
    assert_eq!((&known.event, known.snapshot_count), (&reading.event, 0));
    let unknown = diff(None, withdrawn_whole(None), &sight(30)).unwrap();
    for image in [known, unknown] {
        assert!(is_withdrawn(&image) && image.market.quotes.is_empty());
        assert_eq!(image.market_token().as_ref(), Some(&KEY.market));
        assert_eq!(
            (&image.event.event_id, &image.event.sport_key),
            (&KEY.event_id, &KEY.sport)
        );
        assert_eq!(diff(Some(&image), withdrawn_whole(None), &sight(60)), None);
    }
}

#[test]
fn no_line_is_another_quote_than_line_zero() {
    let none = event(vec![quote(None, vec![outcome("home", Some(1_850))])]);
    let zero = event(vec![quote(line(0), vec![outcome("home", Some(1_850))])]);
    let first = look(None, &none, &[], 0).unwrap();
    let second = look(Some(&first), &zero, &[None], 30).unwrap();
    let seen: Vec<_> = second
        .market
        .quotes
        .iter()
        .map(|quote| (quote.line, quote.status))
        .collect();
    assert_eq!(
        seen,
        [(None, QuoteStatus::Withdrawn), (line(0), QuoteStatus::Open)]
    );
}

#[test]
fn an_event_that_moved_is_a_change_and_leaves_the_times_of_its_quotes() {
    let mut reading = event(vec![quote(None, vec![outcome("home", Some(1_850))])]);
    let first = look(None, &reading, &[], 0).unwrap();
    reading.event.commence_time = at(90_000);
    reading.markets[0].quotes[0].source_updated_at = Some(at(29));
    let second = look(Some(&first), &reading, &[], 30).unwrap();
    assert_eq!(second.event.commence_time, at(90_000));
    assert_eq!(second.market.quotes[0].changed_at, at(0));
    assert_eq!(second.market.quotes[0].confirmed_at, at(30));
}

#[test]
fn a_source_that_only_moves_its_own_clock_changes_nothing() {
    let mut reading = event(vec![quote(None, vec![outcome("home", Some(1_850))])]);
    let first = look(None, &reading, &[], 0).unwrap();
    reading.markets[0].quotes[0].source_updated_at = Some(at(29));
    assert_eq!(look(Some(&first), &reading, &[], 30), None);
}

#[test]
fn a_market_withdrawn_from_an_event_that_moved_tells_where_the_event_is_now() {
    let reading = event(vec![quote(None, vec![outcome("over", Some(1_500))])]);
    let seen = Seen::Market {
        event: &reading,
        market: &reading.markets[0],
        withdraw: &BTreeSet::new(),
    };
    let first = diff(None, seen, &sight(0)).unwrap();
    let mut moved = reading.clone();
    moved.event.commence_time = at(90_000);
    let gone = diff(Some(&first), withdrawn_whole(Some(&moved)), &sight(30)).unwrap();
    assert!(is_withdrawn(&gone));
    assert_eq!(gone.event.commence_time, at(90_000));
}

#[test]
fn withdrawn_lines_are_left_out_after_a_week_but_that_alone_publishes_nothing() {
    let lines = |lines: &[i64], price| {
        event(
            lines
                .iter()
                .map(|at| quote(line(*at), vec![outcome("over", Some(price))]))
                .collect(),
        )
    };
    let first = look(None, &lines(&[2_500, 3_500], 1_850), &[], 0).unwrap();
    let second = look(Some(&first), &lines(&[2_500], 1_850), &[line(3_500)], 60).unwrap();
    let week = 7 * 86_400 + 61;
    assert_eq!(look(Some(&second), &lines(&[2_500], 1_850), &[], week), None);
    let third = look(Some(&second), &lines(&[2_500], 1_900), &[], week).unwrap();
    assert_eq!((third.market.quotes.len(), third.snapshot_count), (1, 1));
}

fn outcomes() -> impl Strategy<Value = Vec<OutcomeReading>> {
    let price = proptest::option::of(1_001..1_010i64);
    proptest::collection::btree_map(0..3usize, price, 1..3).prop_map(|prices| {
        let names = ["away", "draw", "home"];
        prices
            .into_iter()
            .map(|(name, price)| outcome(names[name], price))
            .collect()
    })
}

fn reading() -> impl Strategy<Value = EventReading> {
    let lines = proptest::option::of(-1..2i64);
    proptest::collection::btree_map(lines, outcomes(), 0..4).prop_map(|quotes| {
        let quotes = quotes.into_iter();
        event(
            quotes
                .map(|(at, outcomes)| quote(at.and_then(|at| line(at * 500)), outcomes))
                .collect(),
        )
    })
}

/// What a client has that applied the images of these readings, each missing line withdrawn at once.
fn applied(readings: &[EventReading]) -> Option<OddsUpdate> {
    let all: Vec<_> = std::iter::once(None)
        .chain((-1..2).map(|at| line(at * 500)))
        .collect();
    let mut image = None;
    for (index, reading) in readings.iter().enumerate() {
        let next = look(image.as_ref(), reading, &all, i64::try_from(index).unwrap());
        image = next.or(image);
    }
    image
}

/// A line with its status and its outcomes with theirs.
type Offer = (Option<Line>, QuoteStatus, Vec<(String, QuoteStatus)>);

/// What of an image is offered, in the form of a reading's.
fn offered(quotes: &[Quote]) -> Vec<Offer> {
    let live = quotes
        .iter()
        .filter(|quote| quote.status != QuoteStatus::Withdrawn);
    live.map(|quote| {
        let outcomes = quote
            .outcomes
            .iter()
            .filter(|outcome| outcome.status != QuoteStatus::Withdrawn);
        let outcomes = outcomes
            .map(|outcome| (outcome.name.clone(), outcome.status))
            .collect();
        (quote.line, quote.status, outcomes)
    })
    .collect()
}

proptest! {
    #[test]
    fn what_did_not_change_is_not_published(readings in proptest::collection::vec(reading(), 1..6)) {
        let image = applied(&readings);
        prop_assert_eq!(look(image.as_ref(), readings.last().unwrap(), &[], 1_000), None);
    }

    #[test]
    fn who_applies_the_images_has_what_was_read(readings in proptest::collection::vec(reading(), 1..6)) {
        let image = applied(&readings).unwrap();
        let last = &readings.last().unwrap().markets[0].quotes;
        let read: Vec<_> = last
            .iter()
            .map(|quote| {
                let outcomes = quote.outcomes.iter().map(|outcome| (outcome.name.clone(), outcome.status));
                (quote.line, quote.status, outcomes.collect::<Vec<_>>())
            })
            .collect();
        prop_assert_eq!(offered(&image.market.quotes), read);
        for quote in last {
            let shown = image.market.quotes.iter().find(|shown| shown.line == quote.line).unwrap();
            for outcome in quote.outcomes.iter().filter(|outcome| outcome.price.is_some()) {
                let shown = shown.outcomes.iter().find(|shown| shown.name == outcome.name).unwrap();
                prop_assert_eq!(shown.price, outcome.price);
                prop_assert_eq!(&shown.label, &outcome.label);
            }
        }
        prop_assert_eq!(image.snapshot_count, image.market.quotes.len());
        prop_assert!(image.market.quotes.is_sorted_by_key(|quote| quote.line));
    }

    #[test]
    fn the_order_of_a_page_does_not_matter(
        before in reading(), now in reading(), quotes in any::<prop::sample::Index>(), outcomes in any::<prop::sample::Index>(),
    ) {
        let image = look(None, &before, &[], 0);
        let mut turned = now.clone();
        let list = &mut turned.markets[0].quotes;
        if !list.is_empty() {
            let by = quotes.index(list.len());
            list.rotate_left(by);
            for quote in list {
                let by = outcomes.index(quote.outcomes.len());
                quote.outcomes.rotate_left(by);
            }
        }
        prop_assert_eq!(look(image.as_ref(), &turned, &[], 9), look(image.as_ref(), &now, &[], 9));
    }

    #[test]
    fn a_changed_quote_says_when_and_the_others_keep_their_time(before in reading(), now in reading()) {
        let image = look(None, &before, &[], 0).unwrap();
        if let Some(next) = look(Some(&image), &now, &[], 9) {
            for quote in &next.market.quotes {
                let old = image.market.quotes.iter().find(|old| old.line == quote.line);
                let same = old.is_some_and(|old| same_offer(old, quote));
                prop_assert_eq!(quote.changed_at, if same { at(0) } else { at(9) });
            }
        }
    }
}
