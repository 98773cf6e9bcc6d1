//! A board put together from messages alone, and the truth to compare it with.

use oddswire_demo_site::truth::{MarketStatus, Truth};
use oddswire_protocol::{
    EventId, Line, Price, Timestamp,
    envelope::{MessageType, Received},
    odds::{OddsUpdate, QuoteStatus},
};
use std::collections::{BTreeMap, BTreeSet};

/// One outcome of one line of one market of one event at one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) source: String,
    pub(crate) event_id: EventId,
    pub(crate) market: String,
    pub(crate) line: Option<Line>,
    pub(crate) outcome: String,
}

/// What a cell shows. A price counts only where it can be bet on: while suspended a source may hide it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    Open(Price),
    Suspended,
}

/// What one market's event is called and when it begins.
type Head = (String, String, String, Option<String>, Timestamp);

/// The board.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Board {
    pub(crate) cells: BTreeMap<Cell, Shown>,
    /// Events by source, as the source names them.
    pub(crate) events: BTreeMap<(String, EventId), Head>,
}

impl Board {
    /// Takes a message in, if it is one of odds: its image replaces the market's last one whole.
    pub(crate) fn apply(&mut self, message: &Received) {
        if message.message_type == MessageType::OddsUpdate {
            self.replace(&message.data::<OddsUpdate>().unwrap());
        }
    }

    pub(crate) fn replace(&mut self, update: &OddsUpdate) {
        let source = update.source.to_string();
        let event = &update.event;
        let market = format!("{}-{}", update.market.key, update.market.period);
        self.cells.retain(|cell, _| {
            !(cell.source == source && cell.event_id == event.event_id && cell.market == market)
        });
        for quote in &update.market.quotes {
            for outcome in quote
                .outcomes
                .iter()
                .filter(|_| quote.status != QuoteStatus::Withdrawn)
            {
                let shown = match (outcome.status, outcome.price) {
                    (QuoteStatus::Open, Some(price)) => Shown::Open(price),
                    (QuoteStatus::Withdrawn, _) => continue,
                    _ => Shown::Suspended,
                };
                let cell = Cell {
                    source: source.clone(),
                    event_id: event.event_id.clone(),
                    market: market.clone(),
                    line: quote.line,
                    outcome: outcome.name.clone(),
                };
                self.cells.insert(cell, shown);
            }
        }
        let head = (
            event.home_team.clone(),
            event.away_team.clone(),
            event.league.clone(),
            event.country.clone(),
            event.commence_time,
        );
        let on_board: BTreeSet<_> = self
            .cells
            .keys()
            .map(|c| (c.source.clone(), c.event_id.clone()))
            .collect();
        self.events.insert((source, event.event_id.clone()), head);
        self.events.retain(|key, _| on_board.contains(key));
    }

    /// The board that the demo bookmakers really show.
    pub(crate) fn of_truth(truth: &Truth) -> Self {
        let mut board = Self::default();
        for (book, shown) in &truth.books {
            for event in &shown.events {
                let event_id = EventId::of(&format!("mc:match:{}", event.match_id));
                let head = (
                    event.home_team.clone(),
                    event.away_team.clone(),
                    event.league.clone(),
                    Some(event.country.clone()),
                    event.commence_time.into(),
                );
                board
                    .events
                    .insert((book.key().to_owned(), event_id.clone()), head);
                for market in &event.markets {
                    for outcome in &market.outcomes {
                        let cell = Cell {
                            source: book.key().to_owned(),
                            event_id: event_id.clone(),
                            market: format!("{}-{}", market.key, market.period),
                            line: decimal(&market.line),
                            outcome: outcome.name.clone(),
                        };
                        let shown = match (market.status, decimal(&outcome.price)) {
                            (MarketStatus::Open, Some(price)) => Shown::Open(price),
                            _ => Shown::Suspended,
                        };
                        board.cells.insert(cell, shown);
                    }
                }
            }
        }
        board
    }

    /// What differs, for a person.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let cells: BTreeSet<_> = self.cells.keys().chain(other.cells.keys()).collect();
        let cells = cells
            .into_iter()
            .filter(|cell| self.cells.get(cell) != other.cells.get(cell));
        let mut found: Vec<String> = cells
            .map(|cell| {
                format!(
                    "{cell:?}: {:?} and {:?}",
                    self.cells.get(cell),
                    other.cells.get(cell)
                )
            })
            .collect();
        let events: BTreeSet<_> = self.events.keys().chain(other.events.keys()).collect();
        let events = events
            .into_iter()
            .filter(|key| self.events.get(key) != other.events.get(key));
        found.extend(events.map(|key| {
            format!(
                "{key:?}: {:?} and {:?}",
                self.events.get(key),
                other.events.get(key)
            )
        }));
        found
    }
}

/// A number of the truth's own types, by its JSON.
fn decimal<T: serde::de::DeserializeOwned>(value: &impl serde::Serialize) -> Option<T> {
    serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap()
}
