//! The state of a run as a pure machine: what happened goes in, images to publish come out.
//!
//! Nothing here waits or publishes. [`Progress::next`] says which image is due now, or when to ask again:
//!
//! - phase changes, the last counts of a phase, a changed status and the end are always shown, in order;
//! - other movement is shown when [`SPACING`] has passed since the last image, the newest state only;
//! - without movement there is an image each [`HEARTBEAT`];
//! - there are never more than [`WINDOW_IMAGES`] images in any second: what must be shown waits for its turn.

mod dead;
mod errors;
mod pace;

pub(crate) use dead::dead;
pub(crate) use errors::fault;

use crate::walk::Fault;
use errors::Errors;
use oddswire_protocol::{
    Timestamp,
    job::Job,
    progress::{ErrorType, Outcome, Phase, PhaseProgress, ScrapeProgress, Status, Unit},
};
use pace::Pace;
use std::{collections::VecDeque, time::Duration};

#[cfg(doc)]
use pace::{HEARTBEAT, SPACING, WINDOW_IMAGES};

/// When something happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// By the wall clock, for people.
    pub(crate) at: Timestamp,
    /// By a monotonic clock, since this attempt began.
    pub(crate) elapsed: Duration,
}

/// What is due.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// This image, now.
    Image(Box<ScrapeProgress>),
    /// Nothing before this much time has passed, unless something happens.
    Wait(Duration),
    /// Nothing any more: the terminal image was given.
    Over,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// What could be done was done.
    Completed(Outcome),
    /// It could not be done.
    Failed(Outcome),
    /// Somebody asked it to stop.
    Cancelled,
}

/// The state of one attempt at a run.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The state; its `seq` is that of the image given last.
    image: ScrapeProgress,
    /// `elapsed_ms` of the attempts before this one.
    carried_ms: u64,
    /// Events that an attempt before this one had read.
    carried_events: u64,
    events: u64,
    phase_began: Duration,
    errors: Errors,
    /// Images that must be shown, in order. At most two a phase and one a change of status.
    due: VecDeque<ScrapeProgress>,
    /// Whether something moved since the last image that was made.
    moved: bool,
    pace: Pace,
}

impl Progress {
    /// The run as it begins, or as the next attempt takes it over from `last`. Its first image is due: the claim.
    ///
    /// The next attempt goes on counting `seq`, `elapsed_ms`, `changed_count` and the errors; its phases begin anew,
    /// and `events_count` stays until it has read more.
    pub(crate) fn begin(job: &Job, worker_id: &str, last: Option<&ScrapeProgress>, now: Moment) -> Self {
        let mut image = last.cloned().unwrap_or_else(|| ScrapeProgress {
            unit: Unit::Markets,
            message: String::new(),
            ..ScrapeProgress::queued(job.run_id.clone(), job.batch_id.clone(), job.source.clone())
        });
        image.attempt += 1;
        image.worker_id = Some(worker_id.to_owned());
        image.status = Status::Running;
        image.started_at = image.started_at.or(Some(now.at));
        image.phases.clear();
        let mut progress = Self {
            carried_ms: image.elapsed_ms,
            carried_events: image.events_count,
            events: 0,
            phase_began: now.elapsed,
            errors: Errors::carried(std::mem::take(&mut image.errors), image.error.take()),
            due: VecDeque::new(),
            moved: false,
            pace: Pace::default(),
            image,
        };
        if last.is_some_and(|last| last.attempt > 0) {
            let vanished = "The worker before this one vanished or was stopped; another goes on.";
            progress
                .errors
                .add(fault(ErrorType::Stale, vanished, true), now.at);
        }
        progress.enter(
            Phase::Initializing,
            Unit::Markets,
            "Reading what was published before.",
            now,
        );
        progress
    }

    /// The next phase begins; `message` tells a person what goes on in it. The last counts of the one before are shown first, if they were not.
    pub(crate) fn enter(&mut self, phase: Phase, unit: Unit, message: &str, now: Moment) {
        self.close_phase(now);
        if self.image.status == Status::Running {
            message.clone_into(&mut self.image.message);
        }
        self.begin_phase(phase, unit, now);
        self.show(now);
    }

    /// How many units there are in this phase, as far as is known. Never less than are done.
    pub(crate) fn total(&mut self, total: Option<u64>) {
        let total = total.map(|total| total.max(self.image.current));
        self.moved |= self.image.total != total;
        self.image.total = total;
    }

    /// More units of this phase are done.
    pub(crate) fn advance(&mut self, by: u64) {
        self.image.current += by;
        if let Some(total) = &mut self.image.total {
            *total = (*total).max(self.image.current);
        }
        self.moved |= by > 0;
    }

    /// More events were read.
    pub(crate) fn found_events(&mut self, count: u64) {
        self.events += count;
        let events = self.events.max(self.carried_events);
        self.moved |= events != self.image.events_count;
        self.image.events_count = events;
    }

