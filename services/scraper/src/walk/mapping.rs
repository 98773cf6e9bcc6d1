//! Raw rows as readings in our names.

use crate::{
    extract::{Quoted, RawEvent, RawLine, RawMarket, RawOutcome, quoted},
    reading::{EventReading, MarketReading, OutcomeReading, QuoteReading, Reason, Unmapped},
    source::Source,
};
use oddswire_protocol::{
    EventId, Line, MarketKey, Period,
    odds::{Event, QuoteStatus},
};
use std::collections::BTreeMap;

type Quotes = BTreeMap<(MarketKey, Period), BTreeMap<Option<Line>, QuoteReading>>;

/// The id of an event: from the id that all sources share, or else from what is known of it.
pub(super) fn event_id(source: &Source, raw: &RawEvent) -> EventId {
    if let Some(id) = &raw.external_id {
        return EventId::of(id);
    }
    let day = raw.commence_time.to_utc().format("%Y-%m-%d");
    let country = raw.country.as_deref().map(normal).unwrap_or_default();
    let (league, home, away) = (
        normal(&raw.league),
        normal(&raw.home_team),
        normal(&raw.away_team),
    );
    EventId::of(&format!(
        "{}|{country}|{league}|{day}|{home}|{away}",
        source.sport_key
    ))
}

/// A name as all sites write it: small letters and digits, nothing else.
fn normal(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// Maps an event, or says what it lacks.
pub(super) fn read(
    source: &Source,
    raw: &RawEvent,
    event_id: EventId,
    unmapped: &mut Unmapped,
) -> Result<EventReading, &'static str> {
    let mut quotes = Quotes::new();
    let mut prices = Prices::default();
    for market in &raw.markets {
        quote(source, market, raw, &mut quotes, &mut prices, unmapped);
    }
    let count: usize = quotes.values().map(BTreeMap::len).sum();
    if count < source.expect.min_markets_per_event as usize {
        return Err("has fewer mapped quotes than expected");
    }
    if prices.unreadable > 0 && prices.unreadable == prices.all {
        return Err("has no price that can be read");
    }
    let markets = quotes.into_iter().map(|((key, period), quotes)| MarketReading {
        key,
        period,
        quotes: quotes.into_values().collect(),
    });
    Ok(EventReading {
        markets: markets.collect(),
        event: Event {
            event_id,
            sport_key: source.sport_key.clone(),
            league: raw.league.clone(),
            country: raw.country.clone(),
            commence_time: raw.commence_time,
            home_team: raw.home_team.clone(),
            away_team: raw.away_team.clone(),
        },
    })
}

/// Prices of an event that were looked at.
#[derive(Debug, Default)]
struct Prices {
    all: usize,
    unreadable: usize,
}

fn quote(
    source: &Source,
    raw: &RawMarket,
    event: &RawEvent,
    quotes: &mut Quotes,
    prices: &mut Prices,
    unmapped: &mut Unmapped,
) {
    let written = match &raw.line {
        RawLine::None => "",
        RawLine::Strange(text) | RawLine::Some(text) => text,
    };
    let Some(entry) = source.markets.get(&raw.id) else {
        unmapped.add(Reason::UnknownMarket, &raw.id, written);
        return;
    };
    let line = match (&raw.line, entry.line) {
        (RawLine::None, false) => Ok(None),
        (RawLine::Some(text), true) => text.trim().parse::<Line>().map(Some).map_err(|_| ()),
        _ => Err(()),
    };
    let Ok(line) = line else {
        unmapped.add(Reason::BadSpecifier, &raw.id, written);
        return;
    };
    let mut outcomes = BTreeMap::new();
    for outcome in &raw.outcomes {
        let Some(name) = entry.outcomes.get(&outcome.id) else {
            unmapped.add(Reason::UnknownOutcome, &raw.id, &outcome.id);
            continue;
        };
        if outcomes.contains_key(name) {
            unmapped.add(Reason::Duplicate, &raw.id, &outcome.id);
            continue;
        }
        let reading = self::outcome(name, outcome, raw, prices, unmapped);
        outcomes.insert(name, reading);
    }
    if outcomes.is_empty() {
        unmapped.add(Reason::NoOutcomes, &raw.id, written);
        return;
    }
    let outcomes: Vec<OutcomeReading> = outcomes.into_values().collect();
    let open = outcomes.iter().any(|outcome| outcome.status == QuoteStatus::Open);
    let lines = quotes
        .entry((entry.key.clone(), entry.period.clone()))
        .or_default();
    if lines.contains_key(&line) {
        unmapped.add(Reason::Duplicate, &raw.id, written);
        return;
    }
    let reading = QuoteReading {
        line,
        status: status(open),
        outcomes,
        source_updated_at: raw.updated_at.or(event.updated_at),
    };
    lines.insert(line, reading);
}

fn outcome(
    name: &str,
    raw: &RawOutcome,
    market: &RawMarket,
    prices: &mut Prices,
    unmapped: &mut Unmapped,
) -> OutcomeReading {
    prices.all += 1;
    let read = match &raw.price {
        Some(text) => quoted(text),
        None if raw.price_optional => Quoted::Nothing,
        None => Quoted::Unreadable,
    };
    let price = match read {
        Quoted::Price(price) => Some(price),
        Quoted::Nothing => None,
        Quoted::Unreadable => {
            prices.unreadable += 1;
            let written = raw.price.as_deref().unwrap_or("no price");
            unmapped.add(Reason::BadPrice, &market.id, written);
            None
        }
    };
    OutcomeReading {
        name: name.to_owned(),
        label: raw.label.clone(),
        price,
        status: status(market.open && raw.open && price.is_some()),
    }
}

fn status(open: bool) -> QuoteStatus {
    if open {
        QuoteStatus::Open
    } else {
        QuoteStatus::Suspended
    }
}

#[cfg(test)]
mod tests;
