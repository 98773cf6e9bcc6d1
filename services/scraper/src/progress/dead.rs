//! The end of a run that no worker could bring about.

use super::{blank, errors::Errors, fault};
use oddswire_protocol::{
    Timestamp,
    job::Job,
    progress::{ErrorType, Outcome, Phase, PhaseProgress, ScrapeProgress, Status, Unit},
};

/// The terminal image of a run whose job was handed out as often as allowed; `last` is its last image.
pub(crate) fn dead(job: &Job, last: Option<&ScrapeProgress>, now: Timestamp) -> ScrapeProgress {
    let mut image = last.cloned().unwrap_or_else(|| blank(job));
    let message = "No worker could bring the run to its end.";
    let mut errors = Errors::carried(std::mem::take(&mut image.errors), image.error.take());
    errors.add(fault(ErrorType::Stale, message, false), now);
    image.seq += 1;
    image.attempt = image.attempt.max(1);
    image.status = Status::Failed;
    image.phase = Phase::Failed;
    image.unit = Unit::Events;
    image.current = image.events_count;
    image.total = None;
    image.rate_per_s = None;
    image.eta_ms = None;
    image.outcome = Some(Outcome::Broken);
    image.finished_at = Some(now);
    message.clone_into(&mut image.message);
    image.phases.push(PhaseProgress {
        phase: Phase::Failed,
        current: image.current,
        total: None,
        unit: Unit::Events,
        elapsed_ms: 0,
    });
    image.errors = errors.groups();
    image.error = errors.last();
    image
}
