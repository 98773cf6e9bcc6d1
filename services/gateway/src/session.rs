//! One client: a position in each feed that it follows, and the loop that moves it.
//!
//! Live, joining, catching up and being slow are one thing here: `Session::advance` takes what the ring has after
//! the position, and reads the log where the ring does not reach back. Nothing waits for a client but what its own
//! transport has not taken yet.
//!
//! A session that is live, and has nothing to do but to pass on what comes, may be parked: then its loop ends, and
//! whoever walks the ring for many clients at once moves it until something happens that needs the loop.

mod access;
mod catch_up;
mod commands;
mod join;
mod own;
mod say;
mod slow;
mod transport;

pub use own::OWN_HEARTBEAT;
pub use transport::{Gone, Input, Outgoing, Transport};

use crate::{
    auth::{Door, Grant},
    drain::Farewell,
    feed::FeedHealth,
    held::Standing,
    hub::{Hub, Interest, PerFeed, Place},
    logs::Logs,
    metrics::Metrics,
    trial::Trial,
};
use oddswire_protocol::{
    Cursor, Feed, Timestamp, Topic,
    close::CloseCode,
    cursor::Position,
    envelope::Envelope,
    server::{ConnectionAck, ErrorData, Limits, Ref},
};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// What every session of a gateway shares.
#[derive(Debug)]
pub struct Shared {
    /// The ring.
    pub hub: Arc<Hub>,
    /// The log, read for many clients at once.
    pub logs: Logs,
    /// How the feeds do.
    pub health: Arc<FeedHealth>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where clients are let in.
    pub door: Door,
    /// Between heartbeats.
    pub heartbeat: Duration,
    /// What a connection that begins now may do.
    pub limits: RwLock<Limits>,
    /// How long a client is waited for that takes no bytes, or does not answer.
    pub patience: Duration,
    /// Bytes that may wait for a slow client before it is conflated.
    pub budget_bytes: u64,
    /// Whether positions have to prove that they are of the stream's present history.
    pub proofs: bool,
    /// How old a connection may become, at most; a random part of it less for each.
    pub lifetime: Option<Duration>,
    /// What is broken on purpose.
    pub trial: Trial,
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
    /// At most one message per key in this time; zero for all of them.
    pub conflate: Duration,
    /// Between heartbeats, where the client says so.
    pub heartbeat: Option<Duration>,
    /// Whether this is the stream of one run, which ends with it.
    pub one_run: bool,
    /// What the client's token allows; none where nobody is asked for one.
    pub grant: Option<Arc<Grant>>,
    /// The `ref` of the message that the token came with.
    pub reference: Option<Ref>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client is gone.
    Gone,
    /// The connection is to be closed with this code.
    Close(CloseCode),
    /// The stream of one run is over.
    Finished,
    /// It is not over: the session is live, has nothing to do, and can be parked.
    Park,
}

impl From<Gone> for End {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Left => Self::Gone,
            Gone::Stalled => Self::Close(CloseCode::PeerTimeout),
        }
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
    pace: slow::Pace,
    /// What it was granted when it began.
    limits: Limits,
    budget: commands::Budget,
    changes: watch::Receiver<u64>,
    /// Between heartbeats.
    heartbeat: Duration,
    heartbeat_at: Instant,
    /// When the connection is old enough.
    ends_at: Option<Instant>,
    /// What its token allows, and until when.
    access: Option<access::Access>,
    /// The shard that it is to be parked at, when it is the gateway's own client.
    own_at: Option<u16>,
}

/// What those need to know of a session who serve it while it is parked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Its topics, ordered.
    pub topics: Vec<Topic>,
    /// The feeds that it follows.
    pub follows: PerFeed<bool>,
    /// Whether bus messages carry the position.
    pub ids: bool,
    /// What its cursors say of the feeds that it does not follow, if they say something.
    pub carried: Option<Cursor>,
    /// The time in which it gets at most one message a key.
    pub conflate: Duration,
}

impl Shared {
    /// What a connection that begins now may do.
    pub fn limits(&self) -> Limits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }
}

