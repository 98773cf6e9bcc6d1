//! Server-Sent Events, the plain way: a hyper body of ready bytes. For streams that share their connection with other
//! requests, and for those of one run.

use super::{
    Gateway,
    error::ApiError,
    extract::{Parameters, RunPath},
    query::StreamQuery,
};
use crate::{
    front::{Front, Visitor},
    logs::Past,
    metrics::{CloseLabel, Transport as Label, TransportLabel},
    session::{Gone, Input, Outgoing, Request, Session, Since, Transport},
    wire::{self, Form},
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use oddswire_kit::log::ReadError;
use oddswire_protocol::{Cursor, EventKey, Feed, Topic, problem::ProblemCode};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};

pub(super) async fn connect(
    State(gateway): State<Gateway>,
    Parameters(query): Parameters<StreamQuery>,
    visitor: Option<Extension<Visitor>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // Before anything else: who is not let in learns nothing.
    let grant = gateway
        .admit_stream(&headers, query.ticket(), visitor.as_deref())
        .await?;
    let request = query.events(&headers, &gateway.shared.limits(), grant)?;
    gateway.front.open_stream()?;
    Ok(open(&gateway, request))
}

/// Whether a client at this position has had the run message of a sequence, in the present history of the log.
async fn has_had(gateway: &Gateway, at: Cursor, seq: u64) -> Result<bool, ReadError> {
    let logs = &gateway.shared.logs;
    let Some(at) = at.position(Feed::Run).filter(|at| at.seq >= seq) else {
        return Ok(false);
    };
    let state = logs.state(Feed::Run).await?;
    let end = at.proof.map_or(at.seq, |proof| proof.end);
    if state.epoch != at.epoch || state.last_seq < end {
        return Ok(false);
    }
    match at.proof.filter(|_| gateway.shared.proofs) {
        // What was told before may be of another history.
        Some(proof) => Ok(logs.past_now(Feed::Run, proof).await? == Past::Same),
        None => Ok(true),
    }
}

/// The stream of one run: its last image, or everything after the cursor, to its end.
pub(super) async fn connect_run(
    State(gateway): State<Gateway>,
    RunPath(id): RunPath,
    Parameters(query): Parameters<StreamQuery>,
    visitor: Option<Extension<Visitor>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    query.check()?;
    let grant = gateway
        .admit_stream(&headers, query.ticket(), visitor.as_deref())
        .await?;
    let bus = gateway.shared.logs.bus();
    let filter = bus.subjects().feed_filter(&format!("run.*.{id}"));
    // By the leader: a follower that is behind would have a finished run go on for ever.
    let last = bus.leader_last_message(&bus.names().runs, &filter).await?;
    let since = match query.since(&headers) {
        Since::Now => Since::Snapshot,
        // A cursor that says nothing of runs.
        Since::At(cursor) if cursor.position(Feed::Run).is_none() => Since::Snapshot,
        other => other,
    };
    let source = match last.as_ref().and_then(|m| bus.subjects().parse(&m.subject)) {
        Some(EventKey::Run { source, .. }) => source,
        _ => crate::jobs::queued(bus, &id)
            .await?
            .map(|job| job.source)
            .ok_or_else(|| ApiError::unknown_run(id.as_str()))?,
    };
    let topic: Topic = format!("scrape_progress.{source}.{id}")
        .parse()
        .map_err(|_| ApiError::unknown_run(id.as_str()))?;
    if grant.as_ref().is_some_and(|grant| !grant.covers(&topic)) {
        let detail = format!("{topic}: the token does not allow it");
        return Err(ApiError::new(ProblemCode::TopicForbidden, detail));
    }
    if let (Some(last), Since::At(at)) = (&last, since) {
        let end = gateway.shared.logs.quarantine().admit(Feed::Run, last);
        if end.is_some_and(|frame| frame.terminal) && has_had(&gateway, at, last.seq).await? {
            // An EventSource that gets 204 stops coming back.
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    let request = Request {
        topics: vec![topic],
        faults: Vec::new(),
        since,
        ids: true,
        conflate: Duration::ZERO,
        heartbeat: query.heartbeat()?,
        one_run: true,
        grant,
        reference: None,
    };
    gateway.front.open_stream()?;
    Ok(open(&gateway, request))
}

fn open(gateway: &Gateway, request: Request) -> Response {
    let (sender, receiver) = mpsc::channel::<Bytes>(CHUNKS_MAX);
    let gateway = gateway.clone();
    let sessions = gateway.sessions.clone();
    sessions.spawn(async move {
        let label = TransportLabel {
            transport: Label::Sse,
        };
        gateway.shared.metrics.opened.get_or_create(&label).inc();
        gateway.shared.metrics.sessions.inc();
        let transport = SseTransport {
            sender,
            chunk: wire::greeting(),
            front: Arc::clone(&gateway.front),
        };
        let mut session = Session::new(Arc::clone(&gateway.shared), transport, &request);
        // The first byte goes out at once, before anything is waited for.
        session.greet().await;
        let end = session.run(Some(request), gateway.farewell.clone()).await;
        let mut transport = session.into_transport();
        // What is left after that is lost to a client that takes no bytes.
        let _ = timeout(LAST_WORDS_WITHIN, transport.flush()).await;
        gateway.shared.metrics.sessions.dec();
        let label = CloseLabel::new(&label, end);
        gateway.shared.metrics.closed.get_or_create(&label).inc();
        tracing::trace!(?end, "event stream ended");
    });
    let body = stream::unfold(receiver, async |mut receiver| {
        let chunk = receiver.recv().await?;
        Some((Ok::<_, Infallible>(chunk), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-store, no-transform"),
        // Proxies that know it pass events on at once.
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// How long the end of a stream may take to be handed over.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);
/// Chunks that wait for a slow client at most.
const CHUNKS_MAX: usize = 2;
/// A slow client takes one after the other: that it takes some is noticed.
const PIECE_BYTES: usize = 8 * 1024;
/// Bytes after which a chunk is handed over without waiting for the end of the step.
const CHUNK_BYTES: usize = 64 * 1024;

struct SseTransport {
    sender: mpsc::Sender<Bytes>,
    chunk: Vec<u8>,
    front: Arc<Front>,
}

impl Transport for SseTransport {
    async fn send(&mut self, message: &Outgoing<'_>) -> Result<(), Gone> {
        Form::Sse.put(&mut self.chunk, message.envelope, message.cursor.as_ref());
        if self.chunk.len() >= CHUNK_BYTES {
            self.flush().await
        } else {
            Ok(())
        }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let mut rest = self.front.hold_bytes(std::mem::take(&mut self.chunk));
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            // A client that takes none is noticed where its answer is: the receiver is dropped.
            self.sender.send(piece).await.map_err(|_| Gone::Left)?;
        }
        Ok(())
    }

    fn kind(&self) -> Label {
        Label::Sse
    }

    async fn next(&mut self) -> Input {
        self.sender.closed().await;
        Input::Gone
    }
}
