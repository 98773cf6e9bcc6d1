//! The board: the newest image of each market of each event at each source.

use crate::image::{Confirmation, OddsImage, QuoteImage};
use oddswire_protocol::{EventId, SourceKey, Timestamp};
use std::collections::{BTreeMap, HashMap};

type Key = (EventId, String, String, SourceKey);

/// What is held.
#[derive(Debug, Default)]
pub(super) struct Board {
    images: BTreeMap<Key, OddsImage>,
    pub(super) confirmed: HashMap<SourceKey, Confirmation>,
    pub(super) stale_after_ms: HashMap<SourceKey, u64>,
}

fn key(image: &OddsImage) -> Key {
    (
        image.event.event_id.clone(),
        image.market.key.clone(),
        image.market.period.clone(),
        image.source.clone(),
    )
}

impl Board {
    pub(super) fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// An image replaces the one of the same market of the same event at the same source.
    pub(super) fn put(&mut self, image: OddsImage) {
        self.images.insert(key(&image), image);
    }

    /// What is held in the place of this one.
    pub(super) fn get(&self, image: &OddsImage) -> Option<&OddsImage> {
        self.images.get(&key(image))
    }

    /// Ordered by event, market, period and source.
    pub(super) fn images(&self) -> impl Iterator<Item = &OddsImage> {
        self.images.values()
    }

    /// Milliseconds since a quote was last known to stand: it was seen itself, or its source was checked.
    pub(super) fn age_ms(&self, image: &OddsImage, quote: &QuoteImage, now: Timestamp) -> u64 {
        let checked = self.confirmed.get(&image.source).filter(|confirmed| {
            !confirmed.all_unconfirmed && !confirmed.unconfirmed_event_ids.contains(&image.event.event_id)
        });
        let seen = checked.map_or(quote.confirmed_at, |checked| {
            checked.confirmed_at.max(quote.confirmed_at)
        });
        now.ms_since(seen)
    }

    /// Whether a quote of this age is not to be trusted any more.
    pub(super) fn is_stale(&self, source: &SourceKey, age_ms: u64) -> bool {
        self.stale_after_ms
            .get(source)
            .is_some_and(|after| age_ms > *after)
    }
}