const BUS_RETRY: Duration = Duration::from_millis(500);
/// The share of the longest lifetime that every connection may have.
const LIFETIME_SHARE: std::ops::Range<f64> = 0.8..1.0;

impl<T: Transport> Session<T> {
    /// A session that has not begun.
    pub fn new(shared: Arc<Shared>, transport: T, request: &Request) -> Self {
        let changes = shared.hub.changes();
        let limits = shared.limits();
        let budget = commands::Budget::new(limits.messages_per_s);
        let now = Instant::now();
        let heartbeat = request.heartbeat.unwrap_or(shared.heartbeat);
        let ends_at = shared
            .lifetime
            .map(|most| now + most.mul_f64(rand::random_range(LIFETIME_SHARE)));
        Self {
            transport,
            connection_id: say::new_connection_id(),
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
            pace: slow::Pace::new(request.conflate),
            limits,
            budget,
            changes,
            heartbeat,
            heartbeat_at: now + heartbeat,
            ends_at,
            access: request
                .grant
                .clone()
                .map(|grant| access::Access::new(grant, shared.door.auth().notice)),
            own_at: None,
            shared,
        }
    }

    /// Sends what the transport begins with.
    pub async fn greet(&mut self) {
        // A client that is gone already is noticed by the session.
        let _ = self.flush().await;
    }

    /// Serves the client until it is gone, breaks the rules, its slot has come, or it can be parked. A session begins
    /// with its request, and goes on without one.
    pub async fn run(&mut self, begin: Option<Request>, farewell: Farewell) -> End {
        let forced = farewell.clone();
        let end = tokio::select! {
            end = self.serve(begin, farewell) => end,
            () = forced.forced() => End::Close(CloseCode::Restart),
        };
        tracing::trace!(
            connection_id = self.connection_id,
            ?end,
            "session ended or parked"
        );
        end
    }

    /// Its transport, for the last words.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// Its transport.
    pub fn transport_mut(&mut self) -> &mut T {
        &mut self.transport
    }

