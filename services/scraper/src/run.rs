//! One attempt at a run, from the job that was handed over to its answer.
//!
//! ```text
//! job ─ claim ─┬─ work: load → discover → scrape → map → store ─┐
//!              ├─ reporter: images, one behind the other        ├─ terminal image ─ job done
//!              └─ lease and intent: who may go on, who must stop┘
//! ```
//!
//! Whatever happens to the work, a bug in it included, the run gets its one terminal event, unless it is no longer
//! this worker's: then nothing more is written, and the job goes to another.

mod claim;
mod gauge;
mod intent;
mod lease;
mod rein;
mod report;
mod retire;
mod retry;
mod store;
mod work;

pub(crate) use retire::{NotRetired, retire};

use crate::{progress::End, publish::Author, records, source::Source, worker::Worker};
use claim::{Claimed, claim};
use gauge::Gauge;
use intent::Intent;
use oddswire_kit::{queue::Delivery, trace::Trace};
use oddswire_protocol::{
    job::{Job, SourceHealth},
    progress::Outcome,
};
use rein::{Abandoned, Rein};
use report::Reporter;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use store::Store;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use work::{Ended, Work};

/// How a job is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its run is over.
    Done,
    /// Another worker is to have it, at once or later.
    GiveBack(Option<Duration>),
    /// Not at all: it is no longer this worker's.
    Leave,
    /// Nobody can do anything with it.
    Discard(String),
}

/// One attempt at a run.
pub(crate) struct Attempt {
    pub(crate) worker: Arc<Worker>,
    pub(crate) source: Arc<Source>,
    pub(crate) job: Job,
    /// What it belongs to.
    pub(crate) trace: Trace,
    /// When the job was handed over.
    pub(crate) since: Instant,
    /// After which time without a sign of life it goes to another worker.
    pub(crate) ack_wait: Duration,
}

impl Attempt {
    /// Makes the attempt; ends promptly with `stop`.
    pub(crate) async fn make(self, delivery: &Delivery, stop: &CancellationToken) -> Verdict {
        let rein = Arc::new(Rein::new(self.since, self.ack_wait, stop).on_trial(self.worker.trial));
        let verdict = tokio::select! {
            verdict = self.conduct(&rein) => verdict,
            never = lease::keep(delivery, self.ack_wait, &rein) => match never {},
        };
        tracing::debug!(run_id = %self.job.run_id, ?verdict, "attempt over");
        verdict
    }

    async fn conduct(&self, rein: &Arc<Rein>) -> Verdict {
        let (bus, job) = (&self.worker.bus, &self.job);
        let author = Arc::new(Author::new(
            bus.subjects(),
            &self.worker.id,
            &job.source,
            &job.run_id,
            self.trace,
        ));
        let Some(mut intent) = Intent::open(bus, &job.run_id, rein.publishing()).await else {
            return self.given_up(rein);
        };
        let began = Instant::now();
        let (progress, claim) = match claim(bus, &author, job, &self.worker.id, rein, began).await {
            Claimed::Ours(progress, claim) => (progress, claim),
            Claimed::Over => return Verdict::Done,
            Claimed::Taken => {
                rein.abandon(Abandoned::Fenced);
                return self.given_up(rein);
            }
            Claimed::Refused(why) => {
                tracing::error!(run_id = %job.run_id, why, "the run cannot be claimed");
                rein.abandon(Abandoned::Refused);
                return self.given_up(rein);
            }
            Claimed::Abandoned => return self.given_up(rein),
        };
        let trace_id = self.trace.trace_id();
        tracing::info!(trace_id, run_id = %job.run_id, source = %job.source, attempt = claim.attempt, "run claimed");
        let gauge = Arc::new(Gauge::new(*progress, began));
        let reporter = Reporter {
            bus: bus.clone(),
            author: Arc::clone(&author),
            gauge: Arc::clone(&gauge),
            rein: Arc::clone(rein),
            metrics: Arc::clone(&self.worker.metrics),
            last_seq: claim.fence,
        };
        let store = Store {
            bus: bus.clone(),
            source: job.source.clone(),
            author,
            claim,
            gauge: Arc::clone(&gauge),
            rein: Arc::clone(rein),
            metrics: Arc::clone(&self.worker.metrics),
            written: Arc::default(),
            fence: AtomicU64::new(0),
            keep_for: None,
            held_up: AtomicBool::new(false),
            trial: self.worker.trial,
        };
        tokio::select! {
            // First, so that a run that was cancelled while it waited is not begun.
            biased;
            never = intent.watch(rein, &gauge) => match never {},
            verdict = self.carry_out(rein, &gauge, reporter, store) => verdict,
        }
    }

