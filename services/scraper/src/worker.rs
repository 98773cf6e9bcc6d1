//! Takes jobs from the queue and has their runs made, a bounded number at once.

mod dead;

pub(crate) use dead::bury_the_exhausted;

use crate::{
    fetch::Fetcher,
    metrics::Metrics,
    publish::trace_of,
    reading::Pages,
    run::{Attempt, Verdict},
    shelf::Shelf,
    source::Source,
    trial::Trial,
};
use oddswire_kit::{
    bus::Bus,
    log::ReadError,
    queue::{Delivery, Queue},
    span::{Kind, Span},
};
use oddswire_protocol::{RunId, SourceKey, header::TRACEPARENT, job::Job, stream::JOBS_CONSUMER};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long runs may take to let go when the process stops.
const GRACE: Duration = Duration::from_secs(5);
/// How long the queue is left alone after an error.
const PAUSE: Duration = Duration::from_secs(1);
/// How often an idle worker looks for jobs that were handed out too often.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How often the answer to a job is tried.
const ANSWER_TRIES: usize = 5;

/// What all runs of this process share.
#[derive(Debug)]
pub(crate) struct Worker {
    /// The bus.
    pub(crate) bus: Bus,
    /// The name of this process.
    pub(crate) id: String,
    /// The sources that it can scrape.
    pub(crate) shelf: Arc<Shelf>,
    /// The way to their sites.
    pub(crate) fetcher: Fetcher,
    /// What the operations port shows.
    pub(crate) metrics: Arc<Metrics>,
    /// What is off.
    pub(crate) trial: Trial,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeSet<RunId>,
    /// By source, which events stood on which page in the last run of this process. Losing it only makes failed
    /// pages count for more.
    pages: HashMap<SourceKey, Pages>,
    /// Why no jobs are taken, if so.
    fault: Option<String>,
}

impl Worker {
    /// A worker that has done nothing yet.
    pub(crate) fn new(
        bus: Bus,
        id: String,
        shelf: Arc<Shelf>,
        fetcher: Fetcher,
        metrics: Arc<Metrics>,
        trial: Trial,
    ) -> Self {
        Self {
            bus,
            id,
            shelf,
            fetcher,
            metrics,
            trial,
            state: Mutex::new(State {
                fault: Some("the queue was not asked yet".into()),
                ..State::default()
            }),
        }
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The runs under way.
    pub(crate) fn running(&self) -> Vec<RunId> {
        self.state(|state| state.running.iter().cloned().collect())
    }

    /// What the last run of a source remembered of its pages.
    pub(crate) fn pages(&self, source: &SourceKey) -> Pages {
        self.state(|state| state.pages.get(source).cloned().unwrap_or_default())
    }

    /// Remembers them for the next run.
    pub(crate) fn remember_pages(&self, source: &SourceKey, pages: Pages) {
        self.state(|state| state.pages.insert(source.clone(), pages));
    }

    /// Whether jobs can be taken.
    ///
    /// # Errors
    /// Why not, in one sentence.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.state(|state| state.fault.clone().map_or(Ok(()), Err))
    }

    /// Takes jobs until `stop`, then has the runs let go of theirs.
    pub(crate) async fn take_jobs(self: Arc<Self>, concurrency: usize, stop: CancellationToken) {
        let jobs = self.bus.names().jobs.clone();
        let mut queue = self.bus.queue(&jobs, JOBS_CONSUMER);
        let permits = Arc::new(Semaphore::new(concurrency));
        let mut runs = JoinSet::new();
        let mut intake = Intake::default();
        while let Some(permit) = next_permit(&permits, &stop).await {
            while runs.try_join_next().is_some() {}
            let taken = tokio::select! {
                taken = intake.next(&self, &mut queue) => taken,
                () = stop.cancelled() => break,
            };
            match taken {
                Ok(Some((delivery, ack_wait))) => {
                    let (worker, stop) = (Arc::clone(&self), stop.clone());
                    runs.spawn(async move { worker.attend(delivery, ack_wait, &stop, permit).await });
                }
                Ok(None) => {}
                Err(fault) => {
                    tracing::debug!(fault, "no jobs are taken");
                    self.state(|state| state.fault = Some(fault));
                    pause(&stop).await;
                }
            }
        }
        for delivery in queue.close().await {
            // The job comes again by itself when nobody hears this.
            let _ = delivery.give_back(None).await;
        }
        let let_go = async { while runs.join_next().await.is_some() {} };
        if timeout(GRACE, let_go).await.is_err() {
            tracing::warn!("runs that did not let go in time are cut off");
            runs.shutdown().await;
        }
    }

