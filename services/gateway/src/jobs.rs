//! Starting and cancelling runs: jobs into the queue, wishes to stop into the control records.

use oddswire_kit::{
    bus::Bus,
    log::{ReadError, Stored},
    publish::{Publication, PublishError},
    trace::Trace,
};
use oddswire_protocol::{
    BatchId, EventKey, RunId, SourceKey, Timestamp,
    api::{BusySource, StartedRun},
    header::{self, ATTEMPT, BATCH, STATUS, TRACEPARENT},
    job::{CANCEL_TTL_S, CancelIntent, Job, RequestedBy},
    progress::{ErrorGroup, ErrorType, Phase, PhaseProgress, ScrapeProgress, Status, Unit},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The bus did not take it.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What became of one source of a start.
#[derive(Debug)]
pub enum Start {
    /// It has a new run.
    Started(StartedRun),
    /// It has one already.
    Busy(BusySource),
}

/// Puts one job into the queue, as a part of the trace that it was asked for within. The source's place there is its lock: when it is taken, the source is busy.
///
/// # Errors
/// [`Error`].
pub async fn start(
    bus: &Bus,
    source: &SourceKey,
    batch_id: &BatchId,
    retry_of: Option<RunId>,
    asked_within: Option<Trace>,
    stop: &CancellationToken,
) -> Result<Start, Error> {
    let run_id = RunId::new();
    let job = Job {
        run_id: run_id.clone(),
        batch_id: batch_id.clone(),
        source: source.clone(),
        requested_at: Timestamp::now(),
        requested_by: RequestedBy::Api,
        retry_of,
    };
    let mut message = Publication::new(bus.subjects().job(source), run_id.to_string(), encode(&job));
    let trace = asked_within.map_or_else(|| Trace::of_id(run_id.trace_id()), Trace::child);
    message.headers.push((TRACEPARENT, trace.to_string()));
    message.within = asked_within;
    match bus.publish(&message, stop).await {
        Ok(_) => {
            tracing::info!(trace_id = trace.trace_id(), %run_id, %source, "run asked for");
            let location = format!("/api/scrapes/{run_id}");
            Ok(Start::Started(StartedRun {
                run_id,
                source: source.clone(),
                location,
            }))
        }
        Err(PublishError::Taken) => {
            let subject = bus.subjects().job(source);
            let holder = bus.leader_last_message(&bus.names().jobs, &subject).await?;
            let run_id = holder.and_then(|m| decode(&m)).map(|job| job.run_id);
            Ok(Start::Busy(BusySource {
                source: source.clone(),
                run_id,
            }))
        }
        Err(error) => Err(error.into()),
    }
}

/// The jobs that are not done: queued or at work.
///
/// # Errors
/// [`ReadError`].
pub async fn all(bus: &Bus) -> Result<Vec<Job>, ReadError> {
    Ok(read_all(bus)
        .await?
        .into_iter()
        .map(|queued| queued.job)
        .collect())
}

/// The job of a run, while it is not done.
///
/// # Errors
/// [`ReadError`].
pub async fn queued(bus: &Bus, run_id: &RunId) -> Result<Option<Job>, ReadError> {
    Ok(all(bus).await?.into_iter().find(|job| job.run_id == *run_id))
}

/// A job in its place.
struct Queued {
    seq: u64,
    job: Job,
    trace: Trace,
}

impl Queued {
    fn of(message: &Stored) -> Option<Self> {
        let job = decode(message)?;
        let trace = message.header(TRACEPARENT).and_then(|text| text.parse().ok());
        Some(Self {
            seq: message.seq,
            trace: trace.unwrap_or_else(|| Trace::of_id(job.run_id.trace_id())),
            job,
        })
    }
}

async fn read_all(bus: &Bus) -> Result<Vec<Queued>, ReadError> {
    let mut read = bus.read(&bus.names().jobs, bus.subjects().job_all(), 1, u64::MAX);
    let mut jobs = Vec::new();
    while let Some(page) = read.next_page().await? {
        jobs.extend(page.iter().filter_map(Queued::of));
    }
    Ok(jobs)
}

/// Asks for the end of a run: first the wish, which no worker can miss, then a word to the worker that is at it. A
/// run that no worker has begun is ended here.
///
/// # Errors
/// [`Error`].
pub async fn cancel(bus: &Bus, run_id: &RunId, stop: &CancellationToken) -> Result<(), Error> {
    let intent = CancelIntent {
        run_id: run_id.clone(),
        requested_at: Timestamp::now(),
    };
    let ttl = Some(Duration::from_secs(CANCEL_TTL_S));
    bus.kv_put(&format!("cancel.{run_id}"), encode(&intent), ttl, stop)
        .await?;
    if bus.ask(bus.subjects().control(run_id)).await {
        return Ok(());
    }
    let Some(Queued { seq, job, trace }) = read_all(bus)
        .await?
        .into_iter()
        .find(|queued| queued.job.run_id == *run_id)
    else {
        return Ok(());
    };
    let image = image_of_queued(&job);
    match bus.publish(&cancelled(bus, &job, trace, image), stop).await {
        Ok(_) => bus
            .delete_message(&bus.names().jobs, seq)
            .await
            .map_err(Error::from),
        // A worker began it in between: it reads the wish before anything else.
        Err(PublishError::WrongLast) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The state of a run that no worker has begun.
pub fn image_of_queued(job: &Job) -> ScrapeProgress {
    ScrapeProgress::queued(job.run_id.clone(), job.batch_id.clone(), job.source.clone())
}

/// The one and last event of a run that was cancelled before a worker began it.
fn cancelled(bus: &Bus, job: &Job, trace: Trace, queued: ScrapeProgress) -> Publication {
    let now = Timestamp::now();
    let error = ErrorGroup {
        error_type: ErrorType::Cancelled,
        message: "cancelled before a worker began it".into(),
        recoverable: false,
        http_status: None,
        retry_in_ms: None,
        count: 1,
        first_at: now,
        last_at: now,
    };
    let phase = PhaseProgress {
        phase: Phase::Cancelled,
        current: 0,
        total: None,
        unit: Unit::Pages,
        elapsed_ms: 0,
    };
    let image = ScrapeProgress {
        seq: 1,
        status: Status::Cancelled,
        phase: Phase::Cancelled,
        message: error.message.clone(),
        finished_at: Some(now),
        phases: vec![phase],
        errors: vec![error.clone()],
        error: Some(error),
        ..queued
    };
    let key = EventKey::Run {
        source: job.source.clone(),
        run_id: job.run_id.clone(),
    };
    let id = format!("{}:0:1", job.run_id);
    let mut headers = header::cloud_event(&key, &id, "gateway", now);
    headers.extend([
        (TRACEPARENT, trace.child().to_string()),
        (STATUS, Status::Cancelled.as_str().to_owned()),
        (ATTEMPT, "0".to_owned()),
        (BATCH, job.batch_id.to_string()),
    ]);
    Publication {
        headers,
        expected: Some(0),
        within: Some(trace),
        ..Publication::new(bus.subjects().feed(&key), id, encode(&image))
    }
}

fn encode(value: &impl serde::Serialize) -> bytes::Bytes {
    serde_json::to_vec(value)
        .expect("types of the protocol serialise without failing")
        .into()
}

fn decode(message: &Stored) -> Option<Job> {
    serde_json::from_slice(&message.payload).ok()
}
