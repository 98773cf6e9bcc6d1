//! One thread that serves parked clients.

use super::{
    Engine, Post, SocketSession,
    class::{Class, Kind},
    client::{Behind, Client, State},
    inbox::Inbox,
    routes::Routes,
};
use crate::{
    held::{Held, Standing},
    hub::{Hub, PerFeed, Place, Stretch},
    session::End,
};
use mio::{Events, Interest, Poll, Token};
use oddswire_protocol::{Feed, cursor::Position};
use slab::Slab;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    io::{ErrorKind, Read},
    os::fd::OwnedFd,
    sync::{Arc, PoisonError, atomic::Ordering::SeqCst},
    time::Duration,
};
use tokio::time::Instant;

const EVENTS_AT_ONCE: usize = 1_024;
/// What is read of a client at once.
const READ_BYTES: usize = 16 * 1024;
/// A client that says more than so many times that at once is given to a loop of its own.
const READS_AT_ONCE: usize = 4;
/// Only on trial: how long a shard that is blocked does nothing at once.
const TRIAL_BLOCK: Duration = Duration::from_millis(10);
/// A place in a class that a client left.
pub(super) const NOBODY: usize = usize::MAX;

/// What is to be done at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// Look after a client.
    Beat(usize),
    /// Send what waits for the clients of a class.
    Tick(usize),
}

/// A shard.
pub(super) struct Shard {
    poll: Poll,
    post: Arc<Post>,
    pub(super) engine: Arc<Engine>,
    pub(super) hub: Arc<Hub>,
    pub(super) clients: Slab<Client>,
    pub(super) classes: Slab<Class>,
    kinds: HashMap<Arc<Kind>, usize>,
    pub(super) routes: Routes,
    /// Every frame before this number was given to every live client that wants it.
    pub(super) next: u64,
    /// The positions there.
    pub(super) positions: PerFeed<Option<Position>>,
    pub(super) lives: PerFeed<Option<u64>>,
    /// Clients whose sockets took bytes during a sweep.
    pub(super) writable: Vec<usize>,
    /// The frames that are given out now.
    pub(super) sweeping: Option<Arc<Stretch>>,
    pub(super) schedule: BTreeSet<(Instant, Task)>,
    /// Classes that clients left during a sweep.
    thinned: Vec<usize>,
    events: Option<Events>,
    scratch: Vec<u8>,
    /// Counts up, so that no client is always the last.
    pub(super) turn: usize,
}

impl Shard {
    pub(super) fn new(inbox: Inbox, engine: Arc<Engine>) -> Self {
        let hub = Arc::clone(&engine.shared.hub);
        Self {
            poll: inbox.poll,
            post: inbox.post,
            next: hub.next(),
            hub,
            engine,
            clients: Slab::new(),
            classes: Slab::new(),
            kinds: HashMap::new(),
            routes: Routes::default(),
            positions: PerFeed::default(),
            lives: PerFeed::default(),
            writable: Vec::new(),
            sweeping: None,
            schedule: BTreeSet::new(),
            thinned: Vec::new(),
            events: Some(Events::with_capacity(EVENTS_AT_ONCE)),
            scratch: vec![0; READ_BYTES],
            turn: 0,
        }
    }

    pub(super) fn run(mut self) {
        while !self.post.stop.load(SeqCst) {
            if self.engine.trial.blocks_shards() {
                std::thread::park_timeout(TRIAL_BLOCK);
                continue;
            }
            let seen = self.hub.version();
            let more = self.sweep();
            self.catch_up_writable();
            self.tidy();
            self.admit();
            if self.post.leave_all.load(SeqCst) {
                self.hand_over_all(|_| true);
            }
            self.keep_time();
            let wait = if more {
                Some(Duration::ZERO)
            } else {
                self.doze(seen)
            };
            self.look(wait);
        }
    }

    /// How long there is nothing to do, if nobody calls: from here on whoever has something does.
    fn doze(&self, seen: u64) -> Option<Duration> {
        self.post.asleep.store(true, SeqCst);
        let arrivals = !self.arrivals().is_empty();
        let leaving = self.post.leave_all.load(SeqCst) && !self.clients.is_empty();
        if self.hub.version() != seen || arrivals || leaving || self.post.stop.load(SeqCst) {
            return Some(Duration::ZERO);
        }
        let (first, _) = self.schedule.first()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    /// Takes in what happened on the sockets.
    pub(super) fn look(&mut self, wait: Option<Duration>) {
        let Some(mut events) = self.events.take() else {
            return;
        };
        // mio counts in milliseconds, rounded up.
        if let Err(error) = self.poll.poll(&mut events, wait)
            && error.kind() != ErrorKind::Interrupted
        {
            tracing::error!(%error, "cannot wait for sockets");
        }
        self.post.asleep.store(false, SeqCst);
        for event in &events {
            let Token(key) = event.token();
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.read(key);
            }
            if event.is_writable() {
                self.follow(key);
            }
        }
        self.events = Some(events);
    }

