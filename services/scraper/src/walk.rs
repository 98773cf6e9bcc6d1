//! One scrape of one source, in three steps that the run engine calls one after another:
//! [`Walk::discover`] finds what there is to fetch, [`Walk::scrape`] fetches it and takes raw rows out of it,
//! [`Walk::map`] puts the rows into our names.
//!
//! A page that fails never stops the others: what it may have shown becomes unconfirmed. Whatever goes wrong is told
//! to the [`Observer`] once, where it happens.

mod harvest;
mod ledger;
mod lists;
mod mapping;
mod meter;
mod observer;
mod pages;
mod way;

pub(crate) use lists::first_ask;
pub use observer::{Fault, Observer};
pub(crate) use pages::request;
pub(crate) use way::Way;

use crate::{
    extract,
    fetch::{self, Budget, Fetcher},
    reading::{Harvest, Pages},
    source::{Source, Step, Vars},
};
use ledger::Ledger;
use meter::Meter;
use oddswire_protocol::progress::Outcome;
use pages::Read;
use std::{collections::BTreeSet, fmt, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Why a walk ended before there was a harvest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// Somebody asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// No page at all could be read, so there is nothing to go on with.
    #[error("nothing could be read: {}", fault.message)]
    Unreadable {
        /// `Blocked` when the site refused us, `Broken` when its pages are not as the definition says,
        /// `Unreachable` when it could not be reached or answered with errors.
        outcome: Outcome,
        /// The failure that says most. The observer has it already.
        fault: Fault,
    },
}

/// One scrape of one source. Its futures are `Send`; dropping one drops its requests.
pub struct Walk {
    source: Arc<Source>,
    way: Way,
    budget: Budget,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
    /// Which events stood on which page last time.
    known: Pages,
    /// No more pages, or lists of pages, than this are asked for in a step.
    most: usize,
    /// The pages of events that are asked for; `None`: all of them.
    only: Option<BTreeSet<String>>,
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk")
            .field("source", &self.source.key)
            .finish_non_exhaustive()
    }
}

/// What [`Walk::discover`] found to fetch.
#[derive(Debug)]
pub struct Targets {
    items: Vec<Vars>,
    ledger: Ledger,
}

impl Targets {
    /// How many there are: pages to fetch, or lists of pages.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the site lists nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// What [`Walk::scrape`] took out of the pages: owned rows, nothing of the pages.
#[derive(Debug)]
pub struct Scraped {
    /// With the page that each stood on, where that may be remembered.
    events: Vec<(Option<Arc<str>>, extract::RawEvent)>,
    ledger: Ledger,
}

impl Scraped {
    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl Walk {
    /// Prepares a walk. `known` are the [`Harvest::pages`] of the last run of this source; empty ones will do, and
    /// then a failed page makes all unread events unconfirmed. The time that the walk may take begins now.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(
        source: Arc<Source>,
        fetcher: &Fetcher,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
        known: Pages,
    ) -> Result<Self, fetch::Error> {
        let way = Way::Site(fetcher.site(&source)?);
        Ok(Self {
            way,
            budget: Budget::new(&source.limits),
            source,
            observer,
            cancel,
            known,
            most: usize::MAX,
            only: None,
        })
    }

    /// The same walk, on which of all pages of events only these are asked for. The others are not known to be absent.
    #[must_use]
    pub(crate) fn only(mut self, pages: Option<BTreeSet<String>>) -> Self {
        self.only = pages;
        self
    }

    /// Prepares a walk whose pages come by another way, and that asks for no more than `most` pages, or lists of
    /// pages, in each step.
    pub(crate) fn by(
        way: Way,
        source: Arc<Source>,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
        most: usize,
    ) -> Self {
        Self {
            way,
            budget: Budget::new(&source.limits),
            source,
            observer,
            cancel,
            known: Pages::new(),
            most,
            only: None,
        }
    }

    /// Runs the steps before the event step. Counts pages.
    ///
    /// # Errors
    /// [`WalkError::Unreadable`] when pages failed and nothing was found on the others.
    pub async fn discover(&self) -> Result<Targets, WalkError> {
        let meter = Meter::new(&*self.observer);
        let mut ledger = Ledger::default();
        let mut items = vec![Vars::new()];
        let (_, listings) = self.steps();
        for (index, step) in listings.iter().enumerate() {
            self.sample(&mut items, &mut ledger);
            let reads = self.read_step(index, items, extract::listing, &meter).await?;
            let before = ledger.rows.all;
            items = Vec::new();
            for read in reads {
                match read {
                    Read::Rows { rows, .. } => {
                        ledger.read(rows.count, rows.missing.len());
                        if let Some(name) = rows.missing.first() {
                            self.drift(step, name, rows.missing.len(), rows.count);
                            ledger.lose_all();
                        }
                        items.extend(rows.rows);
                    }
                    // A league that is gone has no events any more.
                    Read::Gone { .. } => ledger.read(0, 0),
                    Read::Failed { fault, .. } => ledger.fail(fault, None),
                }
            }
            self.count_rows(step, ledger.rows.all - before, &mut ledger);
            // A list that moves while it is read shows a row twice.
            items.sort();
            items.dedup();
        }
        match ledger.worst() {
            Some((outcome, fault)) if items.is_empty() => Err(WalkError::Unreadable { outcome, fault }),
            _ => Ok(Targets { items, ledger }),
        }
    }

