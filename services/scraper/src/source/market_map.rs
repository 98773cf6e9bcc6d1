//! `[markets."<id>"]`: what the source's markets are in our words.

use super::{
    problem::Problems,
    section::{Section, Text},
    surroundings::Surroundings,
};
use oddswire_kit::nearest::nearest;
use oddswire_protocol::{MarketKey, MarketToken, Period, id};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// The markets of a source by its own ids.
pub(crate) type MarketMap = BTreeMap<String, MarketEntry>;

/// The markets whose outcomes are known. Other markets may have any.
const KNOWN: [(&str, &[&str]); 6] = [
    ("h2h", &["home", "draw", "away"]),
    ("double_chance", &["home_draw", "home_away", "draw_away"]),
    ("draw_no_bet", &["home", "away"]),
    ("totals", &["over", "under"]),
    ("spreads", &["home", "away"]),
    ("btts", &["yes", "no"]),
];

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

/// Reads `[markets]`: the files that it includes, then its own entries, which win.
pub(super) fn decode(root: &Section<'_>, around: &Surroundings<'_>) -> MarketMap {
    let Some(table) = root.require("markets", root.section("markets", "[markets]")) else {
        return MarketMap::new();
    };
    let mut map = included(&table, around);
    map.extend(entries(&table));
    map
}

/// The files under `include`. A market may have this id too: it is a table then.
fn included(table: &Section<'_>, around: &Surroundings<'_>) -> MarketMap {
    let mut map = MarketMap::new();
    let paths = match table.peek("include") {
        None | Some(DeValue::Table(_)) => Vec::new(),
        Some(DeValue::String(_)) => table.text("include").into_iter().collect(),
        Some(_) => {
            let values = table.array("include").into_iter();
            values
                .filter_map(|value| table.as_text("include", value))
                .collect()
        }
    };
    for path in paths {
        let found = match include(table, &path, around) {
            Ok(found) => found,
            Err(problem) => {
                table.problem_at("include", &path.at, problem);
                continue;
            }
        };
        for (id, entry) in found {
            if map.contains_key(&id) {
                let what = format!("{} has market {id:?}, which a file before has too", path.text);
                table.problem_at("include", &path.at, what);
            }
            map.insert(id, entry);
        }
    }
    map
}

fn include(table: &Section<'_>, path: &Text<'_>, around: &Surroundings<'_>) -> Result<MarketMap, String> {
    let (file, text) = around.include(path.text)?;
    let problems = Problems::new(&file, &text);
    let (root, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        let at = error.span().unwrap_or(0..0);
        problems.add(&at, format!("not TOML: {}", error.message()));
    }
    let mut map = MarketMap::new();
    if errors.is_empty() {
        let root = Section::new(root.get_ref(), 0..0, "file".to_owned(), &problems);
        if let Some(markets) = root.require("markets", root.section("markets", "[markets]")) {
            map = entries(&markets);
        }
        root.finish();
    }
    table.absorb(problems.into_found());
    Ok(map)
}

fn entries(table: &Section<'_>) -> MarketMap {
    let mut map = MarketMap::new();
    for (id, value) in table.entries() {
        if id.text == "include" && !matches!(value.get_ref(), DeValue::Table(_)) {
            continue;
        }
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
        let outcomes = Self::outcomes(section, key.as_ref());
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

    fn outcomes(section: &Section<'_>, key: Option<&MarketKey>) -> BTreeMap<String, String> {
        let name = format!("{}: outcomes", section.name());
        let Some(table) = section.require("outcomes", section.section("outcomes", &name)) else {
            return BTreeMap::new();
        };
        let mut outcomes = BTreeMap::new();
        for (id, value) in table.entries() {
            let Some(name) = table.as_text(id.text, value) else {
                continue;
            };
            match check_outcome(key, name.text) {
                Ok(()) => {
                    outcomes.insert(id.text.to_owned(), name.text.to_owned());
                }
                Err(problem) => table.problem_at(id.text, &name.at, problem),
            }
        }
        if table.entries().next().is_none() {
            table.problem("needs at least one outcome");
        }
        outcomes
    }
}

fn check_outcome(key: Option<&MarketKey>, name: &str) -> Result<(), String> {
    if !id::is_token(name) {
        return Err(id::IdError.to_string());
    }
    let market = key.map(ToString::to_string).unwrap_or_default();
    match KNOWN.iter().find(|(key, _)| *key == market) {
        Some((_, known)) if !known.contains(&name) => {
            let hint = nearest(name, known.iter().copied()).map_or_else(
                || format!("known: {}", known.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            Err(format!("{name:?} is no outcome of {market} ({hint})"))
        }
        _ => Ok(()),
    }
}