    async fn serve(&mut self, begin: Option<Request>, farewell: Farewell) -> End {
        match self.serve_until_end(begin, farewell).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn serve_until_end(
        &mut self,
        begin: Option<Request>,
        mut farewell: Farewell,
    ) -> Result<std::convert::Infallible, End> {
        if let Some(request) = begin {
            self.open(request).await?;
        }
        let mut slot: Option<Instant> = None;
        loop {
            if self.is_over() {
                self.look_at_access().await?;
            }
            let progress = self.advance().await?;
            self.flush().await?;
            let idle = progress == Progress::Idle;
            if idle && self.can_park() && !farewell.has_begun() {
                return Err(End::Park);
            }
            let retry = match progress {
                Progress::More => Some(Instant::now()),
                Progress::Idle => self.pace.flush_at(),
                Progress::Retry(at) => Some(at),
            };
            let access_at = self.access_at();
            tokio::select! {
                biased;
                input = self.transport.next() => self.on_input(input).await?,
                () = sleep_until(access_at), if self.access.is_some() => self.look_at_access().await?,
                () = sleep_until(self.heartbeat_at) => self.beat().await?,
                () = sleep_until(slot.unwrap_or_else(Instant::now)), if slot.is_some() => {
                    return Err(End::Close(CloseCode::Restart));
                }
                after = farewell.slot(), if slot.is_none() => {
                    slot = Some(Instant::now() + after);
                    self.send_reconnect(after, "this gateway stops").await?;
                }
                () = sleep_until(self.ends_at.unwrap_or_else(Instant::now)), if slot.is_none() && self.ends_at.is_some() => {
                    slot = Some(Instant::now() + LIFETIME_NOTICE);
                    self.send_reconnect(LIFETIME_NOTICE, "this connection is old enough").await?;
                }
                () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => {}
                // The hub outlives its sessions.
                _ = self.changes.changed(), if idle => {}
            }
        }
    }

    /// Heartbeat and ping; the end of a client that does not answer.
    async fn beat(&mut self) -> Result<(), End> {
        self.heartbeat_at = Instant::now() + self.heartbeat;
        if !self.transport.ping() {
            return Err(End::Close(CloseCode::PeerTimeout));
        }
        self.send_heartbeat().await
    }

    /// Joins the feeds and acknowledges: the verdict comes first.
    async fn open(&mut self, request: Request) -> Result<(), End> {
        let resume = self.join(&Feed::ALL, request.since).await;
        let ack = ConnectionAck {
            topics: self.topic_names(),
            connection_id: self.connection_id.clone(),
            heartbeat_ms: say::millis(self.heartbeat),
            conflate_ms: say::millis(self.pace.conflate()),
            limits: self.limits,
            cursor: self.cursor(),
            resume,
            token_expires_at: self.token_expires_at(),
            reference: request.reference,
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

    /// Whether all that is left to do is to pass on what comes.
    fn can_park(&self) -> bool {
        let nothing_owed = self.owed.is_empty() && self.sides.is_empty() && self.pinned.is_none();
        let joined = self.waiting.iter().all(Option::is_none);
        let in_time = self.due_at() > Instant::now();
        // A client without topics is not worth a place among those who walk the ring.
        let follows = self.own_at.is_some() || self.interests.iter().any(Option::is_some);
        let active = Feed::ALL
            .into_iter()
            .all(|feed| !self.follows(feed) || self.shared.hub.view(feed).is_some());
        let plain = !self.one_run && self.pace.is_at_rest();
        nothing_owed && joined && in_time && follows && active && plain && self.transport.can_park()
    }

    /// What those need to know who serve it while it is parked.
    pub fn profile(&self) -> Profile {
        let follows = self.place.positions().map(|position| position.is_some());
        let mut topics = self.topics.clone();
        topics.sort();
        let carried = Feed::ALL
            .into_iter()
            .filter(|feed| follows[feed.index()])
            .fold(self.carried, |cursor, feed| cursor.with(feed, None));
        let says_something = Feed::ALL.into_iter().any(|feed| carried.position(feed).is_some());
        Profile {
            topics,
            follows,
            ids: self.ids,
            carried: says_something.then_some(carried),
            conflate: self.pace.conflate(),
        }
    }

    fn follows(&self, feed: Feed) -> bool {
        self.interests[feed.index()].is_some()
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// When it is to be looked after next: a heartbeat, or something that ends.
    pub fn due_at(&self) -> Instant {
        let access = self.access.as_ref().map(access::Access::due_at);
        let ends = [self.ends_at, access].into_iter().flatten();
        ends.fold(self.heartbeat_at, Instant::min)
    }

    /// The next heartbeat of a parked session, unless it is time for the loop: the client is dead, or the connection
    /// is old enough. It is counted as sent.
    pub fn parked_beat(&mut self, positions: &PerFeed<Option<Position>>) -> Option<(Envelope, Cursor)> {
        let now = Instant::now();
        let access = self.access.as_ref().map(access::Access::due_at);
        let over = [self.ends_at, access].into_iter().flatten().any(|at| at <= now);
        if over || !self.transport.ping() {
            return None;
        }
        self.heartbeat_at = now + self.heartbeat;
        let followed = Feed::ALL.map(|feed| positions[feed.index()].filter(|_| self.follows(feed)));
        let cursor = self.cursor_at(&followed);
        Some((self.heartbeat(cursor), cursor))
    }

    /// Goes on from where it was taken while it was parked.
    pub fn stand(&mut self, standing: Standing, slow_since: Option<Timestamp>) {
        let Standing { mut place, held } = standing;
        for feed in Feed::ALL {
            if !self.follows(feed) {
                place.unfollow(feed);
            } else if place.position(feed).is_none() {
                // Whoever served it does not know this feed yet.
                place.set(feed, self.place.position(feed));
            }
        }
        self.place = place;
        self.pace.take_over(held, slow_since);
    }
}

/// How long before its end a connection that is old enough is told.
const LIFETIME_NOTICE: Duration = Duration::from_secs(1);