    /// Fetches the pages of the event step and takes the rows out of them. Counts pages.
    ///
    /// # Errors
    /// [`WalkError::Unreadable`] when there were pages and each of them failed.
    pub async fn scrape(&self, targets: Targets) -> Result<Scraped, WalkError> {
        let Targets {
            mut items,
            mut ledger,
        } = targets;
        ledger.end_listing();
        self.sample(&mut items, &mut ledger);
        self.leave_out(&mut items, &mut ledger);
        let meter = Meter::new(&*self.observer);
        let (step, listings) = self.steps();
        let reads = self
            .read_step(listings.len(), items, extract::events, &meter)
            .await?;
        let mut events = Vec::new();
        let mut readable = false;
        let asked = !reads.is_empty();
        for read in reads {
            readable |= !matches!(read, Read::Failed { .. });
            match read {
                Read::Rows { page, rows } => {
                    let (good, bad) = (rows.events.len(), rows.missing.len());
                    ledger.read(good + bad, bad);
                    if let Some(row) = rows.missing.first() {
                        self.drift(step, row.field, bad, good + bad);
                    }
                    if bad > 0 {
                        ledger.trouble(page.as_deref());
                    }
                    for row in &rows.missing {
                        let known = self.events_of(page.as_deref());
                        ledger.lose_row(row.external_id.as_deref(), known);
                    }
                    if let Some(page) = &page {
                        ledger.pages.insert(page.to_string(), Vec::new());
                    }
                    events.extend(rows.events.into_iter().map(|event| (page.clone(), event)));
                }
                Read::Gone { page } => {
                    ledger.read(0, 0);
                    ledger
                        .gone
                        .extend(self.events_of(page.as_deref()).into_iter().flatten().cloned());
                }
                Read::Failed { page, fault } => {
                    let known = self.events_of(page.as_deref());
                    ledger.trouble(page.as_deref());
                    if let (Some(page), Some(known)) = (page, known) {
                        ledger.pages.insert(page.to_string(), known.clone());
                    }
                    ledger.fail(fault, known);
                }
            }
        }
        if self.only.is_none() {
            self.count_rows(step, ledger.rows.all, &mut ledger);
        }
        match ledger.worst() {
            Some((outcome, fault)) if asked && !readable => Err(WalkError::Unreadable { outcome, fault }),
            _ => Ok(Scraped { events, ledger }),
        }
    }

    /// Puts rows into our names and says how well the whole walk went. Counts events. Does not wait for anything.
    pub fn map(&self, scraped: Scraped) -> Harvest {
        harvest::of(&self.source, &*self.observer, &self.known, scraped)
    }

    /// Leaves out what a sample does without. What is not asked for is not known to be absent.
    fn sample(&self, items: &mut Vec<Vars>, ledger: &mut Ledger) {
        if items.len() > self.most {
            items.truncate(self.most);
            ledger.lose_all();
        }
    }

    /// Leaves out the pages that are not asked for.
    fn leave_out(&self, items: &mut Vec<Vars>, ledger: &mut Ledger) {
        let Some(only) = &self.only else { return };
        ledger.part_only = true;
        let (step, _) = self.steps();
        items.retain(|vars| {
            pages::name_of(&self.source, step, vars).is_some_and(|page| only.contains(&*page))
        });
        if ledger.listing_lost {
            // Those that nobody could name are as they were: not read.
            ledger.trouble(None);
        }
    }

    /// A step that was read whole must have as many rows as the definition expects.
    fn count_rows(&self, step: &Step, rows: u64, ledger: &mut Ledger) {
        let min = step.expect.min_rows;
        if rows < min.into() && ledger.is_clean() {
            let what = format!(
                "step {:?}: {rows} rows, though at least {min} are expected",
                step.id
            );
            let fault = Fault::drift(what);
            self.observer.fault(fault.clone());
            ledger.break_by(fault);
        }
    }

    /// The event step and the steps before it.
    fn steps(&self) -> (&Step, &[Step]) {
        self.source
            .steps
            .split_last()
            .expect("loading refuses a definition without steps")
    }

    fn events_of(&self, page: Option<&str>) -> Option<&Vec<oddswire_protocol::EventId>> {
        self.known.get(page?)
    }

    fn drift(&self, step: &Step, field: &str, missing: usize, rows: usize) {
        let what = format!(
            "step {:?}: {missing} of {rows} rows of a page lack {field} or another field",
            step.id
        );
        self.observer.fault(Fault::drift(what));
    }
}

#[cfg(test)]
mod tests;
