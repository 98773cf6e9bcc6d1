//! Who wants an event: found by its tokens, not by asking every client.

use oddswire_protocol::{EventKey, Feed, Topic};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

/// Which places of a topic must be exactly so, as bits, and in which feed.
type Pattern = (Feed, u8);

/// The place of the source in a topic of odds, which alone decides who gets a confirmation.
const SOURCE_OF_ODDS: usize = 2;

/// Topics, each with the classes that have it.
#[derive(Debug, Default)]
pub(super) struct Routes {
    hasher: RandomState,
    /// For each pattern in use, the topics by the hash of their exact tokens.
    patterns: HashMap<Pattern, HashMap<u64, Vec<Route>>>,
    /// Topics of odds by their source; `None` is any.
    confirmed: HashMap<Option<Box<str>>, Vec<usize>>,
}

#[derive(Debug)]
struct Route {
    topic: Topic,
    classes: Vec<usize>,
}

fn pattern(topic: &Topic) -> Pattern {
    let bits = topic.exact_tokens().fold(0, |bits, (at, _)| bits | 1 << at);
    (topic.feed(), bits)
}

impl Routes {
    /// Has a class get what a topic selects.
    pub(super) fn add(&mut self, topic: &Topic, class: usize) {
        let hash = self.hash(topic.exact_tokens().map(|(_, token)| token));
        let routes = self
            .patterns
            .entry(pattern(topic))
            .or_default()
            .entry(hash)
            .or_default();
        match routes.iter_mut().find(|route| same(&route.topic, topic)) {
            Some(route) => route.classes.push(class),
            None => routes.push(Route {
                topic: topic.clone(),
                classes: vec![class],
            }),
        }
        if topic.feed() == Feed::Odds {
            self.confirmed.entry(source_of(topic)).or_default().push(class);
        }
    }

    /// The opposite of [`Routes::add`].
    pub(super) fn remove(&mut self, topic: &Topic, class: usize) {
        let hash = self.hash(topic.exact_tokens().map(|(_, token)| token));
        let pattern = pattern(topic);
        if let Some(topics) = self.patterns.get_mut(&pattern) {
            if let Some(routes) = topics.get_mut(&hash) {
                for route in routes.iter_mut().filter(|route| same(&route.topic, topic)) {
                    take_one(&mut route.classes, class);
                }
                routes.retain(|route| !route.classes.is_empty());
                if routes.is_empty() {
                    topics.remove(&hash);
                }
            }
            if topics.is_empty() {
                self.patterns.remove(&pattern);
            }
        }
        if topic.feed() == Feed::Odds
            && let Some(classes) = self.confirmed.get_mut(&source_of(topic))
        {
            take_one(classes, class);
            if classes.is_empty() {
                self.confirmed.remove(&source_of(topic));
            }
        }
    }

    /// Calls `hit` with each class that wants an event, once for each of its topics that admits it.
    pub(super) fn matching(&self, key: &EventKey, mut hit: impl FnMut(usize)) {
        if let EventKey::Confirmed { source } = key {
            let of_any = self.confirmed.get(&None);
            let of_source = self.confirmed.get(&Some(source.as_str().into()));
            of_any
                .into_iter()
                .chain(of_source)
                .flatten()
                .for_each(|class| hit(*class));
            return;
        }
        for ((feed, bits), topics) in &self.patterns {
            if *feed != key.feed() {
                continue;
            }
            let exact = (0..u8::BITS as usize)
                .filter(|at| bits & (1 << at) != 0)
                .filter_map(|at| key.token(at));
            let Some(routes) = topics.get(&self.hash(exact)) else {
                continue;
            };
            for route in routes.iter().filter(|route| route.topic.matches(key)) {
                route.classes.iter().for_each(|class| hit(*class));
            }
        }
    }

    fn hash<'a>(&self, tokens: impl Iterator<Item = &'a str>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        tokens.for_each(|token| std::hash::Hash::hash(token, &mut hasher));
        std::hash::Hasher::finish(&hasher)
    }
}

/// Whether two topics select the same: stars at the end say nothing.
fn same(one: &Topic, other: &Topic) -> bool {
    one.feed() == other.feed() && one.exact_tokens().eq(other.exact_tokens())
}

fn source_of(topic: &Topic) -> Option<Box<str>> {
    topic
        .exact_tokens()
        .find(|(at, _)| *at == SOURCE_OF_ODDS)
        .map(|(_, token)| token.into())
}

fn take_one(classes: &mut Vec<usize>, class: usize) {
    if let Some(at) = classes.iter().position(|other| *other == class) {
        classes.swap_remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oddswire_protocol::Subjects;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn topic() -> impl Strategy<Value = Topic> {
        let token = prop_oneof![Just("*"), Just("a"), Just("b")];
        let odds = proptest::collection::vec(token.clone(), 0..=4).prop_map(|t| ("odds_updates", t));
        let runs = proptest::collection::vec(token, 0..=2).prop_map(|t| ("scrape_progress", t));
        prop_oneof![odds, runs].prop_map(|(word, tokens)| {
            let text = std::iter::once(word).chain(tokens).collect::<Vec<_>>().join(".");
            text.parse().unwrap()
        })
    }

    fn key() -> impl Strategy<Value = EventKey> {
        let token = prop_oneof![Just("a"), Just("b"), Just("c")];
        let quote =
            proptest::collection::vec(token.clone(), 4).prop_map(|t| format!("odds.quote.{}", t.join(".")));
        let run = proptest::collection::vec(token.clone(), 2).prop_map(|t| format!("run.{}", t.join(".")));
        let confirmed = token.prop_map(|t| format!("odds.confirmed.{t}"));
        prop_oneof![quote, run, confirmed].prop_map(|text| {
            Subjects::default()
                .parse(&format!("oddswire.feed.{text}"))
                .unwrap()
        })
    }

    proptest! {
        #[test]
        fn the_routes_find_exactly_who_would_be_found_by_asking_everybody(
            topics in proptest::collection::vec(topic(), 0..12),
            gone in proptest::collection::vec(any::<bool>(), 12),
            key in key(),
        ) {
            let mut routes = Routes::default();
            for (class, topic) in topics.iter().enumerate() {
                routes.add(topic, class);
            }
            let mut expected = BTreeSet::new();
            for (class, topic) in topics.iter().enumerate() {
                if gone[class] {
                    routes.remove(topic, class);
                } else if topic.matches(&key) {
                    expected.insert(class);
                }
            }
            let mut found = BTreeSet::new();
            routes.matching(&key, |class| {
                found.insert(class);
            });
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn nothing_is_left_of_topics_that_all_have_gone(topics in proptest::collection::vec(topic(), 0..12)) {
            let mut routes = Routes::default();
            for topic in &topics {
                routes.add(topic, 1);
            }
            for topic in &topics {
                routes.remove(topic, 1);
            }
            prop_assert!(routes.patterns.is_empty() && routes.confirmed.is_empty());
        }
    }
}
