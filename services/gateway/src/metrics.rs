//! What the gateway counts. docs/metrics.md is written from this, see `tests/signals.rs`.

use crate::{
    feed::AuditLabel,
    frame::Frame,
    front::Refused,
    quarantine::{self, QuarantineLabel},
    reload::ReloadLabel,
    session::End,
};
use oddswire_kit::metrics::{Book, Entry, FloatGauge, LabelNames};
use oddswire_protocol::{Feed, Timestamp, close::CloseCode};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
};
use std::time::Duration;

/// The beginning of all their names.
const PREFIX: &str = "oddswire_gateway";

/// A histogram of delays: from a millisecond to a minute.
type Delays<L> = Family<L, Histogram, fn() -> Histogram>;

fn delays() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

/// A publisher whose clock goes ahead of ours is no negative delay.
fn observe(delays: &Delays<FeedLabel>, frame: &Frame, now: Timestamp) {
    let Some(at) = frame.at else { return };
    let delay = Duration::from_millis(now.ms_since(at));
    delays
        .get_or_create(&frame.feed.into())
        .observe(delay.as_secs_f64());
}

/// The gateway's metrics.
#[derive(Debug)]
pub struct Metrics {
    /// Holes found in a feed's chain.
    pub holes: Counter,
    /// Events read from the log because they did not come by live.
    pub repaired: Counter,
    /// Messages that are not what the contract says, by feed and reason.
    pub quarantined: Family<QuarantineLabel, Counter>,
    /// Terminal run events shown before the run's odds were.
    pub overtaken: Counter,
    /// Checks whether a feed misses something, by outcome.
    pub audits: Family<AuditLabel, Counter>,
    /// Whether the connection that listens is there.
    pub upstream_connected: Gauge,
    /// How long ago an active feed was last known to miss nothing.
    pub upstream_lag: Family<FeedLabel, FloatGauge>,
    /// From an event's own time to this gateway's ring.
    pub ingest: Delays<FeedLabel>,
    /// From an event's own time to the sockets of a shard.
    pub delivery: Delays<FeedLabel>,
    /// Bytes of events in the ring.
    pub ring_bytes: Gauge,
    /// What it may hold.
    pub ring_bytes_max: Gauge,
    /// Sessions begun, by transport.
    pub opened: Family<TransportLabel, Counter>,
    /// Sessions ended, by transport and reason.
    pub closed: Family<CloseLabel, Counter>,
    /// Messages given to sockets.
    pub delivered: Counter,
    /// Bytes in them.
    pub delivered_bytes: Counter,
    /// Bytes that wait because sockets did not take them, or were read of the log for clients.
    pub queue_bytes: Gauge,
    /// Bytes of the images that lists of runs are made of.
    pub run_list_bytes: Gauge,
    /// Bytes that the process holds, as far as it counts them.
    pub memory_bytes: Gauge,
    /// How many it may; 0 for no limit.
    pub memory_bytes_max: Gauge,
    /// Joins and resumes, by verdict and transport.
    pub resumes: Family<VerdictLabel, Counter>,
    /// Feeds joined, by what the client's events came from.
    pub joins: Family<JoinLabel, Counter>,
    /// Client messages answered with an error.
    pub client_errors: Counter,
    /// Messages left out because a newer one of the same key followed.
    pub conflated: Counter,
    /// Clients told that they are too slow.
    pub lagging: Counter,
    /// Sockets that took a part only of what was written.
    pub fell_behind: Counter,
    /// Clients that went from the shards back to a loop of their own.
    pub handed_over: Counter,
    /// Reads of the log for clients.
    pub log_reads: Counter,
    /// Parts of the log that clients got from a read made for others.
    pub log_shared: Counter,
    /// Times that the configuration was read again.
    pub reloads: Family<ReloadLabel, Counter>,
    /// Sessions open now.
    pub sessions: Gauge,
    /// Connections open now, and streams that share one with others.
    pub connections: Gauge,
    /// Clients refused, by what they ran against.
    pub refused: Family<RefusedLabel, Counter>,
    /// Who came to the door, by outcome.
    pub auth: Family<AuthLabel, Counter>,
    /// Answers to the gateway's own clients.
    pub own_client: Histogram,
    /// Shards whose own client hears nothing.
    pub deaf_shards: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            holes: Counter::default(),
            repaired: Counter::default(),
            quarantined: quarantine::none_yet(),
            overtaken: Counter::default(),
            audits: Family::default(),
            upstream_connected: Gauge::default(),
            upstream_lag: Family::default(),
            ingest: Family::new_with_constructor(delays),
            delivery: Family::new_with_constructor(delays),
            ring_bytes: Gauge::default(),
            ring_bytes_max: Gauge::default(),
            opened: Family::default(),
            closed: Family::default(),
            delivered: Counter::default(),
            delivered_bytes: Counter::default(),
            queue_bytes: Gauge::default(),
            run_list_bytes: Gauge::default(),
            memory_bytes: Gauge::default(),
            memory_bytes_max: Gauge::default(),
            resumes: Family::default(),
            joins: Family::default(),
            client_errors: Counter::default(),
            conflated: Counter::default(),
            lagging: Counter::default(),
            fell_behind: Counter::default(),
            handed_over: Counter::default(),
            log_reads: Counter::default(),
            log_shared: Counter::default(),
            reloads: Family::default(),
            sessions: Gauge::default(),
            connections: Gauge::default(),
            refused: refused_so_far(),
            auth: Family::default(),
            own_client: delays(),
            deaf_shards: Gauge::default(),
        }
    }
}

