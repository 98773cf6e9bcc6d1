//! `[step.event]`, the forms of markets, and `[markets]`.

use super::step::{ConditionTable, Field};
use schemars::JsonSchema;
use std::collections::BTreeMap;

/// How a row of the last step is an event.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct EventTable {
    /// The id of the event that all your sources share.
    external_id: Option<Field>,
    /// The home team.
    home_team: Field,
    /// The away team.
    away_team: Field,
    /// The league.
    league: Field,
    /// The country of the league.
    country: Option<Field>,
    /// Kick-off.
    commence_time: Field,
    /// When the source says that its odds changed.
    updated_at: Option<Field>,
}

/// Objects or elements with outcomes in them.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct MarketTable {
    /// The markets of the event.
    each: String,
    /// The source's id of the market, looked up in `[markets]`.
    id: Field,
    /// The line.
    line: Option<Field>,
    /// When the market is open.
    open_when: Option<ConditionTable>,
    /// When it is not.
    suspended_when: Option<ConditionTable>,
    /// When the source says that the market changed.
    updated_at: Option<Field>,
    outcome: OutcomeTable,
}

/// The outcomes of a market.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct OutcomeTable {
    /// The outcomes.
    each: String,
    /// Looked up in the market's `outcomes`.
    id: Field,
    /// As people read it. Default: the id.
    label: Option<Field>,
    /// The price.
    price: Field,
    /// When the outcome is open.
    open_when: Option<ConditionTable>,
    /// When it is not.
    suspended_when: Option<ConditionTable>,
}

/// One JSON object whose keys say everything.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct FlatMarketTable {
    /// The object.
    object: String,
    /// Its groups `market`, `outcome`, and where they are there `line` and `quote`, say what a key is.
    key_regex: String,
    /// Keys that are no prices, and are passed over.
    skip_regex: Option<String>,
    /// A list of the `quote`s that are suspended.
    suspended_quotes: Option<String>,
}

/// One row or element for each price.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct CellMarketTable {
    /// The cells of the event.
    each: String,
    /// The source's id of the market.
    market: Field,
    /// The line.
    line: Option<Field>,
    /// The source's id of the outcome.
    outcome: Field,
    /// As people read it. Default: the id.
    label: Option<Field>,
    /// The price.
    price: Field,
    /// When the outcome is open.
    open_when: Option<ConditionTable>,
    /// When it is not.
    suspended_when: Option<ConditionTable>,
}

/// What the source's markets are in our words, by the source's ids.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct MarketsTable {
    /// Files with `[markets]` alone, below the folder of this one. Entries here win.
    include: Option<Include>,
    #[schemars(flatten)]
    entries: BTreeMap<String, MarketEntryTable>,
}

/// Files.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum Include {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// One market.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct MarketEntryTable {
    /// Our market: h2h, totals, spreads, btts, double_chance, draw_no_bet, or another.
    #[schemars(regex(pattern = "^[a-z0-9_-]{1,64}$"))]
    key: String,
    /// ft, h1, h2. Default: ft.
    #[schemars(regex(pattern = "^[a-z0-9_]{1,64}$"))]
    period: Option<String>,
    /// Whether the market has a line. Default: false.
    line: Option<bool>,
    /// The source's outcome ids and our names: home draw away over under yes no.
    #[schemars(length(min = 1))]
    outcomes: BTreeMap<String, String>,
}
