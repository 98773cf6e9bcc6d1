//! `[expect]`: what a good run looks like, so that a blocked and a changed site are told from an empty one.

use super::{
    field,
    pick::{Pick, Scope},
    quantity,
    section::Section,
};
use regex::{Regex, bytes};
use reqwest::header::HeaderName;

/// `[expect]`.
#[derive(Debug, Clone)]
pub(crate) struct Expect {
    /// Fewer events than this in a complete run mean that the site changed.
    pub(crate) min_events: u32,
    /// The share, from 0 to 1, of the last complete run's events that may be missing at once; more mean that the site
    /// changed. 1: any number.
    pub(crate) max_drop_vs_last: f64,
    /// An event with fewer mapped quotes than this counts as one without its required fields.
    pub(crate) min_markets_per_event: u32,
    /// The share of rows, from 0 to 1, that may lack required fields before the whole run counts as broken.
    pub(crate) max_missing_required: f64,
    /// A page to which one of these applies is a block page.
    pub(crate) blocked_when: Vec<BlockRule>,
}

/// What gives a block page away.
#[derive(Debug, Clone)]
pub(crate) enum BlockRule {
    /// A header whose value matches.
    Header(HeaderName, Regex),
    /// A body that matches.
    Body(bytes::Regex),
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            min_events: 0,
            max_drop_vs_last: 1.0,
            min_markets_per_event: 0,
            max_missing_required: 0.02,
            blocked_when: Vec::new(),
        }
    }
}

impl Expect {
    pub(super) fn decode(root: &Section<'_>) -> Self {
        let default = Self::default();
        let Some(section) = root.section("expect", "[expect]") else {
            return default;
        };
        let blocked_when = section.sections("blocked_when", "[expect]: blocked_when");
        let blocked_when = blocked_when.into_iter().filter_map(BlockRule::decode).collect();
        let share = section.parsed("max_missing_required", quantity::share);
        let drop = section.parsed("max_drop_vs_last", quantity::share);
        let expect = Self {
            max_drop_vs_last: drop.unwrap_or(default.max_drop_vs_last),
            min_events: section.integer("min_events", 0..=1_000_000, default.min_events),
            min_markets_per_event: section.integer(
                "min_markets_per_event",
                0..=10_000,
                default.min_markets_per_event,
            ),
            max_missing_required: share.unwrap_or(default.max_missing_required),
            blocked_when,
        };
        section.finish();
        expect
    }
}

/// `expect` of a step.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepExpect {
    /// Fewer rows than this on all pages of the step together mean that the site changed.
    pub(crate) min_rows: u32,
    /// What must be on each page, as the file writes it.
    pub(crate) required: Vec<(String, Pick)>,
}

impl StepExpect {
    pub(super) fn decode(step: &Section<'_>, scope: &Scope) -> Self {
        let Some(section) = step.section("expect", &format!("{}: expect", step.name())) else {
            return Self::default();
        };
        let required = section.array("required").into_iter().filter_map(|value| {
            let text = section.as_text("required", value)?;
            let pick = Pick::short(&section, "required", &text, scope.format)?;
            Some((text.text.to_owned(), pick))
        });
        let expect = Self {
            required: required.collect(),
            min_rows: section.integer("min_rows", 0..=1_000_000, 0),
        };
        section.finish();
        expect
    }
}

impl BlockRule {
    fn decode(section: Section<'_>) -> Option<Self> {
        let header = section.parsed("header", |text| {
            HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("{text:?} is no name of a header"))
        });
        let matches = section.parsed("matches", field::regex);
        let body = section.parsed("body_regex", |text| {
            // Checked as the other expressions are; searched in bytes, for a block page may be in any charset.
            let regex = field::regex(text)?;
            bytes::Regex::new(regex.as_str()).map_err(|error| error.to_string())
        });
        let rule = match (header, matches, body) {
            (Some(header), Some(matches), None) => Some(Self::Header(header, matches)),
            (None, None, Some(body)) => Some(Self::Body(body)),
            _ => {
                section.problem("needs header and matches, or body_regex");
                None
            }
        };
        section.finish();
        rule
    }
}
