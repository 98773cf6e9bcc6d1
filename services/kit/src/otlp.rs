//! Export of spans: OTLP over HTTP with protobuf, to the collector that the environment names.
//!
//! OpenTelemetry's own crates queue, batch and encode; what they ask of the environment is theirs (`OTEL_…`). Their queue
//! is bounded and drops what does not fit, on a thread of its own: a collector that is away, or slow, holds nobody up.

use crate::{
    env,
    span::{Ended, Kind},
};
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _},
};
use std::{
    pin::Pin,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::runtime::Handle;

/// As for logs, one a process.
static PROCESSOR: OnceLock<BatchSpanProcessor> = OnceLock::new();

/// How long the last spans may take when the process stops.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);
/// How long one request may take; the exporter's own limit, `OTEL_EXPORTER_OTLP_TIMEOUT`, is 10 s unless set.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// The environment asks for an export that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("OTEL_…: {0}")]
pub struct Error(String);

/// Exports the spans of this process from now on, in the name of `service` unless `OTEL_SERVICE_NAME` says otherwise;
/// does nothing where the environment names no collector. Requests are made on `runtime`.
///
/// # Errors
/// [`Error`], a sentence.
pub(crate) fn begin(service: &str, runtime: &Handle) -> Result<(), Error> {
    let set = |name: &str| env::lookup(name).filter(|value| !value.is_empty());
    let endpoint = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    if endpoint.is_none() || off {
        return Ok(());
    }
    let collector = Collector::new(runtime.clone()).map_err(|error| Error(error.to_string()))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(collector)
        .build()
        .map_err(|error| Error(error.to_string()))?;
    // The environment's attributes and name go over ours.
    let mut resource = Resource::builder();
    if set("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(service.to_owned());
    }
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    processor.set_resource(&resource.build());
    // A second one would be for the same collector.
    let _ = PROCESSOR.set(processor);
    Ok(())
}

/// Sends what is still queued, for a bounded time.
pub(crate) fn end() {
    if let Some(processor) = PROCESSOR.get()
        && let Err(error) = processor.shutdown_with_timeout(FLUSH_WITHIN)
    {
        tracing::warn!(%error, "the last spans were not exported");
    }
}

pub(crate) fn is_exported() -> bool {
    PROCESSOR.get().is_some()
}

pub(crate) fn export(span: Ended) {
    if let Some(processor) = PROCESSOR.get() {
        processor.on_end(data(span));
    }
}

fn data(span: Ended) -> SpanData {
    let kind = match span.kind {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    };
    let (trace_id, span_id) = span.trace.ids();
    let start_time = SystemTime::UNIX_EPOCH
        + Duration::from_millis(u64::try_from(span.began_at.unix_ms()).unwrap_or_default());
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace_id),
            SpanId::from(span_id),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        ),
        parent_span_id: span
            .parent
            .map_or(SpanId::INVALID, |parent| SpanId::from(parent.ids().1)),
        // A span of ours is within what a message or a request brought; what is not remote nobody needs to know.
        parent_span_is_remote: span.parent.is_some(),
        span_kind: kind,
        name: span.name.into(),
        start_time,
        end_time: start_time + span.took,
        attributes: span
            .attributes
            .into_iter()
            .map(|(name, value)| KeyValue::new(name, value))
            .collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.failure.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("oddswire").build(),
    }
}

/// Where spans go.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    /// Whether the last request failed: told once, not with each batch.
    is_away: AtomicBool,
}

impl Collector {
    fn new(runtime: Handle) -> Result<Self, reqwest::Error> {
        Ok(Self {
            // It may carry credentials in its headers.
            client: reqwest::Client::builder()
                .timeout(REQUEST_WITHIN)
                .redirect(reqwest::redirect::Policy::none())
                .build()?,
            runtime,
            is_away: AtomicBool::new(false),
        })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        // The thread that exports has no runtime.
        let answer = self.runtime.spawn(async move {
            let answer = client.execute(request).await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        });
        let (status, body) = answer.await?.map_err(reqwest::Error::without_url)?;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }

    /// Tells once that it is away, and once that it is back.
    fn note(&self, why: Option<&dyn std::fmt::Display>) {
        match (self.is_away.swap(why.is_some(), Ordering::Relaxed), why) {
            (false, Some(why)) => tracing::warn!(%why, "the collector takes no spans: they are lost"),
            (true, None) => tracing::info!("the collector takes spans again"),
            _ => {}
        }
    }
}

/// What `async_trait` makes of `async fn send_bytes`.
impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let sent = self.send(request).await;
            match &sent {
                Ok(response) if response.status().is_success() => self.note(None),
                Ok(response) => self.note(Some(&response.status())),
                Err(error) => self.note(Some(error)),
            }
            sent
        })
    }
}
