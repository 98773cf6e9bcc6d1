//! Withdraws what a source offered, when nobody scrapes it any more: a run like any other, but without a site.
//!
//! Its job stands in the queue while it lasts, so that no other run of the source begins; should this process die, the
//! workers find nobody who knows the source, and end the run as failed.

use super::{
    claim::{Claimed, claim},
    gauge::Gauge,
    rein::{Abandoned, Rein},
    report::Reporter,
    store::Store,
};
use crate::{
    bus::{Board, read_board},
    diff::{Sight, Target, WITHDRAWN_FOR_MS, is_withdrawn},
    metrics::{self, Metrics},
    progress::End,
    publish::{Author, trace_of},
    trial::Trial,
    walk::Observer as _,
};
use oddswire_kit::{
    bus::Bus,
    kv::TakeError,
    log::ReadError,
    metrics::Book,
    publish::{Publication, PublishError},
};
use oddswire_protocol::{
    BatchId, RunId, SourceKey, Timestamp,
    job::{Job, RequestedBy, WorkerRecord},
    odds::OddsConfirmed,
    progress::{Outcome, Phase, Unit},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicBool, atomic::AtomicU64},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Who does this, as the run says it.
const WORKER: &str = "source-retire";
/// How long a removal may be seen in CONTROL.
const REMOVED_FOR: Duration = Duration::from_secs(3600);
/// Nobody else gets the job by waiting: it is not taken from the queue.
const NO_LEASE: Duration = Duration::from_secs(24 * 3600);

/// A source was retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retired {
    /// Markets that were offered, and are withdrawn now.
    pub(crate) markets: usize,
}