    fn arrivals(&self) -> std::sync::MutexGuard<'_, VecDeque<Box<SocketSession>>> {
        self.post.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the clients that have arrived.
    fn admit(&mut self) {
        // Only those who are there now: who is given back at once may be here again soon.
        let arrivals = std::mem::take(&mut *self.arrivals());
        for session in arrivals {
            let counted = session.own_at().is_none();
            if let Err(error) = self.take_in(session) {
                tracing::debug!(%error, "cannot take a client in");
                self.post.clients.fetch_sub(1, SeqCst);
                if counted {
                    self.engine.metrics().sessions.dec();
                }
            }
        }
    }

    fn take_in(&mut self, mut session: Box<SocketSession>) -> std::io::Result<()> {
        let kind = Kind {
            form: session.transport_mut().form(),
            profile: session.profile(),
        };
        let (place, beat_at) = (*session.place(), session.due_at());
        let mut stream = mio::net::TcpStream::from_std(session.transport_mut().park()?);
        let interests = Interest::READABLE | Interest::WRITABLE;
        let entry = self.clients.vacant_entry();
        let key = entry.key();
        self.poll
            .registry()
            .register(&mut stream, Token(key), interests)?;
        let state = if place.next() < self.next {
            State::Behind(Box::new(Behind::at(place)))
        } else {
            State::Live {
                from: place.next(),
                joined: place.next(),
            }
        };
        entry.insert(Client {
            stream,
            class: NOBODY,
            slot: 0,
            state,
            beat_at,
            session,
        });
        self.schedule.insert((beat_at, Task::Beat(key)));
        let conflates = kind.conflates();
        self.join_class(key, kind);
        // Who conflates does not get what it lacks as it comes: its own loop knows how.
        let lacks = conflates && place.next() < self.next;
        if lacks || self.hub.has_moved_on(&place) {
            self.hand_over(key);
        } else {
            self.follow(key);
        }
        Ok(())
    }

    fn join_class(&mut self, key: usize, kind: Kind) {
        let known = self.kinds.get(&kind).copied();
        let class = known.unwrap_or_else(|| self.open_class(kind));
        let clients = &mut self.classes[class].clients;
        clients.push(key);
        self.clients[key].class = class;
        self.clients[key].slot = clients.len() - 1;
    }

    fn open_class(&mut self, kind: Kind) -> usize {
        let kind = Arc::new(kind);
        let class = self.classes.insert(Class::new(Arc::clone(&kind)));
        for topic in &kind.profile.topics {
            self.routes.add(topic, class);
        }
        self.kinds.insert(kind, class);
        class
    }

    /// Removes a client from the shard.
    fn remove(&mut self, key: usize) -> Option<Client> {
        let mut client = self.clients.try_remove(key)?;
        self.post.clients.fetch_sub(1, SeqCst);
        self.schedule.remove(&(client.beat_at, Task::Beat(key)));
        self.classes[client.class].clients[client.slot] = NOBODY;
        self.thinned.push(client.class);
        if let Err(error) = self.poll.registry().deregister(&mut client.stream) {
            tracing::debug!(%error, "cannot let go of a socket");
        }
        Some(client)
    }

    /// Closes the gaps that clients left, once nobody walks the classes.
    fn tidy(&mut self) {
        let mut thinned = std::mem::take(&mut self.thinned);
        thinned.sort_unstable();
        thinned.dedup();
        for number in thinned {
            let class = &mut self.classes[number];
            class.clients.retain(|key| *key != NOBODY);
            for (slot, key) in class.clients.iter().enumerate() {
                self.clients[*key].slot = slot;
            }
            if class.clients.is_empty() {
                let class = self.classes.remove(number);
                class
                    .kind
                    .profile
                    .topics
                    .iter()
                    .for_each(|topic| self.routes.remove(topic, number));
                self.kinds.remove(&class.kind);
                if let Some(due) = class.due {
                    self.schedule.remove(&(due, Task::Tick(number)));
                }
            }
        }
    }

    /// The client is gone: nothing is left to say.
    pub(super) fn drop_client(&mut self, key: usize) {
        if let Some(mut client) = self.remove(key) {
            self.engine.count_end(&mut client.session, End::Gone);
        }
    }

    /// Where a live client is, that is to get everything from the number `from` on.
    pub(super) fn place_of(&self, from: u64, parked_at: &Place) -> Place {
        if from >= self.next && from == parked_at.next() {
            // It has got nothing since it was parked. What this shard knows may be older than that.
            return *parked_at;
        }
        if from <= self.next {
            return Place::at(self.positions, self.next);
        }
        // It has got a part of what is given out now.
        let last = self.sweeping.as_ref().and_then(|stretch| {
            let at = stretch
                .frames
                .binary_search_by_key(&(from - 1), |frame| frame.number);
            at.ok().map(|at| &stretch.frames[at])
        });
        match last {
            Some(frame) => Place::at(frame.positions(), from),
            // It was parked there, and has got nothing since.
            None => *parked_at,
        }
    }

