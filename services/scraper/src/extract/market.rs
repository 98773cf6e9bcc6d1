//! The three forms in which sites write markets, as one.

use super::{
    event::{RawLine, RawMarket, RawOutcome},
    node::Node,
    value::{Text, moment},
};
use crate::source::{CellRule, EventRule, Field, FlatRule, MarketRule, NestedRule, OutcomeRule, Vars};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// All markets of an event. `None` when the place of one of them is not there.
pub(super) fn read_all(rule: &EventRule, event: Node<'_>, vars: &Vars) -> Option<Vec<RawMarket>> {
    let mut markets = Vec::new();
    for rule in &rule.markets {
        markets.extend(match rule {
            MarketRule::Nested(rule) => nested(rule, event, vars)?,
            MarketRule::Flat(rule) => flat(rule, event)?,
            MarketRule::Cells(rule) => cells(rule, event, vars)?,
        });
    }
    Some(markets)
}

fn nested(rule: &NestedRule, event: Node<'_>, vars: &Vars) -> Option<Vec<RawMarket>> {
    let markets = event.rows(&rule.each)?.into_iter().map(|market| {
        // A market without the place of its outcomes has none, and mapping counts that.
        let outcomes = market.rows(&rule.outcomes).unwrap_or_default();
        let updated_at = rule.updated_at.as_ref().and_then(|field| {
            let text = market.text_of(&field.field, vars).into_text()?;
            moment(field, &text)
        });
        RawMarket {
            id: market.text_of(&rule.id, vars).into_text().unwrap_or_default(),
            line: line(rule.line.as_ref(), market, vars),
            open: market.is_open(&rule.open, vars),
            updated_at,
            outcomes: outcomes
                .into_iter()
                .map(|row| outcome(&rule.outcome, row, vars))
                .collect(),
        }
    });
    Some(markets.collect())
}

fn cells(rule: &CellRule, event: Node<'_>, vars: &Vars) -> Option<Vec<RawMarket>> {
    let mut groups = Groups::default();
    for cell in event.rows(&rule.each)? {
        let market = cell.text_of(&rule.market, vars).into_text().unwrap_or_default();
        let line = line(rule.line.as_ref(), cell, vars);
        groups.add(market, line, outcome(&rule.outcome, cell, vars));
    }
    Some(groups.into_markets())
}

fn flat(rule: &FlatRule, event: Node<'_>) -> Option<Vec<RawMarket>> {
    let Node::Json(event) = event else {
        return None;
    };
    let Some(Value::Object(fields)) = rule.object.query(event).first() else {
        return None;
    };
    let suspended: BTreeSet<&str> = match &rule.suspended {
        None => BTreeSet::new(),
        // Without the list nobody knows what is suspended, so it must be there, if only empty.
        Some(path) => match path.query(event).first()? {
            Value::Array(quotes) => quotes.iter().filter_map(Value::as_str).collect(),
            Value::Object(quotes) => quotes.values().filter_map(Value::as_str).collect(),
            _ => return None,
        },
    };
    let mut groups = Groups::default();
    let skipped = |key: &str| rule.skip.as_ref().is_some_and(|skip| skip.is_match(key));
    for (key, value) in fields.iter().filter(|(key, _)| !skipped(key)) {
        let parts = rule.key.captures(key);
        let part = |name| {
            parts
                .as_ref()
                .and_then(|parts| parts.name(name))
                .map(|part| part.as_str())
        };
        // A key that the expression does not know is a market that the definition does not know.
        let (market, outcome) = (part("market").unwrap_or(key), part("outcome").unwrap_or(key));
        let line = part("line").map_or(RawLine::None, |line| RawLine::Some(line.to_owned()));
        let open = part("quote").is_none_or(|quote| !suspended.contains(quote));
        let raw = RawOutcome {
            id: outcome.to_owned(),
            label: outcome.to_owned(),
            price: Node::Json(value).own_text(),
            price_optional: false,
            open,
        };
        groups.add(market.to_owned(), line, raw);
    }
    Some(groups.into_markets())
}

fn line(field: Option<&Field>, row: Node<'_>, vars: &Vars) -> RawLine {
    match field.map(|field| row.text_of(field, vars)) {
        None | Some(Text::None) => RawLine::None,
        Some(Text::Strange(text)) => RawLine::Strange(text),
        Some(Text::Some(text)) => RawLine::Some(text),
    }
}

fn outcome(rule: &OutcomeRule, row: Node<'_>, vars: &Vars) -> RawOutcome {
    let id = row.text_of(&rule.id, vars).into_text().unwrap_or_default();
    let label = rule
        .label
        .as_ref()
        .and_then(|label| row.text_of(label, vars).into_text());
    // Blank is a way to show no price; only a place that is not there is `None`.
    let price = row.picked(&rule.price.pick, vars).map(|picked| {
        match super::value::text_of(&rule.price, Some(picked)) {
            Text::None => String::new(),
            Text::Strange(text) | Text::Some(text) => text,
        }
    });
    RawOutcome {
        label: label.unwrap_or_else(|| id.clone()),
        id,
        price,
        price_optional: rule.price.optional,
        open: row.is_open(&rule.open, vars),
    }
}

/// Outcomes that name their market, put together by market and line.
#[derive(Debug, Default)]
struct Groups {
    markets: BTreeMap<(String, RawLine), Vec<RawOutcome>>,
}

impl Groups {
    fn add(&mut self, market: String, line: RawLine, outcome: RawOutcome) {
        self.markets.entry((market, line)).or_default().push(outcome);
    }

    fn into_markets(self) -> Vec<RawMarket> {
        let markets = self.markets.into_iter().map(|((id, line), outcomes)| RawMarket {
            id,
            line,
            // The outcomes say it one by one.
            open: true,
            updated_at: None,
            outcomes,
        });
        markets.collect()
    }
}
