//! `[step.event]` and the three forms in which sites write markets.

use super::{
    condition::OpenRule,
    field::{self, Field, TimeField},
    pick::{Each, Format, Scope, json_each, json_path},
    section::Section,
};
use regex::Regex;
use serde_json_path::JsonPath;

/// How a row of the event step is read.
#[derive(Debug, Clone)]
pub(crate) struct EventRule {
    /// The id that all sources share; none where the source has none.
    pub(crate) external_id: Option<Field>,
    /// The home team.
    pub(crate) home_team: Field,
    /// The away team.
    pub(crate) away_team: Field,
    /// The league.
    pub(crate) league: Field,
    /// The country of the league.
    pub(crate) country: Option<Field>,
    /// Kick-off.
    pub(crate) commence_time: TimeField,
    /// When the source says that the odds changed.
    pub(crate) updated_at: Option<TimeField>,
    /// Where the markets are; at least one.
    pub(crate) markets: Vec<MarketRule>,
}

/// How the markets of an event are read.
#[derive(Debug, Clone)]
pub(crate) enum MarketRule {
    /// Objects with outcomes in them.
    Nested(Box<NestedRule>),
    /// One object whose keys say everything: `{"S_OU@2.5_O": "1.85"}`.
    Flat(Box<FlatRule>),
    /// One element for each outcome, which names its market.
    Cells(Box<CellRule>),
}

/// `[[step.market]]`.
#[derive(Debug, Clone)]
pub(crate) struct NestedRule {
    /// The markets of the event.
    pub(crate) each: Each,
    /// The source's id of the market.
    pub(crate) id: Field,
    /// The line, in markets that have one.
    pub(crate) line: Option<Field>,
    /// When the market is open.
    pub(crate) open: OpenRule,
    /// When the source says that the market changed.
    pub(crate) updated_at: Option<TimeField>,
    /// The outcomes of the market.
    pub(crate) outcomes: Each,
    /// How an outcome is read.
    pub(crate) outcome: OutcomeRule,
}

/// How an outcome is read.
#[derive(Debug, Clone)]
pub(crate) struct OutcomeRule {
    /// The source's id of the outcome.
    pub(crate) id: Field,
    /// As the source writes it for people; none: its id.
    pub(crate) label: Option<Field>,
    /// The price.
    pub(crate) price: Field,
    /// When the outcome is open.
    pub(crate) open: OpenRule,
}

/// `[[step.flat_market]]`.
#[derive(Debug, Clone)]
pub(crate) struct FlatRule {
    /// The object.
    pub(crate) object: JsonPath,
    /// Its groups `market` and `outcome`, and where they are there `line` and `quote`, say what a key is.
    pub(crate) key: Regex,
    /// Keys that are no prices.
    pub(crate) skip: Option<Regex>,
    /// The array of the `quote`s that are suspended.
    pub(crate) suspended: Option<JsonPath>,
}

/// `[[step.cell_market]]`.
#[derive(Debug, Clone)]
pub(crate) struct CellRule {
    /// The cells of the event.
    pub(crate) each: Each,
    /// The source's id of the market.
    pub(crate) market: Field,
    /// The line, in markets that have one.
    pub(crate) line: Option<Field>,
    /// The rest of the cell.
    pub(crate) outcome: OutcomeRule,
}

impl EventRule {
    /// Reads `[step.event]` and the markets beside it. `None` without a problem when the step has none.
    pub(super) fn decode(step: &Section<'_>, scope: &Scope) -> Option<Self> {
        let markets = MarketRule::decode_all(step, scope);
        let Some(event) = step.section("event", &format!("{}: event", step.name())) else {
            if !markets.is_empty() {
                step.problem("markets stand only beside [step.event]");
            }
            return None;
        };
        let external_id = Field::optional(&event, "external_id", scope);
        let home_team = Field::required(&event, "home_team", scope);
        let away_team = Field::required(&event, "away_team", scope);
        let league = Field::required(&event, "league", scope);
        let country = Field::optional(&event, "country", scope);
        let commence_time = TimeField::optional(&event, "commence_time", scope);
        let commence_time = event.require("commence_time", commence_time);
        let updated_at = TimeField::optional(&event, "updated_at", scope);
        event.finish();
        if markets.is_empty() {
            step.problem("needs a [[step.market]], [[step.flat_market]] or [[step.cell_market]]");
        }
        Some(Self {
            external_id,
            home_team: home_team?,
            away_team: away_team?,
            league: league?,
            country,
            commence_time: commence_time?,
            updated_at,
            markets: markets.into_iter().collect::<Option<_>>()?,
        })
    }
}

