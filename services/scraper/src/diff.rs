//! Change detection: what was acknowledged before, and what the site shows now, make the image to publish, or none.
//!
//! Everything here is pure. An image is compared as a client sees it: event, lines, statuses, labels and prices. The
//! times alone never make a change, so that a page that only moves its own clock publishes nothing.

mod misses;
mod plan;

pub(crate) use misses::Misses;
pub(crate) use plan::{Plan, QuoteKey, Target, plan};

use crate::reading::{EventReading, MarketReading, OutcomeReading, QuoteReading};
use oddswire_protocol::{
    Line, RunId, SourceKey, Timestamp,
    odds::{Event, Market, OddsUpdate, Outcome, Quote, QuoteStatus},
};
use std::collections::{BTreeMap, BTreeSet};

/// Withdrawn lines are left out of new images, and withdrawn images vanish from the bus, after this long.
pub(crate) const WITHDRAWN_FOR_MS: u64 = 7 * 24 * 3600 * 1000;

/// Who looked, and when.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    /// At which source.
    pub(crate) source: SourceKey,
    /// In which run.
    pub(crate) run_id: RunId,
    /// Not later than any page was read: what is claimed to be fresh must be.
    pub(crate) at: Timestamp,
}

/// What was seen of one market.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen<'a> {
    /// It was read.
    Market {
        /// The event.
        event: &'a EventReading,
        /// The market.
        market: &'a MarketReading,
        /// Lines that count as withdrawn if the market does not have them.
        withdraw: &'a BTreeSet<Option<Line>>,
    },
    /// It counts as withdrawn as a whole.
    Withdrawn {
        /// Which it was.
        key: &'a QuoteKey,
        /// The event, where it still is there without this market: its kick-off may have moved.
        event: Option<&'a EventReading>,
    },
}

/// The image to publish, or `None` when a client would see no difference.
///
/// - A price that changed leaves the one before in `previous_price`.
/// - A suspended outcome without a price keeps its last one.
/// - What is no longer shown stays in the image as withdrawn, with its last price, once it counts as withdrawn.
/// - What is no longer shown and was not known either, since its image cannot be read, becomes an image without quotes.
/// - `changed_at` moves when a price or a status of the quote changes, `confirmed_at` when the quote is seen.
pub(crate) fn diff(before: Option<&OddsUpdate>, seen: Seen<'_>, sight: &Sight) -> Option<OddsUpdate> {
    let after = match (seen, before) {
        (
            Seen::Market {
                event,
                market,
                withdraw,
            },
            _,
        ) => read(before, event, market, withdraw, sight),
        (Seen::Withdrawn { event, .. }, Some(before)) => withdrawn(before, event, sight),
        (Seen::Withdrawn { key, event }, None) => empty(key, event, sight)?,
    };
    before
        .is_none_or(|before| !looks_alike(before, &after))
        .then_some(after)
}

/// Whether nothing in the image is offered any more.
pub(crate) fn is_withdrawn(image: &OddsUpdate) -> bool {
    let quotes = &image.market.quotes;
    quotes.iter().all(|quote| quote.status == QuoteStatus::Withdrawn)
}

fn read(
    before: Option<&OddsUpdate>,
    event: &EventReading,
    market: &MarketReading,
    withdraw: &BTreeSet<Option<Line>>,
    sight: &Sight,
) -> OddsUpdate {
    let old: BTreeMap<Option<Line>, &Quote> = before
        .iter()
        .flat_map(|image| &image.market.quotes)
        .map(|quote| (quote.line, quote))
        .collect();
    let mut quotes: BTreeMap<Option<Line>, Quote> = market
        .quotes
        .iter()
        .map(|quote| {
            (
                quote.line,
                seen_quote(old.get(&quote.line).copied(), quote, sight.at),
            )
        })
        .collect();
    for (line, quote) in old {
        if quotes.contains_key(&line) {
            continue;
        }
        if withdraw.contains(&line) {
            quotes.insert(line, withdrawn_quote(quote, sight.at));
        } else if quote.status != QuoteStatus::Withdrawn
            || sight.at.ms_since(quote.changed_at) < WITHDRAWN_FOR_MS
        {
            quotes.insert(line, quote.clone());
        }
    }
    OddsUpdate {
        event_ids: [event.event.event_id.clone()],
        source: sight.source.clone(),
        snapshot_count: quotes.len(),
        run_id: sight.run_id.clone(),
        event: event.event.clone(),
        market: Market {
            key: market.key.clone(),
            period: market.period.clone(),
            quotes: quotes.into_values().collect(),
        },
    }
}

