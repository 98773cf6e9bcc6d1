//! Runs from their start to their end: one is followed on every stream there is, and another is cancelled.

mod judge;
mod record;

use super::{
    check::{Check, Group, Judged, Miss},
    probe::Probe,
};
pub(crate) use record::Record;

const fn check(name: &'static str, says: &'static str, run: super::Run) -> Check {
    Check {
        group: Group::Runs,
        name,
        says,
        run,
    }
}

pub(crate) const CHECKS: &[Check] = &[
    check(
        "start",
        "POST /api/scrapes → 202 {\"batch_id\",\"runs\":[{run_id, source, location}],\"busy\":[…],\"workers\"}.",
        |probe| Box::pin(judged(probe, judge::start)),
    ),
    check(
        "busy",
        "A source has at most one run that is queued, running or cancelling; all busy → 409 with busy.",
        |probe| Box::pin(judged(probe, judge::busy)),
    ),
    check(
        "every-event",
        "Without conflation a client gets every event of a run in order: seq is 1, then one more each.",
        |probe| Box::pin(judged(probe, judge::every_event)),
    ),
    check(
        "both-transports",
        "The envelope of an event is byte-identical on WebSocket and SSE.",
        |probe| Box::pin(judged(probe, judge::both_transports)),
    ),
    check(
        "replayed",
        "The envelope of an event is byte-identical live and replayed: from a cursor of before, every run event comes again.",
        |probe| Box::pin(judged(probe, judge::replayed)),
    ),
    check(
        "own-stream",
        "GET /api/scrapes/{run_id}/events: ack, its last image, every event, end of stream after the terminal one.",
        |probe| Box::pin(judged(probe, judge::own_stream)),
    ),
    check(
        "progress",
        "current never falls inside a phase and an attempt; phases run in their order; an event each 5 s.",
        |probe| Box::pin(judged(probe, judge::progress)),
    ),
    check(
        "one-end",
        "Exactly one terminal event a run, the last of it.",
        |probe| Box::pin(judged(probe, judge::one_end)),
    ),
    check(
        "odds-before-end",
        "The terminal event comes after all odds of the run, and odds_confirmed after them too; changed_count is how many there were.",
        |probe| Box::pin(judged(probe, judge::odds_before_end)),
    ),
    check(
        "image",
        "GET /api/scrapes/{run_id} is the data of its last scrape_progress.",
        |probe| Box::pin(judged(probe, judge::image)),
    ),
    check(
        "board",
        "GET /api/odds is the board now: the image that the stream had last of each market.",
        |probe| Box::pin(judged(probe, judge::board)),
    ),
    check(
        "cancel",
        "POST /api/scrapes/{run_id}/cancel → 202; a terminal event follows, cancelled.",
        |probe| Box::pin(judged(probe, judge::cancel)),
    ),
    check(
        "cancel-ended",
        "Cancelling a run that ended: 202, no effect.",
        |probe| Box::pin(judged(probe, judge::cancel_ended)),
    ),
];

/// All of them look at one record, which the first makes.
async fn judged(probe: Probe, judge: fn(&Record) -> Judged) -> Judged {
    let record = probe
        .target
        .record
        .get_or_init(|| Record::make(probe.clone()))
        .await;
    match record {
        Ok(record) => judge(record),
        Err(Miss::Skipped(reason)) => Err(Miss::Skipped(reason.clone())),
        Err(Miss::Failed(complaint)) => Err(Miss::Failed(format!("no run could be followed: {complaint}"))),
    }
}
