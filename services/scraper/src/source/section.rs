//! A table of a source file, read key by key: each wrong, missing or unknown key is noted and reading goes on.

use super::{
    problem::{LoadError, Problems},
    quantity,
};
use oddswire_kit::nearest::nearest;
use std::{cell::RefCell, fmt::Display, ops::Range, ops::RangeInclusive, time::Duration};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A text of the file and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Text<'t> {
    pub(super) text: &'t str,
    pub(super) at: Range<usize>,
}

/// One table of the file.
#[derive(Debug)]
pub(super) struct Section<'t> {
    table: &'t DeTable<'t>,
    at: Range<usize>,
    /// How messages name it: `[source.http]`, `step "events"`.
    name: String,
    problems: &'t Problems<'t>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'t> Section<'t> {
    pub(super) fn new(
        table: &'t DeTable<'t>,
        at: Range<usize>,
        name: String,
        problems: &'t Problems<'t>,
    ) -> Self {
        Self {
            table,
            at,
            name,
            problems,
            asked: RefCell::default(),
        }
    }

    /// Names the section otherwise from now on.
    pub(super) fn rename(&mut self, name: String) {
        self.name = name;
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Notes a problem of this section as a whole.
    pub(super) fn problem(&self, what: impl Display) {
        self.problems.add(&self.at, format!("{}: {what}", self.name));
    }

    /// Notes a problem of one key, at the place of its value.
    pub(super) fn problem_at(&self, key: &str, at: &Range<usize>, what: impl Display) {
        self.problems.add(at, format!("{}: {key}: {what}", self.name));
    }

    /// The value of a key; `None` when it is not there. The key counts as known from now on.
    pub(super) fn value(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    /// The value of a key, without a word about it.
    pub(super) fn peek(&self, key: &str) -> Option<&'t DeValue<'t>> {
        self.table.get(key).map(Spanned::get_ref)
    }

    /// Notes what is wrong with a file that this one includes.
    pub(super) fn absorb(&self, found: Vec<LoadError>) {
        self.problems.absorb(found);
    }

    /// Whether the key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Passes the value on, or notes that the key must be there.
    pub(super) fn require<T>(&self, key: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(key) {
            self.problem(format_args!("{key} is missing"));
        }
        value
    }

    pub(super) fn text(&self, key: &'static str) -> Option<Text<'t>> {
        let value = self.value(key)?;
        self.as_text(key, value)
    }

    /// The value as a text, or a problem.
    pub(super) fn as_text(&self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Option<Text<'t>> {
        match value.get_ref() {
            DeValue::String(text) => Some(Text {
                text,
                at: value.span(),
            }),
            other => {
                self.wrong(key, &value.span(), "a text in quotes", other);
                None
            }
        }
    }

    /// A text that `read` makes something of, or says what is wrong with.
    pub(super) fn parsed<T, E: Display>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        read(text.text)
            .map_err(|error| self.problem_at(key, &text.at, error))
            .ok()
    }

    pub(super) fn boolean(&self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.value(key) else {
            return default;
        };
        if let DeValue::Boolean(value) = value.get_ref() {
            return *value;
        }
        self.wrong(key, &value.span(), "true or false", value.get_ref());
        default
    }

    /// A number in a range; `default` when the key is not there.
    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<f64>, default: f64) -> f64 {
        let Some(value) = self.value(key) else {
            return default;
        };
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => number,
            Some(_) => {
                let expected = format!("must be from {} to {}", range.start(), range.end());
                self.problem_at(key, &value.span(), expected);
                default
            }
            None => {
                self.wrong(key, &value.span(), "a number", value.get_ref());
                default
            }
        }
    }

    /// A whole number in a range; `default` when the key is not there.
    pub(super) fn integer(&self, key: &'static str, range: RangeInclusive<u32>, default: u32) -> u32 {
        let Some(value) = self.value(key) else {
            return default;
        };
        self.as_integer(key, value, range).unwrap_or(default)
    }

    /// The value as a whole number in a range, or a problem.
    pub(super) fn as_integer(
        &self,
        key: &str,
        value: &Spanned<DeValue<'t>>,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong(key, &value.span(), "a whole number", value.get_ref());
            return None;
        };
        let number = u32::from_str_radix(number.as_str(), number.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let expected = format!("must be from {} to {}", range.start(), range.end());
            self.problem_at(key, &value.span(), expected);
        }
        number
    }

    /// A duration such as `"10s"` in a range.
    pub(super) fn duration(&self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.parsed(key, |text| {
            let duration = quantity::duration(text)?;
            if range.contains(&duration) {
                return Ok(duration);
            }
            Err(format!("must be from {:?} to {:?}", range.start(), range.end()))
        })
    }

    /// A table below this one; messages call it `name`.
    pub(super) fn section(&self, key: &'static str, name: &str) -> Option<Self> {
        let value = self.value(key)?;
        self.as_section(key, value, name.to_owned())
    }

    /// The value as a table, or a problem.
    pub(super) fn as_section(
        &self,
        key: &str,
        value: &'t Spanned<DeValue<'t>>,
        name: String,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::new(table, value.span(), name, self.problems)),
            other => {
                self.wrong(key, &value.span(), "a table", other);
                None
            }
        }
    }

    /// The tables of an array of tables, in the order of the file; messages call each of them `name`.
    pub(super) fn sections(&self, key: &'static str, name: &str) -> Vec<Self> {
        self.array(key)
            .into_iter()
            .filter_map(|value| self.as_section(key, value, name.to_owned()))
            .collect()
    }

    /// The values of an array; none when the key is not there.
    pub(super) fn array(&self, key: &'static str) -> Vec<&'t Spanned<DeValue<'t>>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        if let DeValue::Array(values) = value.get_ref() {
            return values.iter().collect();
        }
        self.wrong(key, &value.span(), "an array", value.get_ref());
        Vec::new()
    }

    /// All keys with their values, for tables whose keys are free.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Text<'t>, &'t Spanned<DeValue<'t>>)> + use<'t> {
        self.table.iter().map(|(key, value)| {
            let text = Text {
                text: key.get_ref(),
                at: key.span(),
            };
            (text, value)
        })
    }

    /// Notes each key that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.into_inner();
        for key in self
            .table
            .keys()
            .filter(|key| !asked.contains(&key.get_ref().as_ref()))
        {
            let hint = nearest(key.get_ref(), asked.iter().copied()).map_or_else(
                || format!("known here: {}", asked.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            let message = format!("{}: unknown key {:?} ({hint})", self.name, key.get_ref());
            self.problems.add(&key.span(), message);
        }
    }

    fn wrong(&self, key: &str, at: &Range<usize>, expected: &str, got: &DeValue<'_>) {
        let got = match got {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.problem_at(key, at, format_args!("must be {expected}, not {got}"));
    }
}
