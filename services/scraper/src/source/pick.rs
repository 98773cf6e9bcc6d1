//! What is taken from a page: JSONPath (RFC 9535) for JSON, CSS selectors for HTML, or a value found on the way here.

use super::section::{Section, Text};
use scraper::Selector;
use serde_json_path::JsonPath;
use std::{collections::BTreeSet, fmt::Display};
use toml::de::DeValue;

/// How values are looked for in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As in JSON, by paths.
    Json,
    /// As in HTML, by selectors.
    Html,
}

/// What the keys of a step may refer to.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) format: Format,
    /// Variables of the steps before.
    pub(super) vars: BTreeSet<String>,
}

impl Scope {
    /// What to say about a variable that is not there.
    pub(super) fn unknown_var(&self, name: &str) -> String {
        let known: Vec<_> = self.vars.iter().map(String::as_str).collect();
        format!("unknown variable {name:?} (known here: {})", known.join(", "))
    }
}

/// Where one value is.
#[derive(Debug, Clone)]
pub(crate) enum Pick {
    /// The first node that the path finds.
    Json(JsonPath),
    /// The first visible element that the selector finds, or the row itself.
    Css {
        /// Below the row; none means the row itself.
        selector: Option<Selector>,
        /// This attribute of it; none means its text.
        attr: Option<String>,
    },
    /// A variable of a step before.
    Var(String),
}

impl Pick {
    /// Reads the short form: a path or a selector alone. In HTML `.` means the text of the row itself.
    pub(super) fn short(section: &Section<'_>, key: &str, text: &Text<'_>, format: Format) -> Option<Self> {
        match format {
            Format::Json => json_path(section, key, text).map(Self::Json),
            Format::Html => Some(Self::Css {
                selector: match text.text {
                    "." => None,
                    _ => Some(css(section, key, text)?),
                },
                attr: None,
            }),
        }
    }

    /// Reads the place under `key`, if it is there: in its short form, or as a table.
    pub(super) fn of_key(section: &Section<'_>, key: &'static str, scope: &Scope) -> Option<Self> {
        let value = section.value(key)?;
        if let DeValue::String(text) = value.get_ref() {
            let at = value.span();
            return Self::short(section, key, &Text { text, at }, scope.format);
        }
        let table = section.as_section(key, value, format!("{}: {key}", section.name()))?;
        let pick = Self::decode(&table, scope);
        table.finish();
        pick
    }

    /// Reads `path`, or `css` and `attr`, or `var`.
    pub(super) fn decode(section: &Section<'_>, scope: &Scope) -> Option<Self> {
        if let Some(name) = section.text("var") {
            if !scope.vars.contains(name.text) {
                section.problem_at("var", &name.at, scope.unknown_var(name.text));
                return None;
            }
            return Some(Self::Var(name.text.to_owned()));
        }
        Self::in_page(section, scope.format)
    }

    /// Reads `path`, or `css` and `attr`.
    pub(super) fn in_page(section: &Section<'_>, format: Format) -> Option<Self> {
        match format {
            Format::Json => {
                let path = section.require("path", section.text("path"))?;
                json_path(section, "path", &path).map(Self::Json)
            }
            Format::Html => {
                let (selector, attr) = (section.text("css"), section.text("attr"));
                if selector.is_none() && attr.is_none() {
                    section.problem("css or attr is missing");
                    return None;
                }
                Some(Self::Css {
                    selector: match selector {
                        Some(text) => Some(css(section, "css", &text)?),
                        None => None,
                    },
                    attr: attr.map(|attr| attr.text.to_owned()),
                })
            }
        }
    }
}

/// Where the rows of a page or of a row are, and how an empty list is told from one that is not there.
#[derive(Debug, Clone)]
pub(crate) enum Each {
    /// All members of the array or object that the path finds.
    Json(JsonPath),
    /// All visible elements that `rows` finds below what `within` finds.
    Css {
        /// Below the page or the row; none means the row itself, which is there for certain.
        within: Option<Selector>,
        /// The rows.
        rows: Selector,
    },
}

impl Each {
    /// All members of the page itself.
    pub(super) fn all() -> Self {
        Self::Json(JsonPath::parse("$").expect("$ is a path"))
    }

    /// Reads the rows of a page: `each`, and in HTML also `within`.
    pub(super) fn of_page(section: &Section<'_>, format: Format) -> Option<Self> {
        let each = section.text("each");
        if format == Format::Json {
            return json_each(section, "each", &each?).map(Self::Json);
        }
        let within = section.text("within");
        let within = match (&each, within) {
            (Some(_), None) => {
                let why = "is needed in HTML, to tell a page without rows from a page with another layout";
                section.problem(format_args!("within {why}"));
                None
            }
            (None, Some(within)) => {
                section.problem_at("within", &within.at, "stands only beside each");
                None
            }
            (_, within) => within,
        };
        Some(Self::Css {
            within: Some(css(section, "within", &within?)?),
            rows: css(section, "each", &each?)?,
        })
    }

    /// Reads the rows of a row: `each`.
    pub(super) fn of_row(section: &Section<'_>, format: Format) -> Option<Self> {
        let each = section.require("each", section.text("each"))?;
        match format {
            Format::Json => json_each(section, "each", &each).map(Self::Json),
            Format::Html => Some(Self::Css {
                within: None,
                rows: css(section, "each", &each)?,
            }),
        }
    }
}

/// A path that ends in `[*]`; gives the path of what holds the members.
pub(super) fn json_each(section: &Section<'_>, key: &str, text: &Text<'_>) -> Option<JsonPath> {
    let container = text
        .text
        .strip_suffix("[*]")
        .filter(|container| !["*", "..", "?"].iter().any(|many| container.contains(many)));
    let Some(container) = container else {
        let why = "must find one array or object and end in [*], as in \"$.data.events[*]\"";
        section.problem_at(key, &text.at, why);
        return None;
    };
    let container = Text {
        text: container,
        at: text.at.clone(),
    };
    json_path(section, key, &container)
}

/// A JSONPath, or a problem.
pub(super) fn json_path(section: &Section<'_>, key: &str, text: &Text<'_>) -> Option<JsonPath> {
    JsonPath::parse(text.text)
        .map_err(|error| bad(section, key, text, "JSONPath", error))
        .ok()
}

fn css(section: &Section<'_>, key: &str, text: &Text<'_>) -> Option<Selector> {
    let reason = |error: scraper::error::SelectorErrorKind| match error {
        scraper::error::SelectorErrorKind::UnexpectedSelectorParseError(_) => "not understood".to_owned(),
        error => error.to_string(),
    };
    Selector::parse(text.text)
        .map_err(|error| bad(section, key, text, "CSS selector", reason(error)))
        .ok()
}

fn bad(section: &Section<'_>, key: &str, text: &Text<'_>, kind: &str, error: impl Display) {
    section.problem_at(key, &text.at, format_args!("bad {kind} {:?}: {error}", text.text));
}