/// What pages begins at 0: Prometheus cannot see a count rise to 1 from nothing.
fn refused_so_far() -> Family<RefusedLabel, Counter> {
    let refused = Family::<RefusedLabel, Counter>::default();
    for reason in [Refused::Full, Refused::AddressFull, Refused::Memory] {
        drop(refused.get_or_create(&RefusedLabel { reason }));
    }
    refused
}

/// What the gateway counts, whether or not it did yet.
pub fn entries() -> Vec<Entry> {
    Metrics::default().book().entries().to_vec()
}

/// The label `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusedLabel {
    /// Which limit.
    pub reason: Refused,
}

impl LabelNames for RefusedLabel {
    const NAMES: &'static [&'static str] = &["reason"];
}

/// The label `transport`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TransportLabel {
    /// Which.
    pub transport: Transport,
}

impl LabelNames for TransportLabel {
    const NAMES: &'static [&'static str] = &["transport"];
}

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Transport {
    /// WebSocket.
    Ws,
    /// Server-Sent Events.
    Sse,
}

/// The labels of an end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CloseLabel {
    /// How the client was connected.
    pub transport: Transport,
    /// Why it is not any more.
    pub reason: &'static str,
}

impl LabelNames for CloseLabel {
    const NAMES: &'static [&'static str] = &["transport", "reason"];
}

impl CloseLabel {
    /// Of a session that ended like this.
    pub fn new(TransportLabel { transport }: &TransportLabel, end: End) -> Self {
        Self {
            transport: *transport,
            reason: reason(end),
        }
    }
}

/// The word for an end.
fn reason(end: End) -> &'static str {
    match end {
        End::Gone => "gone",
        End::Finished => "finished",
        End::Park => "parked",
        End::Close(code) => match code {
            CloseCode::Normal => "normal",
            CloseCode::GoingAway => "going_away",
            CloseCode::Protocol => "protocol",
            CloseCode::InvalidText => "invalid_text",
            CloseCode::Policy => "policy",
            CloseCode::TooBig => "too_big",
            CloseCode::Internal => "internal",
            CloseCode::Restart => "restart",
            CloseCode::TryAgain => "try_again",
            CloseCode::PeerTimeout => "peer_timeout",
            CloseCode::TokenExpired => "token_expired",
            CloseCode::NoTopic => "no_topic",
            CloseCode::Unauthorized => "unauthorized",
        },
    }
}

/// The labels of a join.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerdictLabel {
    /// What the client was told.
    pub verdict: String,
    /// How it is connected.
    pub transport: Transport,
}

impl LabelNames for VerdictLabel {
    const NAMES: &'static [&'static str] = &["verdict", "transport"];
}

/// The labels of a feed joined.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct JoinLabel {
    /// `ring` or `log`.
    pub from: &'static str,
}

impl LabelNames for JoinLabel {
    const NAMES: &'static [&'static str] = &["from"];
}

/// The label `feed`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FeedLabel {
    /// `run` or `odds`.
    pub feed: &'static str,
}

impl LabelNames for FeedLabel {
    const NAMES: &'static [&'static str] = &["feed"];
}

impl From<Feed> for FeedLabel {
    fn from(feed: Feed) -> Self {
        Self { feed: feed.as_str() }
    }
}

/// The label `outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AuthLabel {
    /// `ok`, `ticket_given`, or why not.
    pub outcome: String,
}

impl LabelNames for AuthLabel {
    const NAMES: &'static [&'static str] = &["outcome"];
}

impl Metrics {
    /// A client was refused.
    pub(crate) fn refuse(&self, reason: Refused) {
        self.refused.get_or_create(&RefusedLabel { reason }).inc();
    }

    /// An event came into the ring.
    pub fn ingested(&self, frame: &Frame, now: Timestamp) {
        observe(&self.ingest, frame, now);
    }

    /// A shard had given an event to its clients.
    pub fn delivered_after(&self, frame: &Frame, now: Timestamp) {
        observe(&self.delivery, frame, now);
    }

    /// A feed was looked at.
    pub fn audited(&self, feed: Feed, outcome: &'static str) {
        let FeedLabel { feed } = feed.into();
        self.audits.get_or_create(&AuditLabel { feed, outcome }).inc();
    }

    /// Every metric, entered.
    pub fn book(&self) -> Book {
        let mut book = Book::new(PREFIX);
        self.register_feeds(&mut book);
        self.register_sessions(&mut book);
        self.register_rest(&mut book);
        book
    }

