//! Runs, sources and workers.

use super::{
    Gateway,
    answer::{self, json},
    error::ApiError,
    extract::{Body, Parameters, Reading, RunPath},
};
use crate::{
    jobs::{self, Start},
    runs::{self, RunEntry, RunFilter, RunList},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use oddswire_kit::{
    span::{Kind, Span},
    trace::Trace,
};
use oddswire_protocol::{
    BatchId, RunId, SourceKey,
    api::{Cancelled, Sources, StartScrapes, Started, Workers},
    header::TRACEPARENT,
    job::{Job, SourceRecord, WorkerRecord},
    problem::ProblemCode,
    progress::{Outcome, ScrapeProgress, Status},
};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a command waits for the bus before it is answered with 503.
const COMMAND_WITHIN: Duration = Duration::from_secs(3);

impl From<jobs::Error> for ApiError {
    fn from(error: jobs::Error) -> Self {
        Self::bus_unavailable(error.to_string())
    }
}

/// Carries out a command within its time.
async fn within<T>(
    work: impl AsyncFnOnce(CancellationToken) -> Result<T, jobs::Error>,
) -> Result<T, ApiError> {
    let stop = CancellationToken::new();
    let deadline = async {
        tokio::time::sleep(COMMAND_WITHIN).await;
        stop.cancel();
        // The work ends with its own error, but not before it was given a moment to.
        tokio::time::sleep(COMMAND_WITHIN).await;
    };
    tokio::select! {
        done = work(stop.clone()) => Ok(done?),
        () = deadline => Err(ApiError::bus_unavailable("the bus did not answer in time")),
    }
}

pub(super) async fn start(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    Body(wish): Body<StartScrapes>,
) -> Result<Response, ApiError> {
    let (bus, quarantine) = (gateway.shared.logs.bus(), gateway.shared.logs.quarantine());
    let known: Vec<SourceRecord> = records(&gateway, "source").await?;
    let sources = match (&wish.retry_of, &wish.sources) {
        (Some(run_id), None) => {
            let run = runs::find(bus, quarantine, run_id)
                .await?
                .ok_or_else(|| ApiError::unknown_run(run_id.as_str()))?;
            has_something_to_retry(&run)?;
            vec![run.source]
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_body(
                "retry_of names its source itself: leave out sources",
            ));
        }
        (None, wanted) => choose(&known, wanted.as_deref().unwrap_or_default())?,
    };
    let workers = records::<WorkerRecord>(&gateway, "worker").await?.len();
    let batch_id = BatchId::new();
    // What is no traceparent is as none.
    let asked_within: Option<Trace> = headers
        .get(TRACEPARENT)
        .and_then(|text| text.to_str().ok()?.parse().ok());
    let trace = asked_within.map(Trace::child);
    // Without one each run has a trace of its own.
    let _span = trace.map(|trace| Span::begin(Kind::Server, "POST /api/scrapes", trace, asked_within));
    let (mut runs, mut busy) = (Vec::new(), Vec::new());
    for source in &sources {
        let retry_of = wish.retry_of.clone();
        match within(async |stop| jobs::start(bus, source, &batch_id, retry_of, trace, &stop).await).await? {
            Start::Started(run) => runs.push(run),
            Start::Busy(source) => busy.push(source),
        }
    }
    if runs.is_empty() && !busy.is_empty() {
        let busy = serde_json::to_value(&busy).unwrap_or_default();
        let detail = "every source asked for has a run already";
        return Err(ApiError::new(ProblemCode::Busy, detail).with("busy", busy));
    }
    let answer = Started {
        batch_id,
        runs,
        busy,
        workers,
    };
    Ok((StatusCode::ACCEPTED, axum::Json(answer)).into_response())
}

/// Only what is over and not whole can be retried.
fn has_something_to_retry(run: &RunEntry) -> Result<(), ApiError> {
    if !run.status.is_terminal() {
        let detail = format!("run {} is not over; follow it, or cancel it first", run.run_id);
        return Err(ApiError::new(ProblemCode::NotOver, detail));
    }
    let image: Option<ScrapeProgress> = serde_json::from_slice(&run.image).ok();
    if let Some(Outcome::Complete | Outcome::Empty) = image.and_then(|image| image.outcome) {
        let detail = format!(
            "nothing failed in run {}; start a new one for its source instead",
            run.run_id
        );
        return Err(ApiError::new(ProblemCode::NothingFailed, detail));
    }
    Ok(())
}

/// The sources that are meant: those named, or all that are enabled.
fn choose(known: &[SourceRecord], wanted: &[String]) -> Result<Vec<SourceKey>, ApiError> {
    if wanted.is_empty() {
        return Ok(known
            .iter()
            .filter(|record| record.enabled)
            .map(|record| record.source.clone())
            .collect());
    }
    let mut sources: Vec<SourceKey> = Vec::new();
    for name in wanted {
        let Some(record) = known.iter().find(|record| record.source.as_str() == name) else {
            let names: Vec<&str> = known.iter().map(|record| record.source.as_str()).collect();
            let shown: String = name.chars().take(80).collect();
            let detail = if names.is_empty() {
                format!("there is no source {shown:?}: no scraper has told of any source yet")
            } else {
                format!("there is no source {shown:?}; there are {}", names.join(", "))
            };
            return Err(ApiError::new(ProblemCode::UnknownSource, detail).with("known", names));
        };
        if !sources.contains(&record.source) {
            sources.push(record.source.clone());
        }
    }
    Ok(sources)
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    /// Only runs with this status.
    #[schemars(with = "Status")]
    status: Option<String>,
    /// Only runs of this source.
    #[schemars(with = "SourceKey")]
    source: Option<String>,
    /// Only runs that were started together.
    #[schemars(with = "BatchId")]
    batch_id: Option<String>,
    /// How many runs at most, besides those that are queued.
    #[schemars(with = "usize", range(min = 1, max = LIMIT_MAX), extend("default" = LIMIT_DEFAULT))]
    limit: Option<String>,
    /// The `next_page` of the page before.
    #[schemars(with = "RunId")]
    page: Option<String>,
}

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 500;

