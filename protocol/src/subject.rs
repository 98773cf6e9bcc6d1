//! Subjects of the bus: the one place that knows how they are spelt.

use crate::{EventId, MarketToken, RunId, SourceKey, SportKey, id::is_token};
use std::fmt;

/// A kind of events with a stream and a chain of its own. What knows the list of feeds looks here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feed {
    /// Progress of runs: a log, every message counts.
    Run,
    /// Odds: a state, the newest image of each key counts.
    Odds,
}

impl Feed {
    /// All feeds.
    pub const ALL: [Self; 2] = [Self::Run, Self::Odds];

    /// Its place in arrays of one entry a feed.
    pub fn index(self) -> usize {
        match self {
            Self::Run => 0,
            Self::Odds => 1,
        }
    }

    /// The token of the feed in subjects, and its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Odds => "odds",
        }
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an event of the bus is about, as its subject says it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EventKey {
    /// Progress of one run.
    Run {
        /// The source.
        source: SourceKey,
        /// The run.
        run_id: RunId,
    },
    /// The image of one market of one event at one source.
    Quote {
        /// The sport.
        sport: SportKey,
        /// The event.
        event_id: EventId,
        /// The source.
        source: SourceKey,
        /// The market, `<key>-<period>`.
        market: MarketToken,
    },
    /// A source was checked completely.
    Confirmed {
        /// The source.
        source: SourceKey,
    },
}

impl EventKey {
    /// The feed that carries it.
    pub fn feed(&self) -> Feed {
        match self {
            Self::Run { .. } => Feed::Run,
            Self::Quote { .. } | Self::Confirmed { .. } => Feed::Odds,
        }
    }

    /// Its source.
    pub fn source(&self) -> &SourceKey {
        match self {
            Self::Run { source, .. } | Self::Quote { source, .. } | Self::Confirmed { source } => source,
        }
    }

    /// Its token at the place where a topic of its feed has one; `None` where it has none: a confirmation has its source
    /// alone.
    pub fn token(&self, at: usize) -> Option<&str> {
        match (self, at) {
            (Self::Run { source, .. }, 0) | (Self::Quote { source, .. } | Self::Confirmed { source }, 2) => {
                Some(source.as_str())
            }
            (Self::Run { run_id, .. }, 1) => Some(run_id.as_str()),
            (Self::Quote { sport, .. }, 0) => Some(sport.as_str()),
            (Self::Quote { event_id, .. }, 1) => Some(event_id.as_str()),
            (Self::Quote { market, .. }, 3) => Some(market.as_str()),
            _ => None,
        }
    }

    fn parse(tokens: &str) -> Option<Self> {
        let mut parts = tokens.split('.');
        let mut next = || parts.next();
        let key = match (next()?, next()?) {
            ("run", source) => Self::Run {
                source: source.parse().ok()?,
                run_id: next()?.parse().ok()?,
            },
            ("odds", "quote") => Self::Quote {
                sport: next()?.parse().ok()?,
                event_id: next()?.parse().ok()?,
                source: next()?.parse().ok()?,
                market: next()?.parse().ok()?,
            },
            ("odds", "confirmed") => Self::Confirmed {
                source: next()?.parse().ok()?,
            },
            _ => return None,
        };
        next().is_none().then_some(key)
    }
}

impl fmt::Display for EventKey {
    /// The subject behind `<prefix>.feed.` and `<prefix>.live.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { source, run_id } => write!(f, "run.{source}.{run_id}"),
            Self::Quote {
                sport,
                event_id,
                source,
                market,
            } => {
                write!(f, "odds.quote.{sport}.{event_id}.{source}.{market}")
            }
            Self::Confirmed { source } => write!(f, "odds.confirmed.{source}"),
        }
    }
}

/// What stands before the source in the subject of its fence.
const FENCE: &str = "odds.fence.";

/// What stands before the number in the subject of a term.
const TERM: &str = "odds.term.";

/// All subjects under one prefix, `oddswire` unless configured otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    prefix: String,
}

