//! A row of the event step as an event of raw texts.

use super::{Onward, market, node::Node, value::moment};
use crate::source::{EventRule, Field, TimeField, Vars};
use oddswire_protocol::Timestamp;

/// An event as its page has it: required fields are there, markets are not mapped yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawEvent {
    pub(crate) external_id: Option<String>,
    pub(crate) home_team: String,
    pub(crate) away_team: String,
    pub(crate) league: String,
    pub(crate) country: Option<String>,
    pub(crate) commence_time: Timestamp,
    pub(crate) updated_at: Option<Timestamp>,
    pub(crate) markets: Vec<RawMarket>,
}

/// A market at one line as its page has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawMarket {
    /// The source's id; blank when it has none.
    pub(crate) id: String,
    /// The line.
    pub(crate) line: RawLine,
    pub(crate) open: bool,
    pub(crate) updated_at: Option<Timestamp>,
    pub(crate) outcomes: Vec<RawOutcome>,
}

/// What stands in the place of a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RawLine {
    /// Nothing.
    None,
    /// Something that the field's expression does not know.
    Strange(String),
    /// A text that should be a number.
    Some(String),
}

/// An outcome as its page has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawOutcome {
    /// The source's id; blank when it has none.
    pub(crate) id: String,
    pub(crate) label: String,
    /// What stands in the place of the price; `None` when there is no such place.
    pub(crate) price: Option<String>,
    /// Whether a row without the place of a price is a good one.
    pub(crate) price_optional: bool,
    pub(crate) open: bool,
}

/// The rows of a page of the event step.
#[derive(Debug)]
pub(crate) struct EventRows {
    /// The good rows.
    pub(crate) events: Vec<RawEvent>,
    /// The others.
    pub(crate) missing: Vec<MissingRow>,
    /// Where the list goes on.
    pub(crate) onward: Onward,
}

/// A row that lacks a required field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingRow {
    /// The first field that it lacks.
    pub(crate) field: &'static str,
    /// The id that all sources share, where the row has that.
    pub(crate) external_id: Option<String>,
}

/// Reads a row.
pub(super) fn read(rule: &EventRule, row: Node<'_>, vars: &Vars) -> Result<RawEvent, MissingRow> {
    let text = |field: &Field| row.text_of(field, vars).into_text();
    let time = |field: &TimeField| text(&field.field).and_then(|text| moment(field, &text));
    let external_id = rule.external_id.as_ref().and_then(text);
    let lacks = |field: &'static str| MissingRow {
        field,
        external_id: external_id.clone(),
    };
    if external_id.is_none() && rule.external_id.as_ref().is_some_and(|field| !field.optional) {
        return Err(lacks("external_id"));
    }
    let home_team = text(&rule.home_team).ok_or_else(|| lacks("home_team"))?;
    let away_team = text(&rule.away_team).ok_or_else(|| lacks("away_team"))?;
    let league = text(&rule.league).ok_or_else(|| lacks("league"))?;
    let commence_time = time(&rule.commence_time).ok_or_else(|| lacks("commence_time"))?;
    let country = rule.country.as_ref().and_then(text);
    if country.is_none() && rule.country.as_ref().is_some_and(|field| !field.optional) {
        return Err(lacks("country"));
    }
    let markets = market::read_all(rule, row, vars).ok_or_else(|| lacks("markets"))?;
    Ok(RawEvent {
        home_team,
        away_team,
        league,
        country,
        commence_time,
        updated_at: rule.updated_at.as_ref().and_then(time),
        markets,
        external_id,
    })
}
