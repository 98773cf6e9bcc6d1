//! Counters of the requests that the books received, so that a test can see what was fetched.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::book::Book;

/// How many different paths are counted for a book; requests to further ones count under [`OTHER_PATHS`].
const PATHS_LIMIT: usize = 5_000;
const OTHER_PATHS: &str = "(other)";

/// The counters of all books since the start or the last reset.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    counts: Mutex<BTreeMap<Book, Counts>>,
}

/// The counters of one book.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Counts {
    /// All requests, those that met a fault among them.
    total: u64,
    /// Requests that met a fault.
    faulted: u64,
    /// Requests by path, without the query.
    paths: BTreeMap<String, u64>,
}

impl Requests {
    pub(crate) fn count(&self, book: Book, path: &str, faulted: bool) {
        let mut books = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = books.entry(book).or_default();
        counts.total += 1;
        counts.faulted += u64::from(faulted);
        if let Some(known) = counts.paths.get_mut(path) {
            *known += 1;
        } else {
            let name = if counts.paths.len() < PATHS_LIMIT {
                path
            } else {
                OTHER_PATHS
            };
            *counts.paths.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// Gives the counters of every book, also of those without any request.
    pub(crate) fn snapshot(&self) -> BTreeMap<Book, Counts> {
        let books = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        Book::ALL
            .into_iter()
            .map(|book| (book, books.get(&book).cloned().unwrap_or_default()))
            .collect()
    }

    pub(crate) fn clear(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
