//! The board as the bus holds it: the last image of each odds key, read when asked for.

use crate::{
    listing::{Listing, PAGE_BYTES, Part, Writer},
    logs::Logs,
    quarantine::Quarantine,
};
use oddswire_kit::log::{Read, ReadError, Stored};
use oddswire_protocol::{Cursor, EventId, EventKey, Feed, MarketToken, SourceKey, SportKey, Timestamp};
use std::{
    collections::{BTreeSet, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

/// What of the board is asked for; `None` is everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of one sport.
    pub sport: Option<SportKey>,
    /// Of one event.
    pub event_id: Option<EventId>,
    /// At one source.
    pub source: Option<SourceKey>,
    /// Of one market, `<key>-<period>`.
    pub market: Option<MarketToken>,
}

impl Filter {
    /// The subjects that it admits, after the feed's prefix.
    pub(crate) fn quotes(&self) -> String {
        fn token(value: Option<&impl ToString>) -> String {
            value.map_or_else(|| "*".into(), ToString::to_string)
        }
        format!(
            "odds.quote.{}.{}.{}.{}",
            token(self.sport.as_ref()),
            token(self.event_id.as_ref()),
            token(self.source.as_ref()),
            token(self.market.as_ref())
        )
    }

    fn confirmed(&self) -> String {
        format!(
            "odds.confirmed.{}",
            self.source.as_ref().map_or("*", SourceKey::as_str)
        )
    }
}

/// A part of the board, read as it is sent: what is after a sequence, so many markets at most. Then the last confirmation
/// of each source. A market that changes between two pages comes again on a later one; none is left out. One that changes
/// while its page is read is on it once, as it was before or after.
#[derive(Debug)]
pub struct Board {
    quarantine: Arc<Quarantine>,
    quotes: Read,
    confirmed: Read,
    limit: usize,
    seen: Seen,
    sources: BTreeSet<SourceKey>,
    next_page: Option<u64>,
    stage: Stage,
    out: Writer,
}

/// What of the answer comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Markets,
    Confirmed,
    Over,
}

/// The markets that were sent. Their subjects would need ten times the memory; two different ones look alike once in
/// 10^31 boards.
#[derive(Debug, Default)]
struct Seen {
    states: [RandomState; 2],
    subjects: HashSet<[u64; 2]>,
}

impl Seen {
    fn of(&self, subject: &str) -> [u64; 2] {
        [0, 1].map(|at: usize| self.states[at].hash_one(subject))
    }
}

impl Board {
    /// Begins to read what is after the sequence `after`, `limit` markets at most.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn begin(logs: &Logs, filter: &Filter, after: u64, limit: usize) -> Result<Self, ReadError> {
        let bus = logs.bus();
        let stream = bus.names().odds.as_str();
        // A position at or before everything in the board: a stream from here continues it.
        let cursor = Cursor::at(Timestamp::now()).with(Feed::Odds, Some(logs.odds_end().await?));
        // To the tail, wherever that is when the read gets there.
        let read = |subjects: &str, after: u64| {
            let subjects = bus.subjects().feed_filter(subjects);
            bus.read(stream, subjects, after.saturating_add(1), u64::MAX)
                .in_pages_of(PAGE_BYTES)
        };
        Ok(Self {
            quarantine: Arc::clone(logs.quarantine()),
            quotes: read(&filter.quotes(), after),
            confirmed: read(&filter.confirmed(), 0),
            limit,
            seen: Seen::default(),
            sources: BTreeSet::new(),
            next_page: None,
            stage: Stage::Markets,
            out: Writer::begin(&format!("{{\"cursor\":\"{cursor}\",\"markets\":[")),
        })
    }

    /// Takes in a page of markets.
    fn take_markets(&mut self, messages: Option<Vec<Stored>>) {
        let is_last = messages.is_none();
        for message in messages.into_iter().flatten() {
            if self.quarantine.admit(Feed::Odds, &message).is_none() {
                continue;
            }
            let subject = self.seen.of(&message.subject);
            if self.seen.subjects.contains(&subject) {
                continue;
            }
            if self.seen.subjects.len() == self.limit {
                self.next_page = Some(message.seq - 1);
                return self.end_markets();
            }
            self.seen.subjects.insert(subject);
            self.out.item(&message.payload);
        }
        if is_last {
            self.end_markets();
        }
    }

    fn end_markets(&mut self) {
        self.out.list("],\"confirmed\":{");
        self.stage = Stage::Confirmed;
    }

    fn take_confirmed(&mut self, messages: Option<Vec<Stored>>) {
        let Some(messages) = messages else {
            self.out.end("}", self.next_page);
            self.stage = Stage::Over;
            return;
        };
        for message in messages {
            let frame = self.quarantine.admit(Feed::Odds, &message);
            if let Some(EventKey::Confirmed { source }) = frame.map(|frame| frame.key)
                && self.sources.insert(source.clone())
            {
                self.out.member(source.as_str(), &message.payload);
            }
        }
    }
}

impl Listing for Board {
    async fn next(&mut self) -> Result<Part, ReadError> {
        while self.stage != Stage::Over && !self.out.is_full() {
            match self.stage {
                Stage::Markets => {
                    let messages = self.quotes.next_page().await?;
                    self.take_markets(messages);
                }
                Stage::Confirmed => {
                    let messages = self.confirmed.next_page().await?;
                    self.take_confirmed(messages);
                }
                Stage::Over => {}
            }
        }
        Ok(self.out.part(self.stage == Stage::Over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_one_subject() {
        let filter = Filter {
            source: Some("alpha".parse().unwrap()),
            ..Filter::default()
        };
        assert_eq!(filter.quotes(), "odds.quote.*.*.alpha.*");
        assert_eq!(filter.confirmed(), "odds.confirmed.alpha");
    }
}