    async fn attend(
        self: Arc<Self>,
        delivery: Delivery,
        ack_wait: Duration,
        stop: &CancellationToken,
        permit: OwnedSemaphorePermit,
    ) {
        let since = Instant::now();
        self.shelf.refresh().await;
        let verdict = match self.accept(&delivery) {
            Ok((job, source)) => {
                let run_id = job.run_id.clone();
                self.metrics.running.inc();
                self.state(|state| state.running.insert(run_id.clone()));
                let within = trace_of(&run_id, delivery.header(TRACEPARENT));
                let trace = within.child();
                let mut span = Span::begin(Kind::Consumer, "run", trace, Some(within));
                span.tell("oddswire.run_id", &run_id);
                span.tell("oddswire.source", &job.source);
                let attempt = Attempt {
                    trace,
                    worker: Arc::clone(&self),
                    source,
                    job,
                    since,
                    ack_wait,
                };
                let verdict = attempt.make(&delivery, stop).await;
                if verdict != Verdict::Done {
                    span.fail(format_args!("{verdict:?}"));
                }
                self.state(|state| state.running.remove(&run_id));
                self.metrics.running.dec();
                verdict
            }
            Err(verdict) => verdict,
        };
        answer(&delivery, &verdict).await;
        drop(permit);
    }

    /// The job and its source, or what to answer instead.
    fn accept(&self, delivery: &Delivery) -> Result<(Job, Arc<Source>), Verdict> {
        let job: Job = serde_json::from_slice(delivery.payload()).map_err(|error| {
            self.metrics.turn_away("unreadable");
            Verdict::Discard(format!("the job cannot be read: {error}"))
        })?;
        if self.bus.subjects().job(&job.source) != delivery.subject() {
            self.metrics.turn_away("wrong_subject");
            return Err(Verdict::Discard(
                "the job stands in the place of another source".into(),
            ));
        }
        let source = self.shelf.current().get(&job.source).cloned();
        let source = source.ok_or_else(|| {
            self.metrics.turn_away("unknown_source");
            tracing::warn!(source = %job.source, "no definition of this source here: the job goes back");
            Verdict::GiveBack(Some(unknown_for(delivery.times())))
        })?;
        Ok((job, source))
    }
}

/// When a job comes again whose source this worker does not have: each time later, since the number of times is
/// limited and the worker that has it may be busy. About a minute in all.
fn unknown_for(times: u64) -> Duration {
    Duration::from_secs(2 << times.clamp(1, 5).saturating_sub(1))
}

async fn next_permit(permits: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        permit = Arc::clone(permits).acquire_owned() => permit.ok(),
    }
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = sleep(PAUSE) => {}
        () = stop.cancelled() => {}
    }
}

async fn answer(delivery: &Delivery, verdict: &Verdict) {
    if let Verdict::Discard(why) = verdict {
        tracing::error!(subject = delivery.subject(), why, "a job is thrown away");
    }
    for _ in 0..ANSWER_TRIES {
        let heard = match verdict {
            Verdict::Done => delivery.done().await,
            Verdict::GiveBack(delay) => delivery.give_back(*delay).await,
            Verdict::Discard(_) => delivery.discard().await,
            Verdict::Leave => Ok(()),
        };
        match heard {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "the answer to a job is sent again"),
        }
        sleep(PAUSE / 4).await;
    }
    // Whoever gets the job next finds how its run stands.
    tracing::warn!(subject = delivery.subject(), "nobody heard the answer to a job");
}

/// What is known of the queue.
#[derive(Default)]
struct Intake {
    ack_wait: Option<Duration>,
    swept_at: Option<Instant>,
}

impl Intake {
    /// The next job, or `None` when there was none for a while.
    ///
    /// # Cancel safety
    /// Dropping this future loses nothing.
    async fn next(
        &mut self,
        worker: &Worker,
        queue: &mut Queue,
    ) -> Result<Option<(Delivery, Duration)>, String> {
        let ack_wait = match self.ack_wait {
            Some(ack_wait) => ack_wait,
            None => self.ask(worker).await?,
        };
        match queue.next(ack_wait).await {
            Ok(Some(delivery)) => Ok(Some((delivery, ack_wait))),
            Ok(None) => {
                // A whole pull went by without a job: whatever is still there is nobody's.
                if self.swept_at.is_none_or(|at| at.elapsed() >= SWEEP_EVERY) {
                    self.swept_at = Some(Instant::now());
                    dead::sweep(worker).await;
                }
                Ok(None)
            }
            Err(error) => {
                self.ack_wait = None;
                Err(format!("the queue of jobs: {error}"))
            }
        }
    }

    async fn ask(&mut self, worker: &Worker) -> Result<Duration, String> {
        let jobs = &worker.bus.names().jobs;
        match worker.bus.queue_state(jobs, JOBS_CONSUMER).await {
            Ok(Some(state)) => {
                worker.state(|known| known.fault = None);
                self.ack_wait = Some(state.ack_wait);
                Ok(state.ack_wait)
            }
            Ok(None) | Err(ReadError::NoStream) => Err(format!(
                "consumer {jobs}/{JOBS_CONSUMER} is missing: run `oddswire provision`"
            )),
            Err(error) => Err(format!("the queue of jobs: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_an_unknown_source_waits_longer_each_time() {
        let waits: Vec<u64> = (1..=5).map(|times| unknown_for(times).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32]);
    }
}
