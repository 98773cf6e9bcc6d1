//! The state of a run, shared by those who move it and the one who publishes it.

use crate::{
    progress::{End, Moment, Next, Progress},
    walk::{Fault, Observer},
};
use oddswire_protocol::{
    Timestamp,
    progress::{Phase, Unit},
};
use std::sync::{Mutex, PoisonError};
use tokio::{sync::Notify, time::Instant};

/// The state of one attempt at a run.
#[derive(Debug)]
pub(crate) struct Gauge {
    progress: Mutex<Progress>,
    moved: Notify,
    began: Instant,
}

impl Gauge {
    /// The state of an attempt that began at `began`.
    pub(crate) fn new(progress: Progress, began: Instant) -> Self {
        Self {
            progress: Mutex::new(progress),
            moved: Notify::new(),
            began,
        }
    }

    /// The present moment in an attempt that began at `began`.
    pub(crate) fn moment(began: Instant) -> Moment {
        Moment {
            at: Timestamp::now(),
            elapsed: began.elapsed(),
        }
    }

    /// The next phase begins.
    pub(crate) fn enter(&self, phase: Phase, unit: Unit, message: &str) {
        self.change(|progress, now| progress.enter(phase, unit, message, now));
    }

    /// An image of odds was published.
    pub(crate) fn published(&self) {
        self.change(|progress, _| progress.published());
    }

    /// Somebody asked the run to stop.
    pub(crate) fn cancelling(&self) {
        self.change(Progress::cancelling);
    }

    /// The run is over.
    pub(crate) fn finish(&self, end: End, message: &str) {
        self.change(|progress, now| progress.finish(end, message, now));
    }

    /// What is due.
    pub(crate) fn next(&self) -> Next {
        self.with(Progress::next)
    }

    /// Waits until something moved since the last call.
    ///
    /// # Cancel safety
    /// Dropping this future loses nothing.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }

    fn change(&self, change: impl FnOnce(&mut Progress, Moment)) {
        self.with(change);
        self.moved.notify_one();
    }

    fn with<T>(&self, look: impl FnOnce(&mut Progress, Moment) -> T) -> T {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        look(&mut progress, Self::moment(self.began))
    }
}

impl Observer for Gauge {
    fn total(&self, total: Option<u64>) {
        self.change(|progress, _| progress.total(total));
    }

    fn advance(&self, units: u64) {
        self.change(|progress, _| progress.advance(units));
    }

    fn found_events(&self, events: u64) {
        self.change(|progress, _| progress.found_events(events));
    }

    fn fault(&self, fault: Fault) {
        self.change(|progress, now| progress.fault(fault, now));
    }
}
