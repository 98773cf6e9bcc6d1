//! The configuration file, as it stands there.

use std::{
    fs,
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What a file says.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) entries: Vec<Entry>,
}

/// One line of it.
#[derive(Debug)]
pub(super) struct Entry {
    /// The table that it stands in; `None`: at the top.
    pub(super) section: Option<String>,
    pub(super) key: String,
    pub(super) values: Vec<String>,
    pub(super) line: usize,
    /// Where that is, for a person.
    pub(super) at: String,
}

impl File {
    /// Reads a file; gives everything about it that is no configuration.
    pub(super) fn read(path: &Path) -> Result<Self, Vec<String>> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| vec![format!("{shown}: {error}")])?;
        let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let (table, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            let told = errors.iter().map(|error| {
                let at = error.span().map_or(0, |span| span.start);
                format!("{shown}:{}: not TOML: {}", line(at), error.message())
            });
            return Err(told.collect());
        }
        let mut file = Self {
            path: path.to_owned(),
            entries: Vec::new(),
        };
        let mut problems = Vec::new();
        let mut take = |section: Option<&str>, key: &str, value: &Spanned<DeValue<'_>>| {
            let line = line(value.span().start);
            let at = match section {
                Some(section) => format!("{shown}:{line}: [{section}]"),
                None => format!("{shown}:{line}"),
            };
            match texts(value.get_ref()) {
                Some(values) => file.entries.push(Entry {
                    section: section.map(str::to_owned),
                    key: key.to_owned(),
                    values,
                    line,
                    at,
                }),
                None => problems.push(format!(
                    "{at}: {key} must be a text, a number, true, false, or a list of these"
                )),
            }
        };
        for (key, value) in table.get_ref() {
            match value.get_ref() {
                DeValue::Table(section) => {
                    for (inner, value) in section {
                        take(Some(key.get_ref()), inner.get_ref(), value);
                    }
                }
                _ => take(None, key.get_ref(), value),
            }
        }
        file.entries.sort_by_key(|entry| entry.line);
        if problems.is_empty() {
            Ok(file)
        } else {
            Err(problems)
        }
    }

    /// What it says of an option of a command: its own table has more right than the top.
    pub(super) fn find(&self, section: &str, key: &str) -> Option<&Entry> {
        let of = |section: Option<&str>| {
            self.entries
                .iter()
                .find(|entry| entry.key == key && entry.section.as_deref() == section)
        };
        of(Some(section)).or_else(|| of(None))
    }
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(values) => values.iter().map(|value| text(value.get_ref())).collect(),
        single => text(single).map(|text| vec![text]),
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}
