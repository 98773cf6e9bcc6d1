//! What the bytes of a page are: JSON, HTML, a JSON value on each line, a table of CSV, or JSON inside of another
//! page.

use super::{
    field,
    pick::{Format, Pick},
    section::Section,
};
use regex::Regex;

/// What the bytes of a page are.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// One JSON value.
    Json,
    /// HTML.
    Html,
    /// A JSON value on each line; the page is the array of them.
    Ndjson,
    /// A table; the page is the array of its rows, which are objects of texts.
    Csv(CsvRule),
    /// JSON inside of a page of HTML or JSON, or of any other text.
    Embedded(Box<Embedded>),
}

/// How a table is written.
#[derive(Debug, Clone)]
pub(crate) struct CsvRule {
    /// What stands between two cells.
    pub(crate) delimiter: u8,
    /// The names of the columns, where the first line does not have them.
    pub(crate) columns: Option<Vec<String>>,
    /// Lines of one value in this column, one after another, are one row.
    pub(crate) group_by: Option<String>,
}

/// Where JSON is in a page.
#[derive(Debug, Clone)]
pub(crate) struct Embedded {
    /// Where the text is that holds it; none means the whole page.
    pub(crate) place: Option<Pick>,
    /// Its first group, or else all that it matches, is the JSON.
    pub(crate) regex: Option<Regex>,
}

impl Body {
    /// Reads `format`, `csv` and `embedded`.
    pub(super) fn decode(step: &Section<'_>) -> Self {
        let format = step.parsed("format", |text| match text {
            "json" => Ok(Self::Json),
            "html" => Ok(Self::Html),
            "ndjson" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv(CsvRule::default())),
            _ => Err(format!(
                "{text:?} is no format: write \"json\", \"html\", \"ndjson\" or \"csv\""
            )),
        });
        let csv = CsvRule::decode(step);
        let embedded = Embedded::decode(step);
        match (format.unwrap_or(Self::Json), csv, embedded) {
            (Self::Csv(_), Some(rule), _) => Self::Csv(rule),
            (Self::Json, None, Some(embedded)) => Self::Embedded(Box::new(embedded)),
            (body, csv, embedded) => {
                if csv.is_some() {
                    step.problem("csv stands only beside format = \"csv\"");
                }
                if embedded.is_some() {
                    step.problem("embedded gives JSON, so format must be \"json\" or not there");
                }
                body
            }
        }
    }

    /// How values are looked for in it.
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Html => Format::Html,
            Self::Json | Self::Ndjson | Self::Csv(_) | Self::Embedded(_) => Format::Json,
        }
    }

    /// Whether the page itself is HTML.
    pub(super) fn is_html(&self) -> bool {
        match self {
            Self::Html => true,
            Self::Embedded(embedded) => matches!(embedded.place, Some(Pick::Css { .. })),
            Self::Json | Self::Ndjson | Self::Csv(_) => false,
        }
    }

    /// Whether the page is a list of rows by itself.
    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::Ndjson | Self::Csv(_))
    }
}

impl Default for CsvRule {
    fn default() -> Self {
        Self {
            delimiter: b',',
            columns: None,
            group_by: None,
        }
    }
}

impl CsvRule {
    fn decode(step: &Section<'_>) -> Option<Self> {
        let section = step.section("csv", &format!("{}: csv", step.name()))?;
        let delimiter = section.parsed("delimiter", |text| match text.as_bytes() {
            [b] if b.is_ascii() && !matches!(b, b'"' | b'\r' | b'\n') => Ok(*b),
            _ => Err("must be one ASCII character, as in \";\" or \"\\t\""),
        });
        let columns: Vec<String> = section
            .array("columns")
            .into_iter()
            .filter_map(|value| section.as_text("columns", value))
            .map(|text| text.text.to_owned())
            .collect();
        let columns = Some(columns).filter(|_| section.has("columns"));
        let group_by = section.text("group_by");
        if let (Some(group), Some(columns)) = (&group_by, &columns)
            && !columns.iter().any(|column| column == group.text)
        {
            section.problem_at("group_by", &group.at, "must be one of columns");
        }
        section.finish();
        Some(Self {
            delimiter: delimiter.unwrap_or(b','),
            columns,
            group_by: group_by.map(|text| text.text.to_owned()),
        })
    }
}

impl Embedded {
    fn decode(step: &Section<'_>) -> Option<Self> {
        let section = step.section("embedded", &format!("{}: embedded", step.name()))?;
        let (html, json) = (section.has("css") || section.has("attr"), section.has("path"));
        let place = match (html, json) {
            (true, true) => {
                section.problem("css and path exclude each other");
                None
            }
            (true, false) => Pick::in_page(&section, Format::Html),
            (false, true) => Pick::in_page(&section, Format::Json),
            (false, false) => None,
        };
        for key in ["css", "attr", "path"] {
            // Known, whichever of them is there.
            section.value(key);
        }
        let regex = section.parsed("regex", field::regex);
        if !html && !json && !section.has("regex") {
            section.problem("css, path or regex is missing");
        }
        section.finish();
        Some(Self { place, regex })
    }
}
