//! Topics: what a client asks for. A topic is a prefix of tokens; `*` stands for any one token.

use crate::{EventKey, Feed, id::is_token};
use std::{fmt, str::FromStr};

/// A topic that a client subscribed to: `scrape_progress[.<source>[.<run_id>]]` or
/// `odds_updates[.<sport>[.<event_id>[.<source>[.<market>]]]]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic {
    feed: Feed,
    /// `None` is `*`.
    tokens: Vec<Option<Box<str>>>,
}

/// A text is not a [`Topic`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The first token is neither of the two there are.
    #[error("unknown topic {0:?}: topics begin with scrape_progress or odds_updates")]
    Unknown(String),
    /// More tokens than this kind of topic has.
    #[error("topic {0:?} has too many tokens")]
    TooLong(String),
    /// A token that is neither `*` nor an id.
    #[error("topic {0:?} has a bad token: each must be * or 1 to 64 of a-z, 0-9, _ and -")]
    BadToken(String),
}

const RUNS: &str = "scrape_progress";
const ODDS: &str = "odds_updates";

impl Topic {
    /// Every run.
    pub fn all_runs() -> Self {
        Self {
            feed: Feed::Run,
            tokens: Vec::new(),
        }
    }

    /// All odds.
    pub fn all_odds() -> Self {
        Self {
            feed: Feed::Odds,
            tokens: Vec::new(),
        }
    }

    /// What a client gets that names no topic: everything.
    pub fn default_set() -> Vec<Self> {
        vec![Self::all_runs(), Self::all_odds()]
    }

    /// The feed that carries it.
    pub fn feed(&self) -> Feed {
        self.feed
    }

    /// The tokens that must be exactly so, each with its place behind the first word.
    pub fn exact_tokens(&self) -> impl Iterator<Item = (usize, &str)> {
        self.tokens
            .iter()
            .enumerate()
            .filter_map(|(at, token)| Some((at, token.as_deref()?)))
    }

    fn token(&self, at: usize) -> Option<&str> {
        self.tokens.get(at).and_then(Option::as_deref)
    }

    fn admits(&self, at: usize, value: &str) -> bool {
        self.token(at).is_none_or(|token| token == value)
    }

    /// Whether an event belongs to this topic. `odds_confirmed` belongs to every odds topic whose source token
    /// admits it, whatever the other tokens say.
    pub fn matches(&self, key: &EventKey) -> bool {
        match (self.feed, key) {
            (Feed::Run, EventKey::Run { source, run_id }) => {
                self.admits(0, source.as_str()) && self.admits(1, run_id.as_str())
            }
            (
                Feed::Odds,
                EventKey::Quote {
                    sport,
                    event_id,
                    source,
                    market,
                },
            ) => {
                self.admits(0, sport.as_str())
                    && self.admits(1, event_id.as_str())
                    && self.admits(2, source.as_str())
                    && self.admits(3, market.as_str())
            }
            (Feed::Odds, EventKey::Confirmed { source }) => self.admits(2, source.as_str()),
            _ => false,
        }
    }

    /// Whether everything that `other` matches is matched by this topic too.
    pub fn covers(&self, other: &Self) -> bool {
        // Token by token, since the alphabet of each is endless: a place that one leaves open is covered only by one
        // that leaves it open as well. Confirmations follow, because the place of the source is among these.
        self.feed == other.feed
            && self
                .exact_tokens()
                .all(|(at, token)| other.token(at) == Some(token))
    }

    /// These topics without those that another one of them covers, in their order.
    pub fn widest(topics: &[Self]) -> Vec<Self> {
        let covered = |at: usize, topic: &Self| {
            topics.iter().enumerate().any(|(other_at, other)| {
                // Of two that mean the same the first stays.
                other_at != at && other.covers(topic) && (other_at < at || !topic.covers(other))
            })
        };
        let kept = topics
            .iter()
            .enumerate()
            .filter(|(at, topic)| !covered(*at, topic));
        kept.map(|(_, topic)| topic.clone()).collect()
    }

    /// The subject filters, behind `<prefix>.feed.`, that together select exactly this topic's events from its
    /// stream.
    pub fn filters(&self) -> Vec<String> {
        let all = |base: &str, tokens: &[Option<Box<str>>], full: usize| {
            let mut filter = base.to_owned();
            for token in tokens {
                filter.push('.');
                filter.push_str(token.as_deref().unwrap_or("*"));
            }
            if tokens.len() < full {
                filter.push_str(".>");
            }
            filter
        };
        match self.feed {
            Feed::Run => vec![all("run", &self.tokens, 2)],
            Feed::Odds if self.tokens.is_empty() => vec!["odds.>".into()],
            Feed::Odds => vec![
                all("odds.quote", &self.tokens, 4),
                format!("odds.confirmed.{}", self.token(2).unwrap_or("*")),
            ],
        }
    }
}

impl FromStr for Topic {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<Self, TopicError> {
        let mut parts = text.split('.');
        let (feed, most) = match parts.next() {
            Some(RUNS) => (Feed::Run, 2),
            Some(ODDS) => (Feed::Odds, 4),
            _ => return Err(TopicError::Unknown(clip(text))),
        };
        let tokens = parts
            .map(|part| match part {
                "*" => Ok(None),
                part if is_token(part) => Ok(Some(part.into())),
                _ => Err(TopicError::BadToken(clip(text))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if tokens.len() > most {
            return Err(TopicError::TooLong(clip(text)));
        }
        Ok(Self { feed, tokens })
    }
}

/// The start of a client's text that is fit for an error message.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.feed {
            Feed::Run => RUNS,
            Feed::Odds => ODDS,
        })?;
        self.tokens
            .iter()
            .try_for_each(|token| write!(f, ".{}", token.as_deref().unwrap_or("*")))
    }
}

