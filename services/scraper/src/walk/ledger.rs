//! What a walk has to answer for: pages read and lost, rows good and bad.

use super::Fault;
use crate::reading::Pages;
use oddswire_protocol::{
    EventId,
    progress::{ErrorType, Outcome},
};
use std::collections::BTreeSet;

/// Rows of one phase. A page that could not be read for its layout counts as a bad row.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Rows {
    /// All rows.
    pub(super) all: u64,
    /// Those of them that lack required fields.
    pub(super) bad: u64,
}

impl Rows {
    /// The share of bad rows, 0 to 1.
    pub(super) fn bad_share(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
        let share = self.bad as f64 / self.all.max(1) as f64;
        share
    }
}

/// The account of a walk.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Rows of the listings.
    pub(super) listed: Rows,
    /// Rows of the phase that goes on.
    pub(super) rows: Rows,
    /// Whether a page of a listing was lost, so that nobody knows all that there is.
    pub(super) listing_lost: bool,
    /// Events that were lost with their page or row.
    pub(super) lost: BTreeSet<EventId>,
    /// Whether events were lost of which nobody knows the ids.
    pub(super) lost_all: bool,
    /// Events whose pages are gone.
    pub(super) gone: BTreeSet<EventId>,
    /// The pages of this run. Those that were read get their events when these are mapped.
    pub(super) pages: Pages,
    /// Pages of events that failed, or that have rows that did; `None`: one that cannot be asked for again by itself.
    troubled: BTreeSet<Option<String>>,
    /// Whether only some of all pages of events were asked for.
    pub(super) part_only: bool,
    /// Why the site is no longer what the definition says, where that is known for certain.
    pub(super) broken: Option<String>,
    /// The failure that says most.
    worst: Option<Fault>,
}

impl Ledger {
    /// The listings are read; the rows from now on are events.
    pub(super) fn end_listing(&mut self) {
        self.listed = std::mem::take(&mut self.rows);
    }

    /// A page was read.
    pub(super) fn read(&mut self, rows: usize, bad: usize) {
        self.rows.all += rows as u64;
        self.rows.bad += bad as u64;
    }

    /// A page was lost. `known` are the events that it showed last time, where somebody knows.
    pub(super) fn fail(&mut self, fault: Fault, known: Option<&Vec<EventId>>) {
        if fault.error_type == ErrorType::SchemaDrift {
            self.read(1, 1);
        }
        match known {
            Some(events) => self.lost.extend(events.iter().cloned()),
            None => self.lose_all(),
        }
        if self
            .worst
            .as_ref()
            .is_none_or(|worst| weight(&fault) > weight(worst))
        {
            self.worst = Some(fault);
        }
    }

    /// The site is no longer what the definition says.
    pub(super) fn break_by(&mut self, fault: Fault) {
        self.broken = Some(fault.message.clone());
        self.fail(fault, None);
    }

    /// A page of which nobody knows what it would have shown, or a row of a listing, was lost.
    pub(super) fn lose_all(&mut self) {
        self.listing_lost = true;
        self.lost_all = true;
    }

    /// Something of this page failed; `None`: of one that cannot be asked for again by itself.
    pub(super) fn trouble(&mut self, page: Option<&str>) {
        self.troubled.insert(page.map(str::to_owned));
    }

    /// The pages that, asked for again, would make this whole; `None` when that is not all that failed.
    pub(super) fn to_retry(&self) -> Option<BTreeSet<String>> {
        if self.listing_lost || self.broken.is_some() || self.troubled.is_empty() {
            return None;
        }
        self.troubled.iter().cloned().collect()
    }

    /// A row was lost. `known` are the events that its page showed last time.
    pub(super) fn lose_row(&mut self, external_id: Option<&str>, known: Option<&Vec<EventId>>) {
        match (external_id, known) {
            (Some(id), _) => self.lost.extend([EventId::of(id)]),
            (None, Some(events)) => self.lost.extend(events.iter().cloned()),
            (None, None) => self.lost_all = true,
        }
    }

    /// Whether everything was read.
    pub(super) fn is_clean(&self) -> bool {
        self.worst.is_none() && self.rows.bad == 0 && !self.listing_lost
    }

    /// The failure that says most, and what it makes of a run in which nothing could be read.
    pub(super) fn worst(&self) -> Option<(Outcome, Fault)> {
        let fault = self.worst.clone()?;
        let outcome = match fault.error_type {
            ErrorType::Blocked => Outcome::Blocked,
            ErrorType::Robots if !fault.recoverable => Outcome::Blocked,
            ErrorType::Parse | ErrorType::SchemaDrift => Outcome::Broken,
            _ => Outcome::Unreachable,
        };
        Some((outcome, fault))
    }
}

/// How much a failure says about the site: that it refuses us more than that it changed, both more than that the
/// network was bad.
fn weight(fault: &Fault) -> u8 {
    match fault.error_type {
        ErrorType::Blocked => 3,
        ErrorType::Robots if !fault.recoverable => 3,
        ErrorType::SchemaDrift => 2,
        ErrorType::Parse => 1,
        _ => 0,
    }
}