pub(super) async fn list(
    State(gateway): State<Gateway>,
    Parameters(query): Parameters<ListQuery>,
    _place: Reading,
) -> Result<Response, ApiError> {
    let filter = RunFilter {
        status: parameter("status", query.status.as_deref())?,
        source: parameter("source", query.source.as_deref())?,
        batch_id: parameter("batch_id", query.batch_id.as_deref())?,
    };
    let before: Option<RunId> = parameter("page", query.page.as_deref())?;
    let limit = limit(query.limit.as_deref(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let (bus, quarantine) = (gateway.shared.logs.bus(), gateway.shared.logs.quarantine());
    let listed = gateway
        .runs
        .list(bus, quarantine, &filter, before.as_ref(), limit);
    let (mut entries, more) = listed.await?;
    if before.is_none() {
        let waiting = queued_entries(&gateway, &filter).await?;
        entries.splice(0..0, waiting);
    }
    let next_page = more
        .then(|| entries.last().map(|run| run.run_id.clone()))
        .flatten();
    answer::listing(&gateway, RunList::new(entries, next_page)).await
}

/// Runs that no worker has begun, newest first: there is no event of them yet.
async fn queued_entries(gateway: &Gateway, filter: &RunFilter) -> Result<Vec<RunEntry>, ApiError> {
    let (bus, quarantine) = (gateway.shared.logs.bus(), gateway.shared.logs.quarantine());
    let mut entries = Vec::new();
    for job in jobs::all(bus).await? {
        let entry = queued_entry(&job);
        if filter.admits(&entry) && runs::find(bus, quarantine, &job.run_id).await?.is_none() {
            entries.push(entry);
        }
    }
    entries.sort_by(|a, b| b.run_id.cmp(&a.run_id));
    Ok(entries)
}

fn queued_entry(job: &Job) -> RunEntry {
    let image = serde_json::to_vec(&jobs::image_of_queued(job))
        .unwrap_or_default()
        .into();
    RunEntry {
        run_id: job.run_id.clone(),
        source: job.source.clone(),
        status: Status::Queued,
        batch_id: Some(job.batch_id.clone()),
        seq: 0,
        image,
    }
}

async fn find(gateway: &Gateway, id: &RunId) -> Result<RunEntry, ApiError> {
    let (bus, quarantine) = (gateway.shared.logs.bus(), gateway.shared.logs.quarantine());
    if let Some(run) = runs::find(bus, quarantine, id).await? {
        return Ok(run);
    }
    match jobs::queued(bus, id).await? {
        Some(job) => Ok(queued_entry(&job)),
        None => Err(ApiError::unknown_run(id.as_str())),
    }
}

pub(super) async fn show(
    State(gateway): State<Gateway>,
    RunPath(run_id): RunPath,
    _place: Reading,
) -> Result<Response, ApiError> {
    Ok(json(find(&gateway, &run_id).await?.image))
}

pub(super) async fn cancel(
    State(gateway): State<Gateway>,
    RunPath(run_id): RunPath,
) -> Result<Response, ApiError> {
    let run = find(&gateway, &run_id).await?;
    if !run.status.is_terminal() {
        within(async |stop| jobs::cancel(gateway.shared.logs.bus(), &run.run_id, &stop).await).await?;
    }
    let status = if run.status.is_terminal() {
        run.status
    } else {
        Status::Cancelling
    };
    let answer = Cancelled {
        run_id: run.run_id,
        status,
    };
    Ok((StatusCode::ACCEPTED, axum::Json(answer)).into_response())
}

pub(super) async fn sources(State(gateway): State<Gateway>, _place: Reading) -> Result<Response, ApiError> {
    let sources = records(&gateway, "source").await?;
    Ok(axum::Json(Sources { sources }).into_response())
}

pub(super) async fn workers(State(gateway): State<Gateway>, _place: Reading) -> Result<Response, ApiError> {
    let workers = records(&gateway, "worker").await?;
    Ok(axum::Json(Workers { workers }).into_response())
}

/// The control records of a group, ordered by key; those that cannot be read are left out.
async fn records<T: DeserializeOwned>(gateway: &Gateway, group: &str) -> Result<Vec<T>, ApiError> {
    let values = gateway.shared.logs.bus().kv_list(group).await?;
    Ok(values
        .iter()
        .filter_map(|(_, value)| serde_json::from_slice(value).ok())
        .collect())
}

fn parameter<T>(name: &str, text: Option<&str>) -> Result<Option<T>, ApiError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.filter(|text| !text.is_empty())
        .map(|text| {
            text.parse()
                .map_err(|e: T::Err| ApiError::bad_query(format!("{name}: {e}")))
        })
        .transpose()
}

pub(super) fn limit(text: Option<&str>, default: usize, most: usize) -> Result<usize, ApiError> {
    match text.map(str::parse) {
        None => Ok(default),
        Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err(ApiError::bad_query(format!("limit must be 1 to {most}"))),
    }
}
