//! Questions about a row that are answered with yes or no.

use super::{
    field,
    pick::{Pick, Scope},
    section::Section,
};
use regex::Regex;
use toml::{Spanned, de::DeValue};

/// Whether a value is as expected. A value that is not there never is.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// The value.
    pub(crate) pick: Pick,
    /// What is expected of its text.
    pub(crate) test: Test,
}

/// What is expected of a text.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// That it is one of these.
    Equals(Vec<String>),
    /// That the expression is found in it.
    Matches(Regex),
}

impl Test {
    /// Whether the text is as expected.
    pub(crate) fn passes(&self, text: &str) -> bool {
        match self {
            Self::Equals(texts) => texts.iter().any(|expected| expected == text),
            Self::Matches(regex) => regex.is_match(text),
        }
    }
}

/// When a bet is taken.
#[derive(Debug, Clone)]
pub(crate) enum OpenRule {
    /// Always.
    Always,
    /// When the condition holds; a state that is not known is not open.
    When(Condition),
    /// Unless the condition holds.
    Unless(Condition),
}

impl Condition {
    /// Reads the condition under `key`, if it is there.
    pub(super) fn decode(section: &Section<'_>, key: &'static str, scope: &Scope) -> Option<Self> {
        let name = format!("{}: {key}", section.name());
        let table = section.section(key, &name)?;
        let pick = Pick::decode(&table, scope);
        let equals = table.value("equals").map(|value| Self::texts(&table, value));
        let matches = table.parsed("matches", field::regex);
        let test = match (equals, matches) {
            (Some(texts), None) => Some(Test::Equals(texts)),
            (None, Some(regex)) => Some(Test::Matches(regex)),
            (Some(_), Some(_)) => {
                table.problem("equals and matches exclude each other");
                None
            }
            (None, None) => {
                table.problem("equals or matches is missing");
                None
            }
        };
        table.finish();
        Some(Self {
            pick: pick?,
            test: test?,
        })
    }

    fn texts<'t>(table: &Section<'t>, value: &'t Spanned<DeValue<'t>>) -> Vec<String> {
        match value.get_ref() {
            DeValue::String(text) => vec![text.to_string()],
            DeValue::Boolean(value) => vec![value.to_string()],
            DeValue::Integer(number) => vec![number.to_string()],
            DeValue::Array(values) => values
                .iter()
                .flat_map(|value| Self::texts(table, value))
                .collect(),
            _ => {
                let expected = "must be a text, a whole number, true or false, or an array of them";
                table.problem_at("equals", &value.span(), expected);
                Vec::new()
            }
        }
    }
}

impl OpenRule {
    /// Reads `open_when` or `suspended_when`.
    pub(super) fn decode(section: &Section<'_>, scope: &Scope) -> Self {
        let open = Condition::decode(section, "open_when", scope);
        let suspended = Condition::decode(section, "suspended_when", scope);
        match (open, suspended) {
            (Some(_), Some(_)) => {
                section.problem("open_when and suspended_when exclude each other");
                Self::Always
            }
            (Some(open), None) => Self::When(open),
            (None, Some(suspended)) => Self::Unless(suspended),
            (None, None) => Self::Always,
        }
    }
}
