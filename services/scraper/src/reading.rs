//! What was read off a site, in our names: the input of change detection.
//!
//! A reading says what the site shows now. It knows nothing of what was shown before: no previous price, no time of
//! change, nothing withdrawn.

use oddswire_protocol::{
    EventId, Line, MarketKey, Period, Price, Timestamp,
    odds::{Event, QuoteStatus},
    progress,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One event and all its markets that are mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventReading {
    /// The event.
    pub event: Event,
    /// Its markets, ordered by key and period, each pair once. None of them is without quotes.
    pub markets: Vec<MarketReading>,
}

/// One market of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketReading {
    /// What is bet on.
    pub key: MarketKey,
    /// Over which part of the event.
    pub period: Period,
    /// The quotes, ordered by line, none first, each line once.
    pub quotes: Vec<QuoteReading>,
}

/// The prices of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteReading {
    /// The line; `None` in a market without lines, which is not line 0.
    pub line: Option<Line>,
    /// Open while at least one outcome is; suspended otherwise. Never withdrawn.
    pub status: QuoteStatus,
    /// The outcomes, ordered by name, each name once, at least one.
    pub outcomes: Vec<OutcomeReading>,
    /// When the source says that it changed, where it says so.
    pub source_updated_at: Option<Timestamp>,
}

/// One outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeReading {
    /// In our words.
    pub name: String,
    /// As the source writes it.
    pub label: String,
    /// The price that the site shows. `None` where it shows none (0, 1, blank, a dash, `SP`) or none that can be
    /// read; the outcome is suspended then.
    pub price: Option<Price>,
    /// Open or suspended.
    pub status: QuoteStatus,
}

/// Page by page, which events stood there. Hand the one of a source's last run to its next one, and the next one
/// knows which events a page that fails would have shown.
pub type Pages = BTreeMap<String, Vec<EventId>>;

/// Everything that one run read off a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harvest {
    /// How well it went, as far as reading goes.
    pub outcome: progress::Outcome,
    /// The events, ordered by id, each once.
    pub events: Vec<Arc<EventReading>>,
    /// Events that were not read, though the site may still have them: their pages failed.
    pub unconfirmed: BTreeSet<EventId>,
    /// Whether pages failed of which nobody knows the events. **Every** event that is not in `events` is unconfirmed
    /// then.
    pub unconfirmed_all: bool,
    /// Events whose pages the site says are gone.
    pub gone: BTreeSet<EventId>,
    /// Whether the whole listing was read. Without that the absence of an event says nothing.
    pub listing_complete: bool,
    /// What could not be mapped.
    pub unmapped: Unmapped,
    /// The pages that, asked for again, would make it whole; `None` when nothing failed, or something else too.
    pub to_retry: Option<BTreeSet<String>>,
    /// For the next run of this source.
    pub pages: Pages,
}

impl Harvest {
    /// Whether the absence of an event counts as a miss: it is not among the events read, and nothing that failed
    /// can be the reason.
    pub fn is_miss(&self, event: &EventId) -> bool {
        if self.has(event) {
            return false;
        }
        let excused = !self.listing_complete || self.unconfirmed_all || self.unconfirmed.contains(event);
        self.gone.contains(event) || !excused
    }

    /// Whether the event was read.
    pub fn has(&self, event: &EventId) -> bool {
        self.events
            .binary_search_by(|reading| reading.event.event_id.cmp(event))
            .is_ok()
    }

    /// Quotes read, over all events.
    pub fn quote_count(&self) -> usize {
        let markets = self.events.iter().flat_map(|event| &event.markets);
        markets.map(|market| market.quotes.len()).sum()
    }
}

/// Why something on a page has no place in a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The definition does not know the market. Usual: no definition knows all.
    UnknownMarket,
    /// A line where none may be, none where one must be, or one that is no number. The quote is left out.
    BadSpecifier,
    /// No outcome of the market is known. The quote is left out.
    NoOutcomes,
    /// A price that is neither a price nor a way to show none. The outcome is suspended, without a price.
    BadPrice,
    /// The definition knows the market, but not this outcome. The outcome is left out.
    UnknownOutcome,
    /// The event has this quote or this outcome already. The first one stands.
    Duplicate,
}

impl Reason {
    /// The word for logs, metrics and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownMarket => "unknown_market",
            Self::BadSpecifier => "bad_specifier",
            Self::NoOutcomes => "no_outcomes",
            Self::BadPrice => "bad_price",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Duplicate => "duplicate",
        }
    }
}

/// What could not be mapped: all of it counted, the first kinds of it listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unmapped {
    /// How often, by reason.
    pub counts: BTreeMap<Reason, u64>,
    /// By reason and the source's id of the market; at most [`Unmapped::ITEMS_MAX`].
    pub items: BTreeMap<(Reason, String), UnmappedItem>,
}

/// What could not be mapped in one market for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmappedItem {
    /// How often.
    pub count: u64,
    /// The first of them: the line, the outcome or the price as the site writes it. At most 80 characters.
    pub example: String,
}

impl Unmapped {
    /// The most kinds that are listed, so that a hostile page cannot fill the memory with them.
    pub const ITEMS_MAX: usize = 200;

    pub(crate) fn add(&mut self, reason: Reason, market: &str, example: &str) {
        *self.counts.entry(reason).or_default() += 1;
        let short = |text: &str| text.chars().take(80).collect::<String>();
        let key = (reason, short(market));
        if let Some(item) = self.items.get_mut(&key) {
            item.count += 1;
        } else if self.items.len() < Self::ITEMS_MAX {
            let example = short(example);
            self.items.insert(key, UnmappedItem { count: 1, example });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harvest() -> Harvest {
        Harvest {
            outcome: progress::Outcome::Partial,
            events: Vec::new(),
            unconfirmed: BTreeSet::new(),
            unconfirmed_all: false,
            gone: BTreeSet::new(),
            listing_complete: true,
            unmapped: Unmapped::default(),
            to_retry: None,
            pages: Pages::new(),
        }
    }

    #[test]
    fn absence_is_a_miss_only_when_nothing_that_failed_can_be_the_reason() {
        let event = EventId::of("mc:match:1");
        assert!(harvest().is_miss(&event));
        let incomplete = Harvest {
            listing_complete: false,
            ..harvest()
        };
        assert!(!incomplete.is_miss(&event));
        let failed_page = Harvest {
            unconfirmed: BTreeSet::from([event.clone()]),
            ..harvest()
        };
        assert!(!failed_page.is_miss(&event));
        assert!(failed_page.is_miss(&EventId::of("mc:match:2")));
        let unknown_page = Harvest {
            unconfirmed_all: true,
            ..harvest()
        };
        assert!(!unknown_page.is_miss(&event));
        let gone = Harvest {
            gone: BTreeSet::from([event.clone()]),
            ..unknown_page
        };
        assert!(gone.is_miss(&event));
    }

    #[test]
    fn a_hostile_page_cannot_fill_the_list_of_the_unmapped() {
        let mut unmapped = Unmapped::default();
        for market in 0..1_000 {
            unmapped.add(Reason::UnknownMarket, &market.to_string(), &"x".repeat(1_000));
        }
        assert_eq!(unmapped.items.len(), Unmapped::ITEMS_MAX);
        assert_eq!(unmapped.counts[&Reason::UnknownMarket], 1_000);
        assert!(unmapped.items.values().all(|item| item.example.len() == 80));
    }
}
