//! One client: a position in each feed that it follows, and the loop that moves it.
//!
//! Live, joining, catching up and being slow are one thing here: `Session::advance` takes what the ring has after
//! the position, and reads the log where the ring does not reach back. Nothing waits for a client but what its own
//! transport has not taken yet.

mod catch_up;
mod commands;
mod join;

use crate::{
    drain::Farewell,
    feed::FeedHealth,
    hub::{Hub, Interest, PerFeed, Place},
    metrics::{Metrics, VerdictLabel},
};
use join::BEGINNING;
use oddswire_kit::bus::Bus;
use oddswire_protocol::{
    Cursor, Feed, Timestamp, Topic,
    close::CloseCode,
    cursor::Position,
    envelope::{Data, Envelope},
    server::{
        CaughtUp, ConnectionAck, ErrorCode, ErrorData, Heartbeat, Limits, Reconnect, Ref, Resume, Verdict,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// What every session of a gateway shares.
#[derive(Debug)]
pub struct Shared {
    /// The ring.
    pub hub: Arc<Hub>,
    /// A connection for reading the log, apart from the one that listens.
    pub bus: Bus,
    /// How the feeds do.
    pub health: Arc<FeedHealth>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Between heartbeats.
    pub heartbeat: Duration,
    /// What a connection may do.
    pub limits: Limits,
}

/// From where a client wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From now on.
    Now,
    /// The last image of each key, then live.
    Snapshot,
    /// From a position.
    At(Cursor),
    /// It sent something that is no cursor.
    Malformed,
}

/// What a client asks for when it connects.
#[derive(Debug)]
pub struct Request {
    /// Granted topics; at least one.
    pub topics: Vec<Topic>,
    /// What is wrong with the others, told after the acknowledgement.
    pub faults: Vec<ErrorData>,
    /// From where.
    pub since: Since,
    /// Whether bus messages carry the position.
    pub ids: bool,
    /// Whether this is the stream of one run, which ends with it.
    pub one_run: bool,
}

/// A message on its way to a client.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The message.
    pub envelope: &'a Envelope,
    /// The position after it, on messages that have one.
    pub cursor: Option<Cursor>,
}

/// What a client sent.
#[derive(Debug)]
pub enum Input {
    /// A text message.
    Text(String),
    /// Something that fails the connection.
    Violation(CloseCode),
    /// It is gone.
    Gone,
}

