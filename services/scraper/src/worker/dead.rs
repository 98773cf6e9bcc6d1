//! Ends the runs of jobs that were handed out as often as allowed: each becomes a failed run, and its source is free.
//!
//! The server says once that a job is at its limit, and only while somebody pulls; so an idle worker looks as well.
//! All workers do both; the run's expected sequence lets one of them write.

use super::Worker;
use crate::{
    bus::{LastOfRun, patiently},
    progress::dead,
    publish::{Author, trace_of},
};
use oddswire_kit::{log::ReadError, publish::PublishError, trace::Trace};
use oddswire_protocol::{Timestamp, header::TRACEPARENT, job::Job, stream::JOBS_CONSUMER};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Hears which jobs are at their limit, until `stop`.
pub(crate) async fn bury_the_exhausted(worker: Arc<Worker>, stop: CancellationToken) {
    let jobs = worker.bus.names().jobs.clone();
    let Some(mut exhausted) = patiently(&stop, || worker.bus.exhausted(&jobs, JOBS_CONSUMER)).await else {
        return;
    };
    loop {
        let seq = tokio::select! {
            seq = exhausted.next() => seq,
            () = stop.cancelled() => return,
        };
        let Some(seq) = seq else {
            // Only when the connection is closed for good, which nobody but a stop does.
            return stop.cancelled().await;
        };
        bury(&worker, seq, None, &stop).await;
    }
}

/// Looks for jobs that were handed out, that nobody works at, and that nobody gets any more. Call it only when a
/// whole pull went by without a job.
pub(super) async fn sweep(worker: &Worker) {
    if let Err(error) = try_sweep(worker).await {
        tracing::debug!(%error, "dead jobs are looked for later");
    }
}

async fn try_sweep(worker: &Worker) -> Result<(), ReadError> {
    let jobs = &worker.bus.names().jobs;
    let Some(queue) = worker.bus.queue_state(jobs, JOBS_CONSUMER).await? else {
        return Ok(());
    };
    // Twice the time in which it could have been handed out as often as allowed.
    let times = u32::try_from(queue.max_deliver).unwrap_or(1).max(1);
    let dead_after_ms = u64::try_from((queue.ack_wait * times * 2).as_millis()).unwrap_or(u64::MAX);
    let mut read = worker
        .bus
        .read(jobs, worker.bus.subjects().job_all(), 1, queue.delivered_seq);
    while let Some(page) = read.next_page().await? {
        for message in page {
            if Timestamp::now().ms_since(message.stored_at) >= dead_after_ms {
                bury(
                    worker,
                    message.seq,
                    Some(dead_after_ms),
                    &CancellationToken::new(),
                )
                .await;
            }
        }
    }
    Ok(())
}

/// Ends the run of a job as failed and removes the job. With `silent_for_ms`, only when the run was silent for so
/// long.
async fn bury(worker: &Worker, seq: u64, silent_for_ms: Option<u64>, stop: &CancellationToken) {
    match try_bury(worker, seq, silent_for_ms, stop).await {
        Ok(()) => {}
        Err(error) => tracing::warn!(%error, seq, "a dead job stays for now"),
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    TooLarge(#[from] crate::publish::TooLarge),
}

async fn try_bury(
    worker: &Worker,
    seq: u64,
    silent_for_ms: Option<u64>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let jobs = &worker.bus.names().jobs;
    let Some(message) = worker.bus.message(jobs, seq).await? else {
        return Ok(());
    };
    if let Ok(job) = serde_json::from_slice::<Job>(&message.payload) {
        let trace = trace_of(&job.run_id, message.header(TRACEPARENT));
        if !end(worker, &job, trace, silent_for_ms, stop).await? {
            return Ok(());
        }
    } else {
        tracing::error!(seq, "a job that nobody can read is thrown away");
        worker.metrics.turn_away("unreadable");
    }
    worker.bus.delete_message(jobs, seq).await?;
    Ok(())
}

/// Ends a run as failed, unless it is over; whether it is over now.
async fn end(
    worker: &Worker,
    job: &Job,
    trace: Trace,
    silent_for_ms: Option<u64>,
    stop: &CancellationToken,
) -> Result<bool, Error> {
    let author = Author::new(worker.bus.subjects(), &worker.id, &job.source, &job.run_id, trace);
    let last = LastOfRun::read(&worker.bus, &author.run_key()).await?;
    if let Some(last) = &last {
        if last.terminal {
            return Ok(true);
        }
        if silent_for_ms.is_some_and(|ms| last.age_ms < ms) {
            return Ok(false);
        }
    }
    let at = Timestamp::now();
    let image = dead(job, last.as_ref().and_then(|last| last.image.as_ref()), at);
    let expected = last.as_ref().map_or(0, |last| last.seq);
    let message = author.run(&image, at, expected, None)?;
    match worker.bus.publish(&message, stop).await {
        Ok(_) => {
            tracing::error!(run_id = %job.run_id, source = %job.source, "a run that nobody could end is failed");
            worker.metrics.dead_jobs.inc();
            Ok(true)
        }
        // Somebody is alive, or another worker was faster: the next look tells.
        Err(PublishError::WrongLast) => {
            let last = LastOfRun::read(&worker.bus, &author.run_key()).await?;
            Ok(last.is_some_and(|last| last.terminal))
        }
        Err(error) => Err(error.into()),
    }
}