    /// Has the work done and told, then the end told.
    async fn carry_out(
        &self,
        rein: &Arc<Rein>,
        gauge: &Arc<Gauge>,
        mut reporter: Reporter,
        store: Store,
    ) -> Verdict {
        let began = Instant::now();
        let written = Arc::clone(&store.written);
        let work = Work {
            worker: Arc::clone(&self.worker),
            source: Arc::clone(&self.source),
            job: self.job.clone(),
            gauge: Arc::clone(gauge),
            rein: Arc::clone(rein),
            store,
        };
        let over = CancellationToken::new();
        let (ended, ()) = tokio::join!(
            async {
                let ended = guard(work.run()).await;
                over.cancel();
                ended
            },
            reporter.follow(&over),
        );
        if rein.abandoned().is_some() {
            return self.given_up(rein);
        }
        let ended = ended.unwrap_or_else(|| work::bug(gauge));
        gauge.finish(ended.end, &ended.message);
        reporter.finish(after(&written)).await;
        if rein.abandoned().is_some() {
            return self.given_up(rein);
        }
        self.worker
            .metrics
            .run_seconds
            .observe(began.elapsed().as_secs_f64());
        self.note_end(&ended, rein).await;
        Verdict::Done
    }

    async fn note_end(&self, ended: &Ended, rein: &Rein) {
        let (word, health) = match ended.end {
            End::Completed(Outcome::Partial) => ("completed", Some(SourceHealth::Degraded)),
            End::Completed(_) => ("completed", Some(SourceHealth::Ok)),
            End::Failed(_) => ("failed", Some(SourceHealth::Down)),
            End::Cancelled => ("cancelled", None),
        };
        self.worker.metrics.ended(&self.source.key, word);
        if let End::Completed(outcome) | End::Failed(outcome) = ended.end {
            self.worker.metrics.came_to(&self.source.key, outcome);
        }
        tracing::info!(
            trace_id = self.trace.trace_id(), run_id = %self.job.run_id, source = %self.source.key, end = ?ended.end, message = ended.message, "run over"
        );
        let noted = records::note_run(&self.worker.bus, &self.source, &self.job.run_id, health);
        // The next run writes it again: not worth holding the source for.
        tokio::select! {
            () = noted => {}
            () = tokio::time::sleep(NOTE_WITHIN) => {}
            () = rein.publishing().cancelled() => {}
        }
    }

    fn given_up(&self, rein: &Rein) -> Verdict {
        let why = rein.abandoned().unwrap_or(Abandoned::Stopped);
        tracing::warn!(
            trace_id = self.trace.trace_id(), run_id = %self.job.run_id, source = %self.source.key, why = why.as_str(),
            "run given up"
        );
        self.worker.metrics.ended(&self.source.key, why.as_str());
        match why {
            Abandoned::Over => Verdict::Done,
            Abandoned::Fenced | Abandoned::LeaseLost => Verdict::Leave,
            Abandoned::Refused => Verdict::GiveBack(Some(REFUSED_FOR)),
            Abandoned::Stopped => Verdict::GiveBack(None),
        }
    }
}

/// How long the note about a run may take.
const NOTE_WITHIN: Duration = Duration::from_secs(2);
/// When a job comes again whose run's events the bus refused.
const REFUSED_FOR: Duration = Duration::from_secs(15);

fn after(written: &AtomicU64) -> Option<u64> {
    match written.load(Ordering::Relaxed) {
        0 => None,
        seq => Some(seq),
    }
}

/// Runs `work` in a task of its own; `None` when it panicked. Dropping this future ends the task.
async fn guard<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await? {
        Ok(result) => Some(result),
        Err(error) => {
            tracing::error!(%error, "a run's work panicked");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_runs_work_stays_in_that_run() {
        assert_eq!(guard(async { 7 }).await, Some(7));
        let page: Vec<u8> = Vec::new();
        let broken = guard(async move {
            tokio::task::yield_now().await;
            page[0]
        });
        assert_eq!(broken.await, None);
    }
}
