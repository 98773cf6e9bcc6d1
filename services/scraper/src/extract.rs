//! Takes rows out of pages: bytes in, owned rows out, nothing of the page is kept.
//!
//! Pure: the same page gives the same rows. Whatever a page holds, the answer is rows or an [`Error`], never a panic.
//! A block page, a page that was cut off, a page of another layout and a page without rows are four different
//! answers.

mod body;
mod document;
mod error;
mod event;
mod market;
mod node;
mod onward;
mod transform;
mod value;

pub(crate) use error::Error;
#[cfg(test)]
use event::MissingRow;
pub(crate) use event::{EventRows, RawEvent, RawLine, RawMarket, RawOutcome};
pub(crate) use onward::Onward;
pub(crate) use value::{Quoted, quoted};

use crate::{
    fetch::Page,
    source::{Source, Step, Vars},
};
use document::Document;

/// The rows of a listing, as variables for the step after. Each holds the variables of the steps before too.
///
/// # Errors
/// That the page is none, or not of this layout; so is one whose rows all lack a variable.
pub(crate) fn listing(source: &Source, step: &Step, page: &Page, vars: &Vars) -> Result<Listing, Error> {
    let document = Document::parse(source, step, page)?;
    let root = document.root();
    let onward = Onward::of(step, root, page, vars);
    let rows = node::page_rows(step, root)?;
    let count = rows.len();
    let mut missing: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for row in rows {
        let mut row_vars = vars.clone();
        let lacking = step.vars.iter().find(|(name, field)| {
            let value = row.text_of(field, vars).into_text();
            let lacks = value.is_none() && !field.optional;
            row_vars.insert((*name).clone(), value.unwrap_or_default());
            lacks
        });
        match lacking {
            Some((name, _)) => missing.push(name.clone()),
            None => found.push(row_vars),
        }
    }
    match missing.first() {
        Some(name) if found.is_empty() => Err(Error::Drift(format!("no row has {name}"))),
        _ => Ok(Listing {
            rows: found,
            missing,
            count,
            onward,
        }),
    }
}

/// The rows of a page of a listing.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The good rows.
    pub(crate) rows: Vec<Vars>,
    /// For each other row a variable that it lacks.
    pub(crate) missing: Vec<String>,
    /// Rows of both kinds.
    pub(crate) count: usize,
    /// Where the list goes on.
    pub(crate) onward: Onward,
}

/// The rows of a page of the event step.
///
/// # Errors
/// That the page is none, or not of this layout; so is one whose rows all lack a required field.
pub(crate) fn events(source: &Source, step: &Step, page: &Page, vars: &Vars) -> Result<EventRows, Error> {
    let document = Document::parse(source, step, page)?;
    let root = document.root();
    let onward = Onward::of(step, root, page, vars);
    let rule = step
        .event
        .as_ref()
        .expect("loading refuses a last step without an event rule");
    let mut found = EventRows {
        events: Vec::new(),
        missing: Vec::new(),
        onward,
    };
    for row in node::page_rows(step, root)? {
        match event::read(rule, row, vars) {
            Ok(event) => found.events.push(event),
            Err(missing) => found.missing.push(missing),
        }
    }
    match found.missing.first() {
        Some(row) if found.events.is_empty() => Err(Error::Drift(format!("no row has {}", row.field))),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests;
