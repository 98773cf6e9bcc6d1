//! What a run has to look at: each market that was read, and each known one that was not.

use super::{Misses, Seen, is_withdrawn, misses::Missing};
use crate::{
    bus::Board,
    reading::{EventReading, Harvest, MarketReading},
};
use oddswire_protocol::{
    EventId, EventKey, Line, MarketToken, RunId, SourceKey, SportKey, odds::QuoteStatus,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One market of one event at the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QuoteKey {
    /// The event.
    pub(crate) event_id: EventId,
    /// The market.
    pub(crate) market: MarketToken,
    /// The sport.
    pub(crate) sport: SportKey,
}

impl QuoteKey {
    /// What its events on the bus are about.
    pub(crate) fn event_key(&self, source: &SourceKey) -> EventKey {
        EventKey::Quote {
            sport: self.sport.clone(),
            event_id: self.event_id.clone(),
            source: source.clone(),
            market: self.market.clone(),
        }
    }
}

/// One key to look at.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Which.
    pub(crate) key: QuoteKey,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    /// The market at this place in the event's reading.
    Read {
        event: Arc<EventReading>,
        index: usize,
        withdraw: BTreeSet<Option<Line>>,
    },
    Withdrawn {
        event: Option<Arc<EventReading>>,
    },
}

impl Target {
    /// A market that is withdrawn, whatever the site shows.
    pub(crate) fn withdrawn(key: QuoteKey) -> Self {
        let what = What::Withdrawn { event: None };
        Self { key, what }
    }

    /// What was seen of it.
    pub(crate) fn seen(&self) -> Seen<'_> {
        match &self.what {
            What::Read {
                event,
                index,
                withdraw,
            } => Seen::Market {
                event,
                market: &event.markets[*index],
                withdraw,
            },
            What::Withdrawn { event } => Seen::Withdrawn {
                key: &self.key,
                event: event.as_deref(),
            },
        }
    }
}

/// What a run has to look at and to remember.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The keys to compare and, where they changed, to publish. Each once.
    pub(crate) targets: Vec<Target>,
    /// For the next run.
    pub(crate) misses: Misses,
    /// Events that the run does not confirm: they or a part of them were not there, and are not withdrawn yet, or
    /// could not be read.
    pub(crate) unconfirmed: BTreeSet<EventId>,
    /// Markets whose key and period make no token: they cannot be published.
    pub(crate) nameless: usize,
}

/// Plans a run from what the bus has, what was read, and what was missing before. Something is withdrawn when it was
/// missing `withdraw_after` times in a row, each time on a page that was read to its end.
pub(crate) fn plan(
    known: &Board,
    harvest: &Harvest,
    before: &Misses,
    run_id: &RunId,
    withdraw_after: u32,
) -> Plan {
    let mut planner = Planner {
        known,
        before,
        withdraw_after,
        plan: Plan {
            targets: Vec::new(),
            misses: Misses::of_run(run_id),
            unconfirmed: harvest.unconfirmed.clone(),
            nameless: 0,
        },
    };
    let mut read: BTreeMap<EventId, (Arc<EventReading>, BTreeSet<QuoteKey>)> = BTreeMap::new();
    for event in &harvest.events {
        let keys = planner.read_event(event);
        read.insert(event.event.event_id.clone(), (Arc::clone(event), keys));
    }
    for (key, image) in known {
        match read.get(&key.event_id) {
            Some((_, keys)) if keys.contains(key) => {}
            _ if image.as_deref().is_some_and(is_withdrawn) => {}
            Some((event, _)) => {
                planner.missing(key, Missing::Market(&key.event_id, &key.market), Some(event));
            }
            None if harvest.is_miss(&key.event_id) => {
                planner.missing(key, Missing::Event(&key.event_id), None);
            }
            None => planner.unread(key),
        }
    }
    planner.plan
}

struct Planner<'a> {
    known: &'a Board,
    before: &'a Misses,
    withdraw_after: u32,
    plan: Plan,
}

impl Planner<'_> {
    /// Plans the markets of an event that was read; gives their keys.
    fn read_event(&mut self, event: &Arc<EventReading>) -> BTreeSet<QuoteKey> {
        let mut keys = BTreeSet::new();
        for (index, market) in event.markets.iter().enumerate() {
            let Some(token) = MarketToken::of(&market.key, &market.period) else {
                self.plan.nameless += 1;
                continue;
            };
            let key = QuoteKey {
                event_id: event.event.event_id.clone(),
                market: token,
                sport: event.event.sport_key.clone(),
            };
            let what = What::Read {
                event: Arc::clone(event),
                index,
                withdraw: self.missing_lines(&key, market),
            };
            keys.insert(key.clone());
            self.plan.targets.push(Target { key, what });
        }
        keys
    }

    /// Counts the lines that a market no longer has; gives those that count as withdrawn.
    fn missing_lines(&mut self, key: &QuoteKey, market: &MarketReading) -> BTreeSet<Option<Line>> {
        let there: BTreeSet<Option<Line>> = market.quotes.iter().map(|quote| quote.line).collect();
        let mut withdraw = BTreeSet::new();
        let image = self.known.get(key).and_then(Option::as_deref);
        for quote in image.iter().flat_map(|image| &image.market.quotes) {
            if quote.status == QuoteStatus::Withdrawn || there.contains(&quote.line) {
                continue;
            }
            let missing = Missing::Line(&key.event_id, &key.market, quote.line);
            if self.plan.misses.count(missing, self.before) >= self.withdraw_after {
                withdraw.insert(quote.line);
            } else {
                self.plan.unconfirmed.insert(key.event_id.clone());
            }
        }
        withdraw
    }

    /// A market that is not there, by itself or with its event.
    fn missing(&mut self, key: &QuoteKey, missing: Missing<'_>, event: Option<&Arc<EventReading>>) {
        if self.plan.misses.count(missing, self.before) >= self.withdraw_after {
            self.plan.targets.push(Target {
                key: key.clone(),
                what: What::Withdrawn {
                    event: event.cloned(),
                },
            });
        } else {
            self.plan.unconfirmed.insert(key.event_id.clone());
        }
    }

    /// A market of an event that may be there, though it was not read.
    fn unread(&mut self, key: &QuoteKey) {
        let (event, market) = (&key.event_id, &key.market);
        self.plan.unconfirmed.insert(event.clone());
        self.plan.misses.keep(Missing::Event(event), self.before);
        self.plan.misses.keep(Missing::Market(event, market), self.before);
        let image = self.known.get(key).and_then(Option::as_deref);
        for quote in image.iter().flat_map(|image| &image.market.quotes) {
            self.plan
                .misses
                .keep(Missing::Line(event, market, quote.line), self.before);
        }
    }
}

#[cfg(test)]
mod tests;
