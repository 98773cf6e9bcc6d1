//! One value of a row: where it is and what is done with its text, in a fixed order.

use super::{
    pick::{Format, Pick, Scope},
    section::{Section, Text},
    transform::Transform,
    zone::Zone,
};
use regex::Regex;
use toml::{
    Spanned,
    de::{DeString, DeValue},
};

/// The longest regular expression in characters; longer ones are refused.
const REGEX_MAX: usize = 1_000;

/// A text of a row: picked, transformed, captured, prefixed.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Where it is.
    pub(crate) pick: Pick,
    /// Done first, in this order.
    pub(crate) transforms: Vec<Transform>,
    /// Then its first group, or else the whole match, is taken.
    pub(crate) regex: Option<Regex>,
    /// Then this is put before it.
    pub(crate) prefix: String,
    /// Whether a row without it is still a good row.
    pub(crate) optional: bool,
}

/// A moment of a row.
#[derive(Debug, Clone)]
pub(crate) struct TimeField {
    /// Its text.
    pub(crate) field: Field,
    /// How the text is read.
    pub(crate) form: TimeForm,
}

/// How a text is read as a moment. Each form knows its offset from UTC: a naive time is never guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeForm {
    /// RFC 3339 with an offset.
    Rfc3339,
    /// Milliseconds since 1970.
    EpochMs,
    /// Seconds since 1970.
    EpochSeconds,
    /// This pattern of `strftime`, on the clocks of this zone.
    Clock(String, Zone),
}

impl Field {
    /// Reads the field under `key`, if it is there.
    pub(super) fn optional(section: &Section<'_>, key: &'static str, scope: &Scope) -> Option<Self> {
        Self::of_value(section, key, section.value(key)?, scope)
    }

    /// Reads the field under `key`, which must be there.
    pub(super) fn required(section: &Section<'_>, key: &'static str, scope: &Scope) -> Option<Self> {
        section.require(key, Self::optional(section, key, scope))
    }

    /// Reads a field from a value: the short form, or a table.
    pub(super) fn of_value<'t>(
        section: &Section<'t>,
        key: &str,
        value: &'t Spanned<DeValue<'t>>,
        scope: &Scope,
    ) -> Option<Self> {
        if let DeValue::String(text) = value.get_ref() {
            return Self::short(section, key, text, value, scope.format);
        }
        let table = section.as_section(key, value, format!("{}: {key}", section.name()))?;
        let field = Self::of_table(&table, scope);
        table.finish();
        field
    }

    fn short<'t>(
        section: &Section<'t>,
        key: &str,
        text: &'t DeString<'t>,
        value: &Spanned<DeValue<'t>>,
        format: Format,
    ) -> Option<Self> {
        let at = value.span();
        Some(Self {
            pick: Pick::short(section, key, &Text { text, at }, format)?,
            transforms: Vec::new(),
            regex: None,
            prefix: String::new(),
            optional: false,
        })
    }

    fn of_table(table: &Section<'_>, scope: &Scope) -> Option<Self> {
        let pick = Pick::decode(table, scope);
        let transforms = table.array("transforms").into_iter();
        let transforms = transforms
            .filter_map(|value| Transform::decode(table, value))
            .collect();
        let regex = table.parsed("regex", regex);
        let prefix = table.text("prefix").map(|text| text.text.to_owned());
        let optional = table.boolean("optional", false);
        Some(Self {
            pick: pick?,
            transforms,
            regex,
            prefix: prefix.unwrap_or_default(),
            optional,
        })
    }
}

impl TimeField {
    /// Reads the field under `key`, if it is there.
    pub(super) fn optional(section: &Section<'_>, key: &'static str, scope: &Scope) -> Option<Self> {
        let value = section.value(key)?;
        if let DeValue::String(_) = value.get_ref() {
            return Some(Self {
                field: Field::of_value(section, key, value, scope)?,
                form: TimeForm::Rfc3339,
            });
        }
        let table = section.as_section(key, value, format!("{}: {key}", section.name()))?;
        let form = Self::form(&table);
        let field = Field::of_table(&table, scope);
        table.finish();
        Some(Self { field: field?, form })
    }

    fn form(table: &Section<'_>) -> TimeForm {
        let epoch = table.parsed("epoch", |text| match text {
            "ms" => Ok(TimeForm::EpochMs),
            "s" => Ok(TimeForm::EpochSeconds),
            _ => Err(format!("{text:?} is no unit: write \"ms\" or \"s\"")),
        });
        let timezone = table.parsed("timezone", Zone::parse);
        let format = table.parsed("format", |text| {
            chrono::format::StrftimeItems::new(text)
                .all(|item| item != chrono::format::Item::Error)
                .then(|| text.to_owned())
                .ok_or_else(|| format!("{text:?} is no pattern of strftime, as in \"%Y-%m-%d %H:%M\""))
        });
        match (&epoch, &format, &timezone) {
            (Some(_), Some(_), _) => table.problem("epoch and format exclude each other"),
            (None, Some(_), None) if !table.has("timezone") => {
                table.problem("timezone is missing: a time without an offset is never guessed");
            }
            (_, None, Some(_)) => table.problem("timezone stands only beside format"),
            _ => {}
        }
        let clock = format
            .zip(timezone)
            .map(|(format, zone)| TimeForm::Clock(format, zone));
        epoch.or(clock).unwrap_or(TimeForm::Rfc3339)
    }
}

/// Reads a regular expression. They run in linear time; their length is limited.
pub(super) fn regex(text: &str) -> Result<Regex, String> {
    if text.len() > REGEX_MAX {
        return Err(format!("longer than {REGEX_MAX} characters"));
    }
    Regex::new(text).map_err(|error| {
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default();
        format!("bad regular expression {text:?}: {reason}")
    })
}