fn withdrawn(before: &OddsUpdate, event: Option<&EventReading>, sight: &Sight) -> OddsUpdate {
    let quotes = &before.market.quotes;
    OddsUpdate {
        run_id: sight.run_id.clone(),
        market: Market {
            quotes: quotes
                .iter()
                .map(|quote| withdrawn_quote(quote, sight.at))
                .collect(),
            ..before.market.clone()
        },
        event: event.map_or_else(|| before.event.clone(), |reading| reading.event.clone()),
        ..before.clone()
    }
}

/// That nothing is offered, where nobody knows what was. `None` where no image can be of this key.
fn empty(key: &QuoteKey, event: Option<&EventReading>, sight: &Sight) -> Option<OddsUpdate> {
    let (market, period) = key.market.parts()?;
    Some(OddsUpdate {
        event_ids: [key.event_id.clone()],
        source: sight.source.clone(),
        snapshot_count: 0,
        run_id: sight.run_id.clone(),
        event: event.map_or_else(|| nameless(key, sight.at), |reading| reading.event.clone()),
        market: Market {
            key: market,
            period,
            quotes: Vec::new(),
        },
    })
}

/// An event of which the subject alone is known.
fn nameless(key: &QuoteKey, at: Timestamp) -> Event {
    Event {
        event_id: key.event_id.clone(),
        sport_key: key.sport.clone(),
        league: String::new(),
        country: None,
        commence_time: at,
        home_team: String::new(),
        away_team: String::new(),
    }
}

fn seen_quote(before: Option<&Quote>, now: &QuoteReading, at: Timestamp) -> Quote {
    let old: BTreeMap<&str, &Outcome> = before
        .iter()
        .flat_map(|quote| &quote.outcomes)
        .map(|outcome| (outcome.name.as_str(), outcome))
        .collect();
    let mut outcomes: BTreeMap<&str, Outcome> = now
        .outcomes
        .iter()
        .map(|outcome| {
            let name = outcome.name.as_str();
            (name, seen_outcome(old.get(name).copied(), outcome))
        })
        .collect();
    for (name, outcome) in old {
        outcomes.entry(name).or_insert_with(|| withdrawn_outcome(outcome));
    }
    let mut quote = Quote {
        line: now.line,
        status: now.status,
        outcomes: outcomes.into_values().collect(),
        changed_at: at,
        confirmed_at: at,
        source_updated_at: now.source_updated_at,
    };
    if let Some(before) = before.filter(|before| same_offer(before, &quote)) {
        quote.changed_at = before.changed_at;
    }
    quote
}

fn seen_outcome(before: Option<&Outcome>, now: &OutcomeReading) -> Outcome {
    let last_price = before.and_then(|outcome| outcome.price);
    let price = now.price.or(last_price);
    let previous_price = if price == last_price {
        before.and_then(|outcome| outcome.previous_price)
    } else {
        last_price
    };
    Outcome {
        name: now.name.clone(),
        label: now.label.clone(),
        price,
        previous_price,
        status: now.status,
    }
}

fn withdrawn_quote(quote: &Quote, at: Timestamp) -> Quote {
    if quote.status == QuoteStatus::Withdrawn {
        return quote.clone();
    }
    Quote {
        status: QuoteStatus::Withdrawn,
        outcomes: quote.outcomes.iter().map(withdrawn_outcome).collect(),
        changed_at: at,
        ..quote.clone()
    }
}

fn withdrawn_outcome(outcome: &Outcome) -> Outcome {
    Outcome {
        status: QuoteStatus::Withdrawn,
        ..outcome.clone()
    }
}

/// Whether two images of a market differ in nothing that a client shows. Withdrawn lines that were left out for
/// their age make no difference.
fn looks_alike(before: &OddsUpdate, after: &OddsUpdate) -> bool {
    let after_quotes: BTreeMap<Option<Line>, &Quote> = after
        .market
        .quotes
        .iter()
        .map(|quote| (quote.line, quote))
        .collect();
    let before_lines: BTreeSet<Option<Line>> = before.market.quotes.iter().map(|quote| quote.line).collect();
    before.event == after.event
        && after_quotes.keys().all(|line| before_lines.contains(line))
        && before.market.quotes.iter().all(|quote| {
            after_quotes
                .get(&quote.line)
                .map_or(quote.status == QuoteStatus::Withdrawn, |after| {
                    same_offer(quote, after) && same_labels(quote, after)
                })
        })
}

fn same_offer(a: &Quote, b: &Quote) -> bool {
    let offer = |quote: &Quote| -> Vec<_> {
        let outcomes = quote.outcomes.iter();
        outcomes
            .map(|outcome| (outcome.name.clone(), outcome.price, outcome.status))
            .collect()
    };
    a.status == b.status && offer(a) == offer(b)
}

fn same_labels(a: &Quote, b: &Quote) -> bool {
    let (a, b) = (a.outcomes.iter(), b.outcomes.iter());
    a.map(|outcome| &outcome.label)
        .eq(b.map(|outcome| &outcome.label))
}

#[cfg(test)]
mod tests;
