//! `[markets."<id>"]`: what the source's markets are in our words.

use super::section::Section;
use oddswire_protocol::{MarketKey, MarketToken, Period, id};
use std::collections::BTreeMap;

/// The markets of a source by its own ids.
pub(crate) type MarketMap = BTreeMap<String, MarketEntry>;

/// One market.
#[derive(Debug, Clone)]
pub(crate) struct MarketEntry {
    /// What is bet on.
    pub(crate) key: MarketKey,
    /// Over which part of the event.
    pub(crate) period: Period,
    /// Whether each quote has a line; if not, none may have one.
    pub(crate) line: bool,
    /// The names of the outcomes by the source's ids.
    pub(crate) outcomes: BTreeMap<String, String>,
}

/// Reads all `[markets."<id>"]`.
pub(super) fn decode(root: &Section<'_>) -> MarketMap {
    let Some(table) = root.require("markets", root.section("markets", "[markets]")) else {
        return MarketMap::new();
    };
    let mut map = MarketMap::new();
    for (id, value) in table.entries() {
        let name = format!("[markets.{:?}]", id.text);
        let Some(section) = table.as_section(id.text, value, name) else {
            continue;
        };
        if let Some(entry) = MarketEntry::decode(&section) {
            map.insert(id.text.to_owned(), entry);
        }
        section.finish();
    }
    map
}

impl MarketEntry {
    fn decode(section: &Section<'_>) -> Option<Self> {
        let key = section.parsed("key", str::parse::<MarketKey>);
        let key = section.require("key", key);
        let period = match section.value("period") {
            Some(_) => section.parsed("period", str::parse::<Period>),
            None => "ft".parse().ok(),
        };
        let line = section.boolean("line", false);
        let outcomes = Self::outcomes(section);
        let (key, period) = (key?, period?);
        if MarketToken::of(&key, &period).is_none() {
            section.problem("key and period must make one token: at most 64 letters, and no - in period");
        }
        Some(Self {
            key,
            period,
            line,
            outcomes,
        })
    }

    fn outcomes(section: &Section<'_>) -> BTreeMap<String, String> {
        let name = format!("{}: outcomes", section.name());
        let Some(table) = section.require("outcomes", section.section("outcomes", &name)) else {
            return BTreeMap::new();
        };
        let mut outcomes = BTreeMap::new();
        for (id, value) in table.entries() {
            let Some(name) = table.as_text(id.text, value) else {
                continue;
            };
            if id::is_token(name.text) {
                outcomes.insert(id.text.to_owned(), name.text.to_owned());
            } else {
                table.problem_at(id.text, &name.at, id::IdError);
            }
        }
        if outcomes.is_empty() {
            table.problem("needs at least one outcome");
        }
        outcomes
    }
}