impl MarketRule {
    fn decode_all(step: &Section<'_>, scope: &Scope) -> Vec<Option<Self>> {
        let sections = |key: &'static str| step.sections(key, &format!("{}: {key}", step.name()));
        let mut rules = Vec::new();
        for section in sections("market") {
            let rule = NestedRule::decode(&section, scope);
            rules.push(rule.map(|rule| Self::Nested(Box::new(rule))));
            section.finish();
        }
        for section in sections("flat_market") {
            let rule = FlatRule::decode(&section, scope);
            rules.push(rule.map(|rule| Self::Flat(Box::new(rule))));
            section.finish();
        }
        for section in sections("cell_market") {
            let rule = CellRule::decode(&section, scope);
            rules.push(rule.map(|rule| Self::Cells(Box::new(rule))));
            section.finish();
        }
        rules
    }
}

impl NestedRule {
    fn decode(section: &Section<'_>, scope: &Scope) -> Option<Self> {
        let each = Each::of_row(section, scope.format);
        let id = Field::required(section, "id", scope);
        let line = Field::optional(section, "line", scope);
        let open = OpenRule::decode(section, scope);
        let updated_at = TimeField::optional(section, "updated_at", scope);
        let name = format!("{}: outcome", section.name());
        let outcome = section.require("outcome", section.section("outcome", &name))?;
        let outcomes = Each::of_row(&outcome, scope.format);
        let rule = OutcomeRule::decode(&outcome, "id", scope);
        outcome.finish();
        Some(Self {
            each: each?,
            id: id?,
            line,
            open,
            updated_at,
            outcomes: outcomes?,
            outcome: rule?,
        })
    }
}

impl OutcomeRule {
    fn decode(section: &Section<'_>, id: &'static str, scope: &Scope) -> Option<Self> {
        let id = Field::required(section, id, scope);
        let label = Field::optional(section, "label", scope);
        let price = Field::required(section, "price", scope);
        let open = OpenRule::decode(section, scope);
        Some(Self {
            id: id?,
            label,
            price: price?,
            open,
        })
    }
}

impl FlatRule {
    fn decode(section: &Section<'_>, scope: &Scope) -> Option<Self> {
        if scope.format == Format::Html {
            section.problem("reads JSON only; HTML has cell_market");
        }
        let object = section.require("object", section.text("object"));
        let object = object.and_then(|text| json_path(section, "object", &text));
        let suspended = section.text("suspended_quotes");
        let key = section.require(
            "key_regex",
            section.parsed("key_regex", |text| {
                let key = field::regex(text)?;
                let has = |name: &str| key.capture_names().flatten().any(|group| group == name);
                if !has("market") || !has("outcome") {
                    return Err("needs the groups (?<market>…) and (?<outcome>…)".to_owned());
                }
                if suspended.is_some() && !has("quote") {
                    return Err("needs the group (?<quote>…), which suspended_quotes lists".to_owned());
                }
                Ok(key)
            }),
        );
        let skip = section.parsed("skip_regex", field::regex);
        let suspended = match suspended {
            Some(text) => Some(json_each(section, "suspended_quotes", &text)?),
            None => None,
        };
        Some(Self {
            object: object?,
            key: key?,
            skip,
            suspended,
        })
    }
}

impl CellRule {
    fn decode(section: &Section<'_>, scope: &Scope) -> Option<Self> {
        let each = Each::of_row(section, scope.format);
        let market = Field::required(section, "market", scope);
        let line = Field::optional(section, "line", scope);
        let outcome = OutcomeRule::decode(section, "outcome", scope);
        Some(Self {
            each: each?,
            market: market?,
            line,
            outcome: outcome?,
        })
    }
}