    /// Gives a client back to a loop of its own.
    pub(super) fn hand_over(&mut self, key: usize) {
        let Some(mut client) = self.remove(key) else {
            return;
        };
        let (standing, slow_since) = match client.state {
            State::Live { from, joined } => {
                let place = self.place_of(from, client.session.place());
                let held = Held::between(&self.classes[client.class].held, joined, place.next());
                (Standing { place, held }, None)
            }
            State::Behind(behind) => {
                let standing = Standing {
                    place: behind.place,
                    ..Standing::default()
                };
                (standing, Some(behind.since))
            }
        };
        client.session.stand(standing, slow_since);
        let engine = Arc::clone(&self.engine);
        let stream = std::net::TcpStream::from(OwnedFd::from(client.stream));
        let mut session = client.session;
        engine.metrics().handed_over.inc();
        let runtime = engine.runtime.clone();
        runtime.spawn(async move {
            if let Err(error) = session.transport_mut().unpark(stream) {
                tracing::warn!(%error, "cannot take a client back");
                engine.count_end(&mut session, End::Gone);
                return;
            }
            engine.attend(session, None).await;
        });
    }

    pub(super) fn hand_over_all(&mut self, which: impl Fn(&Kind) -> bool) {
        let keys: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| which(&self.classes[client.class].kind))
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.hand_over(key);
        }
    }

    /// Gives those back whose feed is another one than before.
    pub(super) fn notice_feeds(&mut self, stretch: &Stretch) {
        let lives = stretch.lives();
        for feed in Feed::ALL {
            if lives[feed.index()] != self.lives[feed.index()] {
                self.hand_over_all(|kind| kind.profile.follows[feed.index()]);
            }
        }
        self.lives = lives;
    }

    /// Reads what a client says. Pings are answered; anything else is for its session, and so is one that says too much.
    fn read(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        for _ in 0..READS_AT_ONCE {
            match client.stream.read(&mut self.scratch) {
                // Its last words may want an answer.
                Ok(0) if client.socket().has_input() => return self.hand_over(key),
                Ok(0) => return self.drop_client(key),
                Ok(count) => {
                    let socket = client.session.transport_mut();
                    socket.take_in(&self.scratch[..count]);
                    if socket.has_input() || socket.must_wait() {
                        return self.hand_over(key);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.write_own(key),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.drop_client(key),
            }
        }
        self.hand_over(key);
    }

    /// Writes what waits at the socket of a client alone: a pong, a heartbeat.
    fn write_own(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let sent = client.write_out();
        match (sent, &client.state) {
            (Ok(true), _) | (Ok(false), State::Behind(_)) => {}
            (Ok(false), State::Live { from, .. }) => {
                let from = *from;
                if self.classes[client.class].kind.conflates() {
                    return self.hand_over(key);
                }
                let parked_at = *client.session.place();
                let place = self.place_of(from, &parked_at);
                self.clients[key].state = State::Behind(Box::new(Behind::at(place)));
            }
            (Err(_), _) => self.drop_client(key),
        }
    }

    /// Does what is due.
    fn keep_time(&mut self) {
        let now = Instant::now();
        while let Some((at, task)) = self.schedule.first().copied() {
            if at > now {
                return;
            }
            self.schedule.pop_first();
            match task {
                Task::Tick(class) => self.tick(class),
                Task::Beat(key) => self.beat(key),
            }
        }
    }

    /// Looks after a client: a heartbeat and a ping where it is live, its end where it takes nothing for too long.
    fn beat(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        // Whoever takes no bytes may not take them later either: its own loop ends it.
        if !client.look() || client.session.is_over() {
            return self.hand_over(key);
        }
        let client = &self.clients[key];
        let positions = match &client.state {
            State::Behind(_) => None,
            State::Live { from, .. } => {
                // A cursor is safe that has what waits for the next tick still to come.
                let held = &self.classes[client.class].held;
                let place = self.place_of(*from, client.session.place());
                Some(held.before().copied().unwrap_or(*place.positions()))
            }
        };
        let heartbeat = self.engine.shared.heartbeat;
        let client = &mut self.clients[key];
        if let Some(positions) = positions {
            let Some((envelope, cursor)) = client.session.parked_beat(&positions) else {
                return self.hand_over(key);
            };
            let socket = client.session.transport_mut();
            let mut bytes = Vec::new();
            socket.form().put(&mut bytes, &envelope, Some(&cursor));
            socket.queue(&bytes);
            if client.session.own_at().is_none() {
                self.engine.metrics().delivered.inc();
                self.engine.metrics().delivered_bytes.inc_by(bytes.len() as u64);
            }
        }
        let client = &mut self.clients[key];
        // Who is behind is told nothing until it takes bytes again.
        client.beat_at = match client.state {
            State::Live { .. } => client.session.due_at(),
            State::Behind(_) => client.session.over_at().min(Instant::now() + heartbeat),
        };
        self.schedule.insert((client.beat_at, Task::Beat(key)));
        self.write_own(key);
    }
}