/// The client's socket does not take bytes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// How a session's messages reach its client and the client's reach it.
pub trait Transport: Send {
    /// Queues a message; it may wait while the client is slow.
    fn send(&mut self, message: &Outgoing<'_>) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Sends what is queued.
    fn flush(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Waits for the client. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Input> + Send;
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client is gone, or did not take bytes.
    Gone,
    /// The connection is to be closed with this code.
    Close(CloseCode),
    /// The stream of one run is over.
    Finished,
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// What `Session::advance` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// There is more to do at once.
    More,
    /// Everything is delivered.
    Idle,
    /// The bus did not answer: try again then.
    Retry(Instant),
}

/// One client's session.
#[derive(Debug)]
pub struct Session<T> {
    shared: Arc<Shared>,
    transport: T,
    connection_id: String,
    topics: Vec<Topic>,
    interests: PerFeed<Option<Interest>>,
    place: Place,
    /// What the client's cursor says of feeds that it does not follow: given back unchanged.
    carried: Cursor,
    /// Feeds that could not be joined yet, with where they are to begin.
    waiting: PerFeed<Option<Since>>,
    /// Topics subscribed to in mid-connection whose last images are still to be read.
    sides: Vec<catch_up::Side>,
    /// While sides are read, ids keep the position from before them.
    pinned: Option<Cursor>,
    /// The `caught_up` messages owed: each with its `ref`, and the messages delivered for it so far.
    owed: Vec<(Option<Ref>, u64)>,
    ids: bool,
    one_run: bool,
    budget: commands::Budget,
    changes: watch::Receiver<u64>,
}

/// How long a client that does not take bytes is waited for.
const SEND_WITHIN: Duration = Duration::from_secs(60);
const BUS_RETRY: Duration = Duration::from_millis(500);

impl<T: Transport> Session<T> {
    /// A session that has not begun.
    pub fn new(shared: Arc<Shared>, transport: T, request: &Request) -> Self {
        let changes = shared.hub.changes();
        let budget = commands::Budget::new(shared.limits.messages_per_s);
        Self {
            shared,
            transport,
            connection_id: new_connection_id(),
            topics: request.topics.clone(),
            interests: PerFeed::default(),
            place: Place::default(),
            carried: match request.since {
                Since::At(cursor) => cursor,
                _ => Cursor::at(Timestamp::now()),
            },
            waiting: PerFeed::default(),
            sides: Vec::new(),
            pinned: None,
            owed: Vec::new(),
            ids: request.ids,
            one_run: request.one_run,
            budget,
            changes,
        }
    }

    /// Sends what the transport begins with.
    pub async fn greet(&mut self) {
        // A client that is gone already is noticed by the session.
        let _ = self.flush().await;
    }

    /// Serves the client until it is gone, breaks the rules, or its slot has come. Gives the transport back for its
    /// farewell.
    pub async fn run(mut self, request: Request, farewell: Farewell) -> (T, End) {
        let forced = farewell.clone();
        let end = tokio::select! {
            end = self.serve(request, farewell) => end,
            () = forced.forced() => End::Close(CloseCode::Restart),
        };
        tracing::debug!(connection = self.connection_id, ?end, "session ended");
        (self.transport, end)
    }

    async fn serve(&mut self, request: Request, farewell: Farewell) -> End {
        match self.serve_until_end(request, farewell).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn serve_until_end(
        &mut self,
        request: Request,
        mut farewell: Farewell,
    ) -> Result<std::convert::Infallible, End> {
        self.open(request).await?;
        let mut heartbeat = Instant::now() + self.shared.heartbeat;
        let mut slot: Option<Instant> = None;
        loop {
            let progress = self.advance().await?;
            self.flush().await?;
            let retry = match progress {
                Progress::More => Some(Instant::now()),
                Progress::Idle => None,
                Progress::Retry(at) => Some(at),
            };
            let idle = progress == Progress::Idle;
            tokio::select! {
                biased;
                input = self.transport.next() => self.on_input(input).await?,
                () = sleep_until(heartbeat) => {
                    heartbeat = Instant::now() + self.shared.heartbeat;
                    self.send_heartbeat().await?;
                }
                () = sleep_until(slot.unwrap_or_else(Instant::now)), if slot.is_some() => {
                    return Err(End::Close(CloseCode::Restart));
                }
                after = farewell.slot(), if slot.is_none() => {
                    slot = Some(Instant::now() + after);
                    self.send_reconnect(after).await?;
                }
                () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => {}
                // The hub outlives its sessions.
                _ = self.changes.changed(), if idle => {}
            }
        }
    }

    /// Joins the feeds and acknowledges: the verdict comes first.
    async fn open(&mut self, request: Request) -> Result<(), End> {
        let resume = self.join(&Feed::ALL, request.since).await;
        let ack = ConnectionAck {
            topics: self.topic_names(),
            connection_id: self.connection_id.clone(),
            heartbeat_ms: u64::try_from(self.shared.heartbeat.as_millis()).unwrap_or(u64::MAX),
            conflate_ms: 0,
            limits: self.shared.limits,
            cursor: self.cursor(),
            resume,
        };
        self.send(&ack, Some(ack.cursor)).await?;
        for fault in &request.faults {
            self.send(fault, None).await?;
        }
        self.owed.push((None, 0));
        self.flush().await
    }

    fn topic_names(&self) -> Vec<String> {
        self.topics.iter().map(ToString::to_string).collect()
    }

    /// The position of this connection: everything before it was delivered.
    fn cursor(&self) -> Cursor {
        self.pinned
            .unwrap_or_else(|| self.cursor_at(self.place.positions()))
    }

    fn cursor_at(&self, positions: &PerFeed<Option<Position>>) -> Cursor {
        // The time of issue is that of the odds position: it is now only once the client has all odds until now.
        let odds_followed = positions[Feed::Odds.index()].is_some();
        let caught_up = self.owed.is_empty();
        let base = if odds_followed && caught_up {
            self.carried.issued_at(Timestamp::now())
        } else {
            self.carried
        };
        Feed::ALL.into_iter().fold(base, |cursor, feed| {
            match (positions[feed.index()], self.waiting[feed.index()]) {
                (Some(position), _) => cursor.with(feed, Some(position)),
                // Still owed from the beginning, whatever the client's cursor said.
                (None, Some(Since::Snapshot | Since::Malformed)) => cursor.with(feed, Some(BEGINNING)),
                (None, _) => cursor,
            }
        })
    }

    /// Sends a message of the gateway's own, with the position where it has one.
    async fn send<D: Data>(&mut self, data: &D, cursor: Option<Cursor>) -> Result<(), End> {
        let envelope = Envelope::of(Timestamp::now(), data);
        self.transmit(&envelope, cursor).await
    }

    async fn transmit(&mut self, envelope: &Envelope, cursor: Option<Cursor>) -> Result<(), End> {
        let metrics = &self.shared.metrics;
        metrics.delivered.inc();
        metrics.delivered_bytes.inc_by(envelope.bytes().len() as u64);
        let message = Outgoing { envelope, cursor };
        let sent = self.transport.send(&message);
        tokio::time::timeout(SEND_WITHIN, sent)
            .await
            .map_err(|_| End::Gone)?
            .map_err(End::from)
    }

    async fn flush(&mut self) -> Result<(), End> {
        tokio::time::timeout(SEND_WITHIN, self.transport.flush())
            .await
            .map_err(|_| End::Gone)?
            .map_err(End::from)
    }

    async fn send_error(
        &mut self,
        code: ErrorCode,
        detail: String,
        reference: Option<Ref>,
    ) -> Result<(), End> {
        self.shared.metrics.client_errors.inc();
        self.send(
            &ErrorData {
                code,
                detail,
                reference,
            },
            None,
        )
        .await
    }

    async fn send_heartbeat(&mut self) -> Result<(), End> {
        let followed = Feed::ALL
            .into_iter()
            .filter(|feed| self.interests[feed.index()].is_some());
        let (upstream, lag_ms) = self.shared.health.upstream(followed);
        let cursor = self.cursor();
        let heartbeat = Heartbeat {
            cursor,
            server_time: Timestamp::now(),
            upstream,
            lag_ms,
        };
        self.send(&heartbeat, Some(cursor)).await
    }

    /// Tells the client when this gateway will close it.
    async fn send_reconnect(&mut self, after: Duration) -> Result<(), End> {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let cursor = self.cursor();
        self.send(
            &Reconnect {
                after_ms,
                reason: "this gateway stops".into(),
            },
            Some(cursor),
        )
        .await
    }

    async fn send_resume(&mut self, resume: Resume) -> Result<(), End> {
        self.count_verdict(resume.verdict);
        self.owed.push((None, 0));
        self.send(&resume, None).await
    }

    fn count_verdict(&self, verdict: Verdict) {
        let verdict = format!("{verdict:?}").to_lowercase();
        self.shared
            .metrics
            .resumes
            .get_or_create(&VerdictLabel { verdict })
            .inc();
    }

    /// Tells that everything asked for is delivered, where that is so and was not told yet.
    async fn send_caught_up(&mut self) -> Result<(), End> {
        if self.waiting.iter().any(Option::is_some) {
            return Ok(());
        }
        // Sides are read: ids move again.
        self.pinned = None;
        for (reference, replayed) in std::mem::take(&mut self.owed) {
            let cursor = self.cursor();
            self.send(
                &CaughtUp {
                    cursor,
                    replayed,
                    reference,
                },
                Some(cursor),
            )
            .await?;
        }
        Ok(())
    }
}

/// A name for a connection in logs: random, 16 hex digits.
fn new_connection_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}