impl Default for Subjects {
    fn default() -> Self {
        Self {
            prefix: Self::DEFAULT_PREFIX.into(),
        }
    }
}

impl Subjects {
    /// The prefix unless configured otherwise.
    pub const DEFAULT_PREFIX: &'static str = "oddswire";

    /// Subjects under `prefix`, one token; `None` when it is not one.
    pub fn new(prefix: &str) -> Option<Self> {
        is_token(prefix).then(|| Self {
            prefix: prefix.into(),
        })
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where the scraper publishes the event.
    pub fn feed(&self, key: &EventKey) -> String {
        format!("{}.feed.{key}", self.prefix)
    }

    /// Everything published of a feed: the subjects of its stream.
    pub fn feed_all(&self, feed: Feed) -> String {
        format!("{}.feed.{feed}.>", self.prefix)
    }

    /// Where what is published under `filter` (tokens behind `<prefix>.feed.`) comes by.
    pub fn feed_filter(&self, filter: &str) -> String {
        format!("{}.feed.{filter}", self.prefix)
    }

    /// Where a feed's committed events come by live.
    pub fn live_all(&self, feed: Feed) -> String {
        format!("{}.live.{feed}.>", self.prefix)
    }

    /// Whether what is published under `feed` comes by under `live`.
    pub fn is_live_of(&self, live: &str, feed: &str) -> bool {
        let behind = |subject: &str, side| {
            let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(side)?;
            Some(subject.len() - rest.len())
        };
        match (behind(live, ".live."), behind(feed, ".feed.")) {
            (Some(at), Some(from)) => live[at..] == feed[from..],
            _ => false,
        }
    }

    /// What says who may write a source's odds: each batch of odds begins with a message here, behind the one before.
    /// It has a place in the feed's chain, and is no event.
    pub fn fence(&self, source: &SourceKey) -> String {
        format!("{}.feed.{FENCE}{source}", self.prefix)
    }

    /// Whether a subject of the feeds or of the live side is a fence.
    pub fn is_fence(&self, subject: &str) -> bool {
        let rest = self.behind_side(subject);
        rest.and_then(|rest| rest.strip_prefix(FENCE))
            .is_some_and(is_token)
    }

    /// What marks that another server process leads ODDS from here on; `slot` is below [`Self::TERM_SLOTS`]. It has a
    /// place in the feed's chain, and is no event.
    pub fn term(&self, slot: u64) -> String {
        format!("{}.feed.{TERM}{slot}", self.prefix)
    }

    /// All terms.
    pub fn term_all(&self) -> String {
        format!("{}.feed.{TERM}*", self.prefix)
    }

    /// The slot of a term, by a subject of the feeds or of the live side; `None` when it is none: a slot has one way to
    /// be written, so that there are no more subjects of terms than slots.
    pub fn term_slot(&self, subject: &str) -> Option<u64> {
        let text = self.behind_side(subject)?.strip_prefix(TERM)?;
        let slot = text.parse::<u64>().ok().filter(|slot| *slot < Self::TERM_SLOTS)?;
        (slot.to_string() == text).then_some(slot)
    }

    /// Terms that are kept: the newest. One begins when a server starts or a leader is elected.
    pub const TERM_SLOTS: u64 = 1_024;

    /// The queue place of a source: its un-acknowledged job is the source's lock.
    pub fn job(&self, source: &SourceKey) -> String {
        format!("{}.jobs.scrape.{source}", self.prefix)
    }

    /// All jobs.
    pub fn job_all(&self) -> String {
        format!("{}.jobs.scrape.*", self.prefix)
    }

    /// Control requests to the worker of a run.
    pub fn control(&self, run_id: &RunId) -> String {
        format!("{}.ctl.run.{run_id}", self.prefix)
    }

    /// What a subject of the feeds or of the live side is about; `None` for any other subject.
    pub fn parse(&self, subject: &str) -> Option<EventKey> {
        EventKey::parse(self.behind_side(subject)?)
    }

    fn behind_side<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix(&self.prefix)?;
        rest.strip_prefix(".feed.")
            .or_else(|| rest.strip_prefix(".live."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> impl Strategy<Value = String> {
        "[a-z0-9_-]{1,64}"
    }

    fn key() -> impl Strategy<Value = EventKey> {
        prop_oneof![
            (token(), token()).prop_map(|(s, r)| EventKey::Run {
                source: s.parse().unwrap(),
                run_id: r.parse().unwrap()
            }),
            token().prop_map(|s| EventKey::Confirmed {
                source: s.parse().unwrap()
            }),
            (token(), token(), token(), token()).prop_map(|(a, b, c, d)| EventKey::Quote {
                sport: a.parse().unwrap(),
                event_id: b.parse().unwrap(),
                source: c.parse().unwrap(),
                market: d.parse().unwrap(),
            }),
        ]
    }

    proptest! {
        #[test]
        fn subjects_round_trip_on_both_sides(key in key()) {
            let subjects = Subjects::default();
            let feed = subjects.feed(&key);
            prop_assert_eq!(subjects.parse(&feed), Some(key.clone()));
            let live = feed.replacen(".feed.", ".live.", 1);
            prop_assert!(subjects.is_live_of(&live, &feed));
            let longer = live + "x";
            prop_assert!(!subjects.is_live_of(&feed, &feed) && !subjects.is_live_of(&longer, &feed));
            prop_assert_eq!(subjects.parse(&feed.replacen(".feed.", ".live.", 1)), Some(key));
        }

        #[test]
        fn hostile_subjects_are_refused_without_panic(text in ".{0,120}") {
            if let Some(key) = Subjects::default().parse(&text) {
                prop_assert!(text.ends_with(&key.to_string()));
            }
        }
    }

    #[test]
    fn a_term_is_of_the_feed_of_odds_and_no_event() {
        let subjects = Subjects::default();
        let term = subjects.term(7);
        assert_eq!(term, "oddswire.feed.odds.term.7");
        for subject in [term.as_str(), "oddswire.live.odds.term.7"] {
            assert_eq!(subjects.term_slot(subject), Some(7));
            assert!(subjects.parse(subject).is_none() && !subjects.is_fence(subject));
        }
        assert_eq!(subjects.term_slot("oddswire.feed.odds.fence.7"), None);
    }

    #[test]
    fn there_are_as_many_subjects_of_terms_as_slots() {
        let subjects = Subjects::default();
        for slot in [0, 1, Subjects::TERM_SLOTS - 1] {
            assert_eq!(subjects.term_slot(&subjects.term(slot)), Some(slot));
        }
        for other in [
            "007",
            "+7",
            "-0",
            "00",
            "1024",
            "18446744073709551615",
            "18446744073709551616",
            "",
            "7.7",
            "7 ",
            "x",
        ] {
            let subject = format!("oddswire.feed.odds.term.{other}");
            assert_eq!(subjects.term_slot(&subject), None, "{other}");
        }
    }

    #[test]
    fn a_fence_is_of_the_feed_of_odds_and_no_event() {
        let subjects = Subjects::default();
        let fence = subjects.fence(&"alpha".parse().unwrap());
        assert_eq!(fence, "oddswire.feed.odds.fence.alpha");
        for subject in [fence.as_str(), "oddswire.live.odds.fence.alpha"] {
            assert!(subjects.is_fence(subject) && subjects.parse(subject).is_none());
        }
        for subject in ["oddswire.feed.odds.fence.a.b", "oddswire.feed.odds.confirmed.a"] {
            assert!(!subjects.is_fence(subject), "{subject}");
        }
    }

    #[test]
    fn a_foreign_prefix_a_missing_and_a_further_token_are_refused() {
        let subjects = Subjects::default();
        for subject in [
            "other.feed.run.alpha.r1",
            "oddswire.feed.run.alpha",
            "oddswire.feed.run.alpha.r1.x",
            "oddswire.feed.odds.quote.soccer.e1.alpha",
            "oddswire.jobs.scrape.alpha",
            "oddswirefeed.run.alpha.r1",
        ] {
            assert_eq!(subjects.parse(subject), None, "{subject}");
        }
        assert!(Subjects::new("a.b").is_none());
    }
}