impl serde::Serialize for Topic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subjects;
    use proptest::prelude::*;

    fn key(subject: &str) -> EventKey {
        Subjects::default()
            .parse(&format!("oddswire.feed.{subject}"))
            .unwrap()
    }

    #[test]
    fn a_topic_is_a_prefix_and_a_star_is_one_token() {
        let quote = key("odds.quote.soccer.e1.alpha.h2h-ft");
        for (topic, hit) in [
            ("odds_updates", true),
            ("odds_updates.soccer", true),
            ("odds_updates.*.e1", true),
            ("odds_updates.*.*.alpha", true),
            ("odds_updates.soccer.e1.alpha.h2h-ft", true),
            ("odds_updates.tennis", false),
            ("odds_updates.*.e", false),
            ("odds_updates.*.*.*.totals-ft", false),
            ("scrape_progress", false),
        ] {
            assert_eq!(topic.parse::<Topic>().unwrap().matches(&quote), hit, "{topic}");
        }
    }

    #[test]
    fn a_confirmation_reaches_every_topic_whose_source_admits_it() {
        let confirmed = key("odds.confirmed.alpha");
        for (topic, hit) in [
            ("odds_updates", true),
            ("odds_updates.soccer.e1", true),
            ("odds_updates.soccer.e1.alpha.h2h-ft", true),
            ("odds_updates.*.*.bravo", false),
            ("scrape_progress.alpha", false),
        ] {
            assert_eq!(
                topic.parse::<Topic>().unwrap().matches(&confirmed),
                hit,
                "{topic}"
            );
        }
    }

    #[test]
    fn bad_topics_say_what_is_wrong() {
        for text in [
            "",
            "odds",
            "Odds_updates",
            "odds_update",
            "scrape_progress2",
            ".scrape_progress",
        ] {
            assert!(
                matches!(text.parse::<Topic>(), Err(TopicError::Unknown(_))),
                "{text}"
            );
        }
        for text in [
            "odds_updates.",
            "odds_updates.>",
            "odds_updates.a b",
            "odds_updates..e1",
        ] {
            assert!(
                matches!(text.parse::<Topic>(), Err(TopicError::BadToken(_))),
                "{text}"
            );
        }
        for text in ["scrape_progress.a.b.c", "odds_updates.a.b.c.d.e"] {
            assert!(
                matches!(text.parse::<Topic>(), Err(TopicError::TooLong(_))),
                "{text}"
            );
        }
    }

    /// NATS subject matching, for the test below.
    fn nats_matches(filter: &str, subject: &str) -> bool {
        let (mut f, mut s) = (filter.split('.'), subject.split('.'));
        loop {
            match (f.next(), s.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    }

    fn small() -> impl Strategy<Value = String> {
        "[ab]"
    }

    fn topic() -> impl Strategy<Value = Topic> {
        "(scrape_progress(\\.([ab]|\\*)){0,2})|(odds_updates(\\.([ab]|\\*)){0,4})"
            .prop_map(|text| text.parse().unwrap())
    }

    /// Every event of a world with three tokens.
    fn every_key() -> Vec<EventKey> {
        let mut subjects: Vec<String> = Vec::new();
        for a in ["a", "b", "c"] {
            subjects.push(format!("odds.confirmed.{a}"));
            for b in ["a", "b", "c"] {
                subjects.push(format!("run.{a}.{b}"));
                for c in ["a", "b", "c"] {
                    for d in ["a", "b", "c"] {
                        subjects.push(format!("odds.quote.{a}.{b}.{c}.{d}"));
                    }
                }
            }
        }
        subjects.iter().map(|subject| key(subject)).collect()
    }

    proptest! {
        #[test]
        fn text_round_trips(text in "(scrape_progress(\\.([a-b]|\\*)){0,2})|(odds_updates(\\.([a-b]|\\*)){0,4})") {
            prop_assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
        }

        #[test]
        fn hostile_text_is_refused_without_panic(text in ".{0,120}") {
            let _ = text.parse::<Topic>();
        }

        #[test]
        fn a_topic_covers_another_exactly_when_it_matches_all_that_the_other_does(a in topic(), b in topic()) {
            // `c` is a token that neither names: it stands for all the others.
            let matched_by_b: Vec<EventKey> = every_key().into_iter().filter(|key| b.matches(key)).collect();
            let all = matched_by_b.iter().all(|key| a.matches(key));
            prop_assert_eq!(a.covers(&b), all, "{} covers {}", a, b);
        }

        #[test]
        fn the_widest_topics_match_what_all_of_them_do(topics in proptest::collection::vec(topic(), 0..6)) {
            let widest = Topic::widest(&topics);
            for key in every_key() {
                let before = topics.iter().any(|topic| topic.matches(&key));
                prop_assert_eq!(widest.iter().any(|topic| topic.matches(&key)), before);
            }
            for (at, topic) in widest.iter().enumerate() {
                prop_assert!(!widest.iter().enumerate().any(|(other, o)| other != at && o.covers(topic)));
            }
        }

        #[test]
        fn filters_select_exactly_what_matches(
            topic in "(scrape_progress(\\.([a-b]|\\*)){0,2})|(odds_updates(\\.([a-b]|\\*)){0,4})",
            a in small(), b in small(), c in small(), d in small(), kind in 0..3u8,
        ) {
            let subject = match kind {
                0 => format!("run.{a}.{b}"),
                1 => format!("odds.quote.{a}.{b}.{c}.{d}"),
                _ => format!("odds.confirmed.{a}"),
            };
            let topic: Topic = topic.parse().unwrap();
            let hit = topic.filters().iter().any(|filter| nats_matches(filter, &subject));
            prop_assert_eq!(topic.matches(&key(&subject)), hit);
        }
    }
}
