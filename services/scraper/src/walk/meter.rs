//! How many pages a phase has, as far as is known.

use super::Observer;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the pages of a phase for the observer.
pub(super) struct Meter<'a> {
    observer: &'a dyn Observer,
    expected: AtomicU64,
    /// Lists of which nobody knows yet how many pages they have.
    open_ended: AtomicU64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(observer: &'a dyn Observer) -> Self {
        Self {
            observer,
            expected: AtomicU64::new(0),
            open_ended: AtomicU64::new(0),
        }
    }

    /// So many more pages, or lists of pages if `open_ended`, will be asked for.
    pub(super) fn expect(&self, items: usize, open_ended: bool) {
        let items = items as u64;
        self.expected.fetch_add(items, Ordering::Relaxed);
        if open_ended {
            self.open_ended.fetch_add(items, Ordering::Relaxed);
        }
        self.tell();
    }

    /// One of the lists has so many pages.
    pub(super) fn list_has(&self, pages: u64) {
        self.expected
            .fetch_add(pages.saturating_sub(1), Ordering::Relaxed);
        self.open_ended.fetch_sub(1, Ordering::Relaxed);
        self.tell();
    }

    fn tell(&self) {
        let known = self.open_ended.load(Ordering::Relaxed) == 0;
        self.observer
            .total(known.then(|| self.expected.load(Ordering::Relaxed)));
    }
}