/// Why a source was not retired.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRetired {
    #[error("the bus has nothing of {0}")]
    Unknown(SourceKey),
    #[error(
        "{0} is scraped: {1} has its definition. Remove it from the folder; a scraper notices within some seconds"
    )]
    Scraped(SourceKey, String),
    #[error("a run of {0} is waiting or under way: cancel it, or wait until it is over")]
    Busy(SourceKey),
    #[error("a run of {0} began meanwhile, and goes on: try again when it is over")]
    Overtaken(SourceKey),
    #[error("the bus does not take it: {0}")]
    Refused(String),
    #[error("{0} of its markets could not be withdrawn")]
    Left(usize),
    #[error("stopped; what was not withdrawn stands")]
    Stopped,
    #[error(transparent)]
    Bus(#[from] ReadError),
    #[error(transparent)]
    Record(#[from] TakeError),
}

/// Withdraws all that a source offers, and has it listed no more. What is withdrawn vanishes after a week.
pub(crate) async fn retire(
    bus: &Bus,
    source: &SourceKey,
    stop: &CancellationToken,
) -> Result<Retired, NotRetired> {
    for (_, record) in bus.kv_list("worker").await? {
        let worker: Option<WorkerRecord> = serde_json::from_slice(&record).ok();
        if let Some(worker) = worker.filter(|worker| worker.sources.contains(source)) {
            return Err(NotRetired::Scraped(source.clone(), worker.worker_id));
        }
    }
    let record = format!("source.{source}");
    let board = read_board(bus, source, stop).await.ok_or(NotRetired::Stopped)?;
    if board.is_empty() && bus.kv_get(&record).await?.is_none() {
        return Err(NotRetired::Unknown(source.clone()));
    }
    let job = Job {
        run_id: RunId::new(),
        batch_id: BatchId::new(),
        source: source.clone(),
        requested_at: Timestamp::now(),
        requested_by: RequestedBy::Api,
        retry_of: None,
    };
    let lock = lock(bus, &job, stop).await?;
    let retired = conduct(bus, &job, stop).await;
    if !matches!(retired, Err(NotRetired::Overtaken(_))) {
        bus.delete_message(&bus.names().jobs, lock).await?;
    }
    let retired = retired?;
    for key in [record, format!("misses.{source}")] {
        bus.kv_take(&key, REMOVED_FOR, stop).await?;
    }
    Ok(retired)
}

/// Puts the job into the queue; gives its sequence.
async fn lock(bus: &Bus, job: &Job, stop: &CancellationToken) -> Result<u64, NotRetired> {
    let body = serde_json::to_vec(job).expect("a job serialises without failing");
    let subject = bus.subjects().job(&job.source);
    let message = Publication::new(subject, job.run_id.to_string(), body.into());
    match bus.publish(&message, stop).await {
        Ok(ack) => Ok(ack.seq),
        Err(PublishError::Taken) => Err(NotRetired::Busy(job.source.clone())),
        Err(PublishError::Stopped) => Err(NotRetired::Stopped),
        Err(error) => Err(NotRetired::Refused(error.to_string())),
    }
}

async fn conduct(bus: &Bus, job: &Job, stop: &CancellationToken) -> Result<Retired, NotRetired> {
    // Whoever stops this has the run end as cancelled.
    let rein = Arc::new(Rein::new(Instant::now(), NO_LEASE, &CancellationToken::new()));
    let trace = trace_of(&job.run_id, None);
    let author = Author::new(bus.subjects(), WORKER, &job.source, &job.run_id, trace);
    let author = Arc::new(author);
    let began = Instant::now();
    let (progress, claim) = match claim(bus, &author, job, WORKER, &rein, began).await {
        Claimed::Ours(progress, claim) => (progress, claim),
        Claimed::Over | Claimed::Taken => return Err(NotRetired::Overtaken(job.source.clone())),
        Claimed::Refused(why) => return Err(NotRetired::Refused(why)),
        Claimed::Abandoned => return Err(NotRetired::Stopped),
    };
    let gauge = Arc::new(Gauge::new(*progress, began));
    let metrics = Arc::new(Metrics::new(&mut Book::new(metrics::PREFIX)));
    let mut reporter = Reporter {
        bus: bus.clone(),
        author: Arc::clone(&author),
        gauge: Arc::clone(&gauge),
        rein: Arc::clone(&rein),
        metrics: Arc::clone(&metrics),
        last_seq: claim.fence,
    };
    let store = Store {
        bus: bus.clone(),
        source: job.source.clone(),
        author,
        claim,
        gauge: Arc::clone(&gauge),
        rein: Arc::clone(&rein),
        metrics,
        written: Arc::default(),
        fence: AtomicU64::new(0),
        keep_for: Some(Duration::from_millis(WITHDRAWN_FOR_MS)),
        held_up: AtomicBool::new(false),
        trial: Trial::default(),
    };
    let over = CancellationToken::new();
    let withdrawing = async {
        let withdrawn = withdraw(&store, job).await;
        over.cancel();
        withdrawn
    };
    let work = async {
        let (withdrawn, ()) = tokio::join!(withdrawing, reporter.follow(&over));
        let (end, message) = match &withdrawn {
            Some(Ok(Retired { markets })) => (
                End::Completed(Outcome::Empty),
                format!("The source is retired: {markets} markets withdrawn."),
            ),
            Some(Err(left)) => (End::Failed(Outcome::Partial), NotRetired::Left(*left).to_string()),
            None => (End::Cancelled, "Cancelled.".to_owned()),
        };
        gauge.finish(end, &message);
        reporter.finish(super::after(&store.written)).await;
        withdrawn
    };
    let withdrawn = tokio::select! {
        withdrawn = work => withdrawn,
        never = cancel_with(stop, &rein) => match never {},
    };
    match (rein.abandoned(), withdrawn) {
        (Some(Abandoned::Fenced | Abandoned::Over), _) => Err(NotRetired::Overtaken(job.source.clone())),
        (Some(why), _) => Err(NotRetired::Refused(why.as_str().to_owned())),
        (None, None) => Err(NotRetired::Stopped),
        (None, Some(Err(left))) => Err(NotRetired::Left(left)),
        (None, Some(Ok(retired))) => Ok(retired),
    }
}

async fn cancel_with(stop: &CancellationToken, rein: &Rein) -> std::convert::Infallible {
    stop.cancelled().await;
    rein.cancel();
    std::future::pending().await
}

/// Withdraws each market, then says that the source was checked. `Err` with how many could not be; `None` when the work
/// must end.
async fn withdraw(store: &Store, job: &Job) -> Option<Result<Retired, usize>> {
    store.take_over().await?;
    let board: Board = store.load().await?;
    let live = board
        .iter()
        .filter(|(_, image)| !image.as_deref().is_some_and(is_withdrawn));
    let targets: Vec<_> = live.map(|(key, _)| Target::withdrawn(key.clone())).collect();
    let sight = Sight {
        source: job.source.clone(),
        run_id: job.run_id.clone(),
        at: Timestamp::now(),
    };
    let phase = "Withdrawing what the source offered.";
    store.gauge.enter(Phase::Storing, Unit::Markets, phase);
    store.gauge.total(Some(targets.len() as u64));
    let refused: BTreeSet<_> = store.settle(&targets, &board, &sight).await;
    if store.rein.working().is_cancelled() {
        return None;
    }
    let left = targets
        .iter()
        .filter(|target| refused.contains(&target.key.event_id));
    let left = left.count();
    if left > 0 {
        return Some(Err(left));
    }
    let confirmed = OddsConfirmed {
        source: sight.source,
        run_id: sight.run_id,
        confirmed_at: sight.at,
        unconfirmed_event_ids: Vec::new(),
        all_unconfirmed: false,
    };
    if !store.confirm(&confirmed).await {
        return (!store.rein.working().is_cancelled()).then_some(Err(0));
    }
    Some(Ok(Retired {
        markets: targets.len(),
    }))
}
