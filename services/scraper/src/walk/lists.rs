//! Lists that have several pages: which page comes after which, and where they end.

use super::{
    Fault, WalkError,
    pages::{Ask, Read, Reader, Rows, request},
};
use crate::source::{Numbering, PageKind, Paginate, Step, Until, Vars};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::BTreeSet;

impl<T: Rows> Reader<'_, T> {
    /// Reads all pages of a list.
    pub(super) async fn list(&self, vars: Vars, paginate: &Paginate) -> Result<Vec<Read<T>>, WalkError> {
        match &paginate.kind {
            PageKind::Numbered(numbering) => match numbering.until {
                Until::Empty => self.one_by_one(vars, paginate, numbering, 1).await,
                Until::Short => self.one_by_one(vars, paginate, numbering, paginate.size).await,
                Until::TotalPages(_) | Until::TotalRows(_) => self.counted(vars, paginate, numbering).await,
            },
            PageKind::Cursor { .. } | PageKind::Next(_) | PageKind::LinkHeader => {
                self.chained(vars, paginate).await
            }
        }
    }

    /// Pages by number, until one of them has fewer rows than `full`.
    async fn one_by_one(
        &self,
        vars: Vars,
        paginate: &Paginate,
        numbering: &Numbering,
        full: u32,
    ) -> Result<Vec<Read<T>>, WalkError> {
        let mut reads = Vec::new();
        for number in 0..paginate.max_pages {
            let ask = numbered(&vars, paginate, numbering, number);
            let read = self.page(ask, false).await?;
            let go_on = matches!(&read, Read::Rows { rows, .. } if rows.count() >= full as usize);
            reads.push(read);
            if !go_on {
                self.meter.list_has(reads.len() as u64);
                return Ok(reads);
            }
        }
        self.meter.list_has(reads.len() as u64);
        reads.push(self.endless(paginate));
        Ok(reads)
    }

    /// The first page, which tells how many there are, and then the others.
    async fn counted(
        &self,
        vars: Vars,
        paginate: &Paginate,
        numbering: &Numbering,
    ) -> Result<Vec<Read<T>>, WalkError> {
        let first = self.page(numbered(&vars, paginate, numbering, 0), false).await?;
        let Read::Rows { rows, .. } = &first else {
            self.meter.list_has(1);
            return Ok(vec![first]);
        };
        let Some(total) = rows.onward().pages else {
            self.meter.list_has(1);
            let what = format!("step {:?}: the number of pages is not there", self.step.id);
            return Ok(vec![first, self.lost(Fault::drift(what), None)]);
        };
        let last = total.min(paginate.max_pages);
        self.meter.list_has(u64::from(last.max(1)));
        let pages = stream::iter(1..last)
            .map(|number| self.page(numbered(&vars, paginate, numbering, number), false));
        let mut reads: Vec<_> = pages.buffer_unordered(self.walk.at_once()).try_collect().await?;
        reads.push(first);
        if total > paginate.max_pages {
            reads.push(self.endless(paginate));
        }
        Ok(reads)
    }

    /// Pages each of which says where the next one is, until one does not, or has no rows.
    async fn chained(&self, vars: Vars, paginate: &Paginate) -> Result<Vec<Read<T>>, WalkError> {
        let mut ask = first(vars, paginate);
        let mut seen = BTreeSet::new();
        let mut reads = Vec::new();
        for _ in 0..paginate.max_pages {
            // Where links begin is decided by the page that they are on.
            let here = request(&self.walk.source, self.step, &ask).map(|request| request.url);
            let vars = ask.vars.clone();
            let read = self.page(ask, false).await?;
            let next = match &read {
                Read::Rows { rows, .. } if rows.count() > 0 => rows.onward().next.clone(),
                _ => None,
            };
            reads.push(read);
            let Some(next) = next else {
                self.meter.list_has(reads.len() as u64);
                return Ok(reads);
            };
            let followed = follow(vars, paginate, &next, here);
            let Some(followed) = followed.filter(|_| seen.insert(next)) else {
                self.meter.list_has(reads.len() as u64);
                let what = "the list leads back to a page that was read, or nowhere";
                let what = format!("step {:?}: {what}", self.step.id);
                reads.push(self.lost(Fault::drift(what), None));
                return Ok(reads);
            };
            ask = followed;
        }
        self.meter.list_has(reads.len() as u64);
        reads.push(self.endless(paginate));
        Ok(reads)
    }
}

/// What a step asks for first. Places in the list that are in `vars` already stay as they are.
pub(crate) fn first_ask(step: &Step, vars: Vars) -> Ask {
    let mut ask = match &step.paginate {
        None => return Ask::new(vars),
        Some(paginate) => match &paginate.kind {
            PageKind::Numbered(numbering) => numbered(&vars, paginate, numbering, 0),
            _ => first(vars.clone(), paginate),
        },
    };
    ask.vars.extend(vars);
    ask
}

/// The first page of a chain.
fn first(mut vars: Vars, paginate: &Paginate) -> Ask {
    if let PageKind::Cursor { first, .. } = &paginate.kind {
        vars.insert("cursor".to_owned(), first.clone());
    }
    vars.insert("size".to_owned(), paginate.size.to_string());
    Ask::new(vars)
}

/// The page after `here`; `None` when there is no such place.
fn follow(mut vars: Vars, paginate: &Paginate, next: &str, here: Result<url::Url, Fault>) -> Option<Ask> {
    if let PageKind::Cursor { .. } = paginate.kind {
        vars.insert("cursor".to_owned(), next.to_owned());
        return Some(Ask::new(vars));
    }
    let url = here.ok()?.join(next.trim()).ok()?;
    Some(Ask { vars, url: Some(url) })
}

/// One page of numbered ones, the first being 0.
fn numbered(vars: &Vars, paginate: &Paginate, numbering: &Numbering, number: u32) -> Ask {
    let place = numbering
        .start
        .saturating_add(number.saturating_mul(numbering.stride));
    let mut vars = vars.clone();
    vars.insert(numbering.name.to_owned(), place.to_string());
    vars.insert("size".to_owned(), paginate.size.to_string());
    Ask::new(vars)
}
