//! What one run may ask for in all.

use super::Error;
use crate::source::Limits;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// The pages and the time of one run. It starts when it is made.
#[derive(Debug)]
pub(crate) struct Budget {
    deadline: Instant,
    max_duration: Duration,
    max_pages: u32,
    asked: AtomicU32,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            deadline: Instant::now() + limits.max_duration,
            max_duration: limits.max_duration,
            max_pages: limits.max_pages,
            asked: AtomicU32::new(0),
        }
    }

    /// Counts a page.
    pub(super) fn page(&self) -> Result<(), Error> {
        let more = |asked| (asked < self.max_pages).then_some(asked + 1);
        self.asked
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map(|_| ())
            .map_err(|_| Error::OutOfPages {
                limit: self.max_pages,
            })
    }

    /// Waits until the time is up.
    pub(super) async fn end(&self) -> Error {
        tokio::time::sleep_until(self.deadline).await;
        Error::OutOfTime {
            limit: self.max_duration,
        }
    }
}
