//! The verdict on a whole walk.

use super::{Fault, Ledger, Observer, Scraped, mapping};
use crate::{
    reading::{EventReading, Harvest, Pages, Unmapped},
    source::Source,
};
use oddswire_protocol::{EventId, progress::Outcome};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Maps all rows and says how well the walk went.
pub(super) fn of(source: &Source, observer: &dyn Observer, known: &Pages, scraped: Scraped) -> Harvest {
    let Scraped {
        events: raw,
        mut ledger,
    } = scraped;
    observer.total(Some(raw.len() as u64));
    let mut unmapped = Unmapped::default();
    let mut events = BTreeMap::new();
    for (page, raw) in raw {
        let id = mapping::event_id(source, &raw);
        match mapping::read(source, &raw, id.clone(), &mut unmapped) {
            Ok(reading) => {
                remember(&mut ledger, page, &id);
                events.insert(id, reading);
            }
            Err(why) => {
                observer.fault(Fault::drift(format!("an event {why}")));
                ledger.rows.bad += 1;
                ledger.trouble(page.as_deref());
                remember(&mut ledger, page, &id);
                ledger.lost.insert(id);
            }
        }
        observer.advance(1);
    }
    verdict(source, observer, known, ledger, events, unmapped)
}

fn remember(ledger: &mut Ledger, page: Option<Arc<str>>, id: &EventId) {
    if let Some(ids) = page.and_then(|page| ledger.pages.get_mut(&*page)) {
        ids.push(id.clone());
    }
}

fn verdict(
    source: &Source,
    observer: &dyn Observer,
    known: &Pages,
    ledger: Ledger,
    events: BTreeMap<EventId, EventReading>,
    unmapped: Unmapped,
) -> Harvest {
    let clean = ledger.is_clean();
    let broken = broken(source, &ledger, events.len(), clean);
    let outcome = match &broken {
        Some(why) => {
            // What broke a step was told when that happened.
            if ledger.broken.is_none() {
                observer.fault(Fault::drift(why.clone()));
            }
            Outcome::Broken
        }
        None if !clean => Outcome::Partial,
        None if events.is_empty() => Outcome::Empty,
        None => Outcome::Complete,
    };
    let to_retry = ledger.to_retry();
    let mut pages = ledger.pages;
    if ledger.listing_lost || ledger.part_only {
        // Nobody asked for the pages that the lost part of the listing names, or for those that were left out; they are
        // as they were.
        for (page, ids) in known {
            pages.entry(page.clone()).or_insert_with(|| ids.clone());
        }
    }
    let unread = |ids: BTreeSet<EventId>| ids.into_iter().filter(|id| !events.contains_key(id)).collect();
    Harvest {
        outcome,
        unconfirmed: unread(ledger.lost),
        unconfirmed_all: ledger.lost_all || ledger.part_only || broken.is_some(),
        gone: unread(ledger.gone),
        listing_complete: !ledger.listing_lost && !ledger.part_only && broken.is_none(),
        unmapped,
        to_retry,
        pages,
        events: events.into_values().map(Arc::new).collect(),
    }
}

/// Why the site is no longer what the definition says, if so.
fn broken(source: &Source, ledger: &Ledger, events: usize, clean: bool) -> Option<String> {
    let expect = &source.expect;
    if ledger.broken.is_some() {
        return ledger.broken.clone();
    }
    for rows in [ledger.listed, ledger.rows] {
        if rows.bad_share() > expect.max_missing_required {
            let (bad, all) = (rows.bad, rows.all);
            return Some(format!(
                "the layout changed: {bad} of {all} rows lack required fields"
            ));
        }
    }
    if clean && !ledger.part_only && (events as u64) < u64::from(expect.min_events) {
        return Some(format!(
            "{events} events, though at least {} are expected",
            expect.min_events
        ));
    }
    None
}
