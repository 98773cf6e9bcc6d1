//! Raw rows in, readings out.

use super::*;
use crate::source::tests as definitions;

fn source(more: &str) -> Source {
    definitions::source("http://example.org", more)
}

fn outcome(id: &str, price: &str) -> RawOutcome {
    RawOutcome {
        id: id.to_owned(),
        label: format!("label {id}"),
        price: Some(price.to_owned()),
        price_optional: false,
        open: true,
    }
}

fn market(id: &str, line: Option<&str>, outcomes: Vec<RawOutcome>) -> RawMarket {
    RawMarket {
        id: id.to_owned(),
        line: line.map_or(RawLine::None, |line| RawLine::Some(line.to_owned())),
        open: true,
        updated_at: None,
        outcomes,
    }
}

fn event(markets: Vec<RawMarket>) -> RawEvent {
    RawEvent {
        external_id: Some("mc:match:7".to_owned()),
        home_team: "Brask United".to_owned(),
        away_team: "Velk åsen".to_owned(),
        league: "Premier League".to_owned(),
        country: Some("Veloria".to_owned()),
        commence_time: "2026-11-22T23:45:00.000Z".parse().unwrap(),
        updated_at: None,
        markets,
    }
}

fn mapped(markets: Vec<RawMarket>) -> (EventReading, Unmapped) {
    let (source, raw) = (source(""), event(markets));
    let mut unmapped = Unmapped::default();
    let reading = read(&source, &raw, event_id(&source, &raw), &mut unmapped).unwrap();
    (reading, unmapped)
}

#[test]
fn quotes_are_ordered_by_line_and_outcomes_by_name() {
    let over_under = || vec![outcome("u", "1.9"), outcome("o", "1.85")];
    let (reading, unmapped) = mapped(vec![
        market("2", Some("2.5"), over_under()),
        market("2", Some("-0.75"), over_under()),
        market("2", Some("+0"), over_under()),
        market(
            "1",
            None,
            vec![outcome("x", "3"), outcome("1", "2"), outcome("2", "4")],
        ),
    ]);
    assert_eq!(unmapped, Unmapped::default());
    let tokens: Vec<_> = reading
        .markets
        .iter()
        .map(|m| format!("{}-{}", m.key, m.period))
        .collect();
    assert_eq!(tokens, ["h2h-ft", "totals-h1"]);
    assert_eq!(reading.markets[0].quotes[0].line, None);
    let lines: Vec<_> = reading.markets[1]
        .quotes
        .iter()
        .map(|quote| quote.line.unwrap().to_string())
        .collect();
    assert_eq!(lines, ["-0.75", "0", "2.5"]);
    let names: Vec<_> = reading.markets[0].quotes[0]
        .outcomes
        .iter()
        .map(|o| o.name.as_str())
        .collect();
    assert_eq!(names, ["away", "draw", "home"]);
    assert_eq!(reading.markets[0].quotes[0].outcomes[0].label, "label 2");
}

#[test]
fn what_is_no_price_is_suspended_and_what_cannot_be_read_is_counted_too() {
    let (reading, unmapped) = mapped(vec![market(
        "1",
        None,
        vec![outcome("1", "0"), outcome("x", "1,85"), outcome("2", "1.85")],
    )]);
    let quote = &reading.markets[0].quotes[0];
    let seen: Vec<_> = quote
        .outcomes
        .iter()
        .map(|o| (o.price.is_some(), o.status))
        .collect();
    let expected = [
        (true, QuoteStatus::Open),
        (false, QuoteStatus::Suspended),
        (false, QuoteStatus::Suspended),
    ];
    assert_eq!((seen, quote.status), (expected.to_vec(), QuoteStatus::Open));
    assert_eq!(unmapped.counts, BTreeMap::from([(Reason::BadPrice, 1)]));
    assert_eq!(
        unmapped.items[&(Reason::BadPrice, "1".to_owned())].example,
        "1,85"
    );
}

#[test]
fn a_suspended_market_keeps_its_prices() {
    let mut raw = market("1", None, vec![outcome("1", "2"), outcome("2", "3")]);
    raw.open = false;
    let (reading, _) = mapped(vec![raw]);
    let quote = &reading.markets[0].quotes[0];
    assert_eq!(quote.status, QuoteStatus::Suspended);
    assert!(
        quote
            .outcomes
            .iter()
            .all(|o| o.status == QuoteStatus::Suspended && o.price.is_some())
    );
}

#[test]
fn what_cannot_be_mapped_is_counted_by_reason_and_listed() {
    let known = || vec![outcome("o", "2")];
    let strange = RawMarket {
        line: RawLine::Strange("corners=2".to_owned()),
        ..market("2", None, known())
    };
    let (reading, unmapped) = mapped(vec![
        market("99", Some("7"), known()),
        market("2", None, known()),
        market("2", Some("two"), known()),
        strange,
        market("1", Some("1"), vec![outcome("1", "2")]),
        market("1", None, Vec::new()),
        market("1", None, vec![outcome("zz", "2")]),
        market("2", Some("1"), vec![outcome("o", "2"), outcome("o", "3")]),
        market("2", Some("1.0"), known()),
    ]);
    let expected = [
        (Reason::UnknownMarket, 1),
        (Reason::BadSpecifier, 4),
        (Reason::NoOutcomes, 2),
        (Reason::UnknownOutcome, 1),
        (Reason::Duplicate, 2),
    ];
    assert_eq!(unmapped.counts, BTreeMap::from(expected));
    assert_eq!(
        unmapped.items[&(Reason::UnknownMarket, "99".to_owned())].example,
        "7"
    );
    assert_eq!(reading.markets.len(), 1);
    let quote = &reading.markets[0].quotes[0];
    assert_eq!(quote.outcomes[0].price.unwrap().to_string(), "2");
}

#[test]
fn an_event_of_which_no_price_can_be_read_is_no_reading() {
    let source = source("");
    let mut gone = outcome("1", "2");
    gone.price = None;
    let raw = event(vec![market("1", None, vec![gone, outcome("2", "?")])]);
    let result = read(&source, &raw, event_id(&source, &raw), &mut Unmapped::default());
    assert_eq!(result, Err("has no price that can be read"));
}

#[test]
fn a_shared_id_makes_the_event_id_and_else_what_is_known_of_the_event() {
    let source = source("");
    assert_eq!(event_id(&source, &event(Vec::new())), EventId::of("mc:match:7"));
    let nameless = RawEvent {
        external_id: None,
        ..event(Vec::new())
    };
    let expected = EventId::of("soccer|veloria|premierleague|2026-11-22|braskunited|velkåsen");
    assert_eq!(event_id(&source, &nameless), expected);
    let shouted = RawEvent {
        home_team: " BRASK  UNITED. ".to_owned(),
        ..nameless.clone()
    };
    assert_eq!(event_id(&source, &shouted), expected);
    let elsewhere = RawEvent {
        country: Some("Brinmark".to_owned()),
        ..nameless
    };
    assert_ne!(event_id(&source, &elsewhere), expected);
}