    fn register_feeds(&self, book: &mut Book) {
        book.register(
            "holes",
            "Holes found in a feed's chain of sequences",
            self.holes.clone(),
        );
        book.register(
            "repaired",
            "Events read from the log because they did not come by live",
            self.repaired.clone(),
        );
        book.register(
            "quarantined",
            "Messages of the feeds that are not what docs/protocol.md says and are not shown, each once: by feed, and by reason (subject, header, size, json, schema, mismatch)",
            self.quarantined.clone(),
        );
        book.register(
            "overtaken",
            "Terminal run events shown before the run's odds",
            self.overtaken.clone(),
        );
        book.register("audits", "Looks whether a feed misses something, by outcome: good, reset (the stream is another one), failed", self.audits.clone());
        book.register(
            "upstream_connected",
            "Whether the connection to NATS that listens is there: 1 or 0",
            self.upstream_connected.clone(),
        );
        book.register(
            "upstream_lag_seconds",
            "How long ago a feed was last known to miss nothing; 0 while nobody is interested in it",
            self.upstream_lag.clone(),
        );
        book.register(
            "ingest_delay_seconds",
            "From an event's own time to this gateway's ring",
            self.ingest.clone(),
        );
        book.register("delivery_delay_seconds", "From an event's own time until a shard had written it to the sockets of its live clients; observed once an event and shard, of events that a client there wanted at once", self.delivery.clone());
        book.register(
            "ring_bytes",
            "Bytes of recent events in memory",
            self.ring_bytes.clone(),
        );
        book.register(
            "ring_limit_bytes",
            "Bytes of recent events that memory may hold",
            self.ring_bytes_max.clone(),
        );
    }

    fn register_sessions(&self, book: &mut Book) {
        book.register("sessions_opened", "Sessions begun", self.opened.clone());
        book.register("sessions_closed", "Sessions ended, by reason: gone (by the client), finished (the stream of one run), or the close code's word", self.closed.clone());
        book.register("sessions", "Sessions open now", self.sessions.clone());
        book.register(
            "resumes",
            "Joins and resumes, by the verdict that the client was told",
            self.resumes.clone(),
        );
        book.register(
            "joins",
            "Feeds joined, by what the client's first events came from: ring or log",
            self.joins.clone(),
        );
        book.register("delivered", "Messages given to sockets", self.delivered.clone());
        book.register(
            "delivered_bytes",
            "Bytes of messages given to sockets",
            self.delivered_bytes.clone(),
        );
        book.register(
            "queue_bytes",
            "Bytes that wait in this process for clients: what their sockets did not take, and what was read of the log for them",
            self.queue_bytes.clone(),
        );
        book.register(
            "conflated",
            "Messages left out because a newer one of the same key followed",
            self.conflated.clone(),
        );
        book.register(
            "lagging",
            "Clients told that they are too slow",
            self.lagging.clone(),
        );
        book.register(
            "fell_behind",
            "Sockets that took a part only of what was written",
            self.fell_behind.clone(),
        );
        book.register(
            "handed_over",
            "Clients that went from the shards back to a loop of their own",
            self.handed_over.clone(),
        );
        book.register(
            "client_errors",
            "Client messages answered with an error",
            self.client_errors.clone(),
        );
    }

    fn register_rest(&self, book: &mut Book) {
        book.register(
            "log_reads",
            "Reads of the log for clients",
            self.log_reads.clone(),
        );
        book.register(
            "log_reads_shared",
            "Times that a client got from a read of the log made for another what it would have read itself",
            self.log_shared.clone(),
        );
        book.register(
            "run_list_bytes",
            "Bytes of the images in memory that lists of runs are made of",
            self.run_list_bytes.clone(),
        );
        book.register(
            "memory_bytes",
            "Bytes that the process holds for its clients and itself, as far as it counts them",
            self.memory_bytes.clone(),
        );
        book.register(
            "memory_limit_bytes",
            "How many of those bytes there may be; near to it answers from the bus are refused first, then streams, then connections; 0 for no limit",
            self.memory_bytes_max.clone(),
        );
        book.register(
            "config_reloads",
            "Times that the configuration was read again, by what became of it",
            self.reloads.clone(),
        );
        book.register(
            "connections",
            "Connections open now, and streams that share one with others",
            self.connections.clone(),
        );
        book.register(
            "refused",
            "Clients refused, by the limit that they ran against",
            self.refused.clone(),
        );
        book.register(
            "auth",
            "Tokens and tickets looked at, by outcome",
            self.auth.clone(),
        );
        book.register(
            "own_client_delay_seconds",
            "How late the heartbeats come that the gateway's own clients wait for, one a second",
            self.own_client.clone(),
        );
        book.register(
            "deaf_shards",
            "Shards whose own client hears nothing in time: not 0 makes the gateway unready",
            self.deaf_shards.clone(),
        );
    }
}
