//! What a rehearsal hears of its walk.

use crate::walk::{Fault, Observer};
use oddswire_protocol::progress::ErrorType;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts pages and rows by step, and keeps what went wrong.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Seen>);

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// In the order in which their first pages came.
    pub(super) steps: Vec<StepCount>,
    /// What went wrong for good, each sentence once, in this order.
    pub(super) problems: Vec<Problem>,
    /// How often something was asked for again.
    pub(super) retries: u64,
}

/// The pages of a step.
#[derive(Debug, Default)]
pub(super) struct StepCount {
    pub(super) step: String,
    pub(super) pages: u64,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) bad: u64,
}

/// Something that went wrong.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) error_type: ErrorType,
    pub(super) message: String,
    pub(super) count: u64,
}

impl Watch {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Watch {
    fn total(&self, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn found_events(&self, _: u64) {}

    fn page(&self, step: &str, bytes: u64, rows: u64, bad: u64) {
        let mut seen = self.seen();
        let known = seen.steps.iter().position(|count| count.step == step);
        let index = known.unwrap_or(seen.steps.len());
        if known.is_none() {
            seen.steps.push(StepCount {
                step: step.to_owned(),
                ..StepCount::default()
            });
        }
        let count = &mut seen.steps[index];
        count.pages += 1;
        count.bytes += bytes;
        count.rows += rows;
        count.bad += bad;
    }

    fn fault(&self, fault: Fault) {
        let mut seen = self.seen();
        if fault.retry_in_ms.is_some() {
            seen.retries += 1;
            return;
        }
        if let Some(known) = seen
            .problems
            .iter_mut()
            .find(|known| known.message == fault.message)
        {
            known.count += 1;
            return;
        }
        seen.problems.push(Problem {
            error_type: fault.error_type,
            message: fault.message,
            count: 1,
        });
    }
}
