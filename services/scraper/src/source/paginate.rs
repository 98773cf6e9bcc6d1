//! How a list goes on from page to page, and how its end is known.

use super::{
    pick::{Format, Pick, Scope},
    section::Section,
};
use std::collections::BTreeSet;

/// The names that stand for places in a list; no variable may have one of them.
pub(super) const RESERVED: [&str; 4] = ["page", "size", "offset", "cursor"];

/// How a list that has several pages goes on.
#[derive(Debug, Clone)]
pub(crate) struct Paginate {
    /// How.
    pub(crate) kind: PageKind,
    /// Rows of a page, for `{{size}}`.
    pub(crate) size: u32,
    /// More pages than this are not asked for; the listing then counts as incomplete.
    pub(crate) max_pages: u32,
}

/// How a list goes on.
#[derive(Debug, Clone)]
pub(crate) enum PageKind {
    /// By a number that is known before the page is: of the page or of its first row.
    Numbered(Numbering),
    /// By a text that each page hands to the next one.
    Cursor {
        /// Where it is; nothing there is the end.
        cursor: Pick,
        /// The text for the first page.
        first: String,
    },
    /// By a link on the page; none is the end.
    Next(Pick),
    /// By the link `rel="next"` in the header `Link`; none is the end.
    LinkHeader,
}

/// Pages by their number.
#[derive(Debug, Clone)]
pub(crate) struct Numbering {
    /// `page` or `offset`.
    pub(crate) name: &'static str,
    /// The first number.
    pub(crate) start: u32,
    /// From each number to the next.
    pub(crate) stride: u32,
    /// How the end is known.
    pub(crate) until: Until,
}

/// How the end of numbered pages is known.
#[derive(Debug, Clone)]
pub(crate) enum Until {
    /// By a page without rows; pages are asked for one after another.
    Empty,
    /// By a page with fewer rows than `size`; pages are asked for one after another.
    Short,
    /// By the number of pages that the first page tells; the others are asked for at once.
    TotalPages(Pick),
    /// By the number of rows that the first page tells; the others are asked for at once.
    TotalRows(Pick),
}

impl Paginate {
    pub(super) fn decode(step: &Section<'_>, format: Format) -> Option<Self> {
        let section = step.section("paginate", &format!("{}: paginate", step.name()))?;
        let size = section.integer("size", 1..=10_000, 100);
        let max_pages = section.integer("max_pages", 1..=10_000, 50);
        let kind = section.parsed("kind", |text| match text {
            "page" | "offset" | "cursor" | "next_link" | "link_header" => Ok(text.to_owned()),
            _ => Err(format!(
                "{text:?} is no kind: write \"page\", \"offset\", \"cursor\", \"next_link\" or \"link_header\""
            )),
        });
        let kind = section.require("kind", kind);
        let decoded = match kind.as_deref() {
            Some("page") => Numbering::decode(&section, "page", 1, 1, format).map(PageKind::Numbered),
            Some("offset") => Numbering::decode(&section, "offset", 0, size, format).map(PageKind::Numbered),
            Some("cursor") => {
                let cursor = place(&section, "cursor", format);
                let first = section.text("first").map(|text| text.text.to_owned());
                cursor.map(|cursor| PageKind::Cursor {
                    cursor,
                    first: first.unwrap_or_default(),
                })
            }
            Some("next_link") => place(&section, "next", format).map(PageKind::Next),
            Some(_) => Some(PageKind::LinkHeader),
            None => None,
        };
        // Without it nobody knows which keys there are, so none of them is wrong.
        kind?;
        section.finish();
        Some(Self {
            kind: decoded?,
            size,
            max_pages,
        })
    }

    /// The names that its requests may use, that of the place in the list first.
    pub(super) fn names(&self) -> &'static [&'static str] {
        match &self.kind {
            PageKind::Numbered(Numbering { name: "page", .. }) => &["page", "size"],
            PageKind::Numbered(_) => &["offset", "size"],
            PageKind::Cursor { .. } => &["cursor", "size"],
            PageKind::Next(_) | PageKind::LinkHeader => &["size"],
        }
    }

    /// The name without which each request would ask for the first page again.
    pub(super) fn needed(&self) -> Option<&'static str> {
        self.names().first().copied().filter(|name| *name != "size")
    }
}

impl Numbering {
    fn decode(
        section: &Section<'_>,
        name: &'static str,
        first: u32,
        stride: u32,
        format: Format,
    ) -> Option<Self> {
        let start = section.integer("start", 0..=1_000_000, first);
        let until = section.parsed("until", |text| match text {
            "empty" => Ok(Until::Empty),
            "short" => Ok(Until::Short),
            _ => Err(format!(
                "{text:?} is not known: write \"empty\" or \"short\", or total_pages = … or total_rows = …"
            )),
        });
        let pages = section
            .value("total_pages")
            .and_then(|_| place(section, "total_pages", format));
        let rows = section
            .value("total_rows")
            .and_then(|_| place(section, "total_rows", format));
        let found = ["until", "total_pages", "total_rows"].map(|key| usize::from(section.has(key)));
        match found.iter().sum() {
            0_usize => section.problem("until, total_pages or total_rows is missing"),
            1 => {}
            _ => section.problem("until, total_pages and total_rows exclude each other"),
        }
        let until = until
            .or(pages.map(Until::TotalPages))
            .or(rows.map(Until::TotalRows))?;
        Some(Self {
            name,
            start,
            stride,
            until,
        })
    }
}

/// A place on the page, in its short form or as a table.
fn place(section: &Section<'_>, key: &'static str, format: Format) -> Option<Pick> {
    let scope = Scope {
        format,
        vars: BTreeSet::new(),
    };
    section.require(key, Pick::of_key(section, key, &scope))
}