    /// An image of odds was published.
    pub(crate) fn published(&mut self) {
        self.image.changed_count += 1;
        self.moved = true;
    }

    /// Something went wrong.
    pub(crate) fn fault(&mut self, fault: Fault, now: Moment) {
        self.errors.add(fault, now.at);
        self.moved = true;
    }

    /// Somebody asked the run to stop, and the worker knows. Shown once.
    pub(crate) fn cancelling(&mut self, now: Moment) {
        if self.image.status == Status::Running {
            self.image.status = Status::Cancelling;
            "Stopping, as somebody asked.".clone_into(&mut self.image.message);
            self.show(now);
        }
    }

    /// The run is over. Its terminal image is the last that [`Progress::next`] gives.
    pub(crate) fn finish(&mut self, end: End, message: &str, now: Moment) {
        if self.image.status.is_terminal() {
            return;
        }
        self.close_phase(now);
        let (phase, status, outcome) = match end {
            End::Completed(outcome) => (Phase::Completed, Status::Completed, Some(outcome)),
            End::Failed(outcome) => (Phase::Failed, Status::Failed, Some(outcome)),
            End::Cancelled => (Phase::Cancelled, Status::Cancelled, None),
        };
        self.begin_phase(phase, Unit::Events, now);
        self.image.current = self.image.events_count;
        self.image.total = (status == Status::Completed).then_some(self.image.events_count);
        self.image.status = status;
        self.image.outcome = outcome;
        self.image.finished_at = Some(now.at);
        message.clone_into(&mut self.image.message);
        self.show(now);
    }

    /// The image that is due now, or when to ask again.
    pub(crate) fn next(&mut self, now: Moment) -> Next {
        if self.due.is_empty() && self.image.status.is_terminal() {
            return Next::Over;
        }
        let wait = self.pace.wait(!self.due.is_empty(), self.moved, now.elapsed);
        if !wait.is_zero() {
            return Next::Wait(wait);
        }
        let mut image = self.due.pop_front().unwrap_or_else(|| {
            self.moved = false;
            self.snapshot(now)
        });
        self.pace.shown(now.elapsed);
        self.image.seq += 1;
        image.seq = self.image.seq;
        Next::Image(Box::new(image))
    }

    fn begin_phase(&mut self, phase: Phase, unit: Unit, now: Moment) {
        self.image.phase = phase;
        self.image.unit = unit;
        self.image.current = 0;
        self.image.total = None;
        self.phase_began = now.elapsed;
        self.image.phases.push(PhaseProgress {
            phase,
            current: 0,
            total: None,
            unit,
            elapsed_ms: 0,
        });
    }

    fn close_phase(&mut self, now: Moment) {
        if self.moved && !self.image.phases.is_empty() {
            self.show(now);
        }
        self.note_phase(now);
    }

    /// Brings the present phase's entry up to date.
    fn note_phase(&mut self, now: Moment) {
        let in_phase = millis(now.elapsed.saturating_sub(self.phase_began));
        if let Some(entry) = self.image.phases.last_mut() {
            entry.current = self.image.current;
            entry.total = self.image.total;
            entry.elapsed_ms = in_phase;
        }
    }

    /// This state must be shown.
    fn show(&mut self, now: Moment) {
        self.moved = false;
        let image = self.snapshot(now);
        self.due.push_back(image);
    }

    fn snapshot(&mut self, now: Moment) -> ScrapeProgress {
        self.note_phase(now);
        self.image.elapsed_ms = self.carried_ms + millis(now.elapsed);
        let in_phase = now.elapsed.saturating_sub(self.phase_began);
        let rate = rate_per_s(self.image.current, in_phase).filter(|_| !self.image.status.is_terminal());
        self.image.rate_per_s = rate;
        self.image.eta_ms = rate.and_then(|rate| eta_ms(self.image.current, self.image.total?, rate));
        ScrapeProgress {
            errors: self.errors.groups(),
            error: self.errors.last(),
            ..self.image.clone()
        }
    }
}

/// A run of which nothing is known but its job.
fn blank(job: &Job) -> ScrapeProgress {
    ScrapeProgress {
        unit: Unit::Markets,
        message: String::new(),
        ..ScrapeProgress::queued(job.run_id.clone(), job.batch_id.clone(), job.source.clone())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A rate is told only after this long in a phase: before, it says more about the clock than about the run.
const RATE_AFTER: Duration = Duration::from_millis(500);

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people; counts are below 2^53 by far"
)]
fn rate_per_s(current: u64, in_phase: Duration) -> Option<f64> {
    (current > 0 && in_phase >= RATE_AFTER)
        .then(|| (current as f64 / in_phase.as_secs_f64() * 1000.0).round() / 1000.0)
        .filter(|rate| *rate > 0.0)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate for people, of a positive number; `as` saturates"
)]
fn eta_ms(current: u64, total: u64, rate_per_s: f64) -> Option<u64> {
    (current < total).then(|| ((total - current) as f64 / rate_per_s * 1000.0) as u64)
}

#[cfg(test)]
mod tests;
