//! Fan-out: live clients, served by a few threads that walk the ring for all of them at once.
//!
//! A session is a loop of its own only while something is to be done for it alone: it joins, catches up, is spoken
//! to. Once it is live it is parked here. A shard takes what has piled up in the ring, finds by topic who wants what,
//! and writes it to their sockets: one write a client, of bytes that all clients of a class share. What it holds of a
//! client is a socket and a place in its class; a socket that stops taking bytes adds the rest of one message.
//! Whatever is more than that goes back to the session's own loop.

mod class;
mod client;
mod inbox;
mod routes;
mod shard;
mod sweep;

use crate::{
    drain::Farewell,
    metrics::{CloseLabel, Metrics},
    session::{End, Request, Session, Shared},
    socket::Socket,
    trial::Trial,
};
use inbox::Inbox;
use mio::Waker;
use shard::Shard;
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::sync::CancellationToken;

/// A session whose transport is a socket of its own.
pub type SocketSession = Session<Socket>;

/// The engine.
pub struct Engine {
    shards: Vec<Arc<Post>>,
    shared: Arc<Shared>,
    farewell: Farewell,
    runtime: Handle,
    trial: Trial,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

/// How a shard is reached from other threads.
pub(crate) struct Post {
    arrivals: Mutex<VecDeque<Box<SocketSession>>>,
    clients: AtomicUsize,
    /// Whether it waits, or is about to.
    asleep: AtomicBool,
    leave_all: AtomicBool,
    stop: AtomicBool,
    waker: Waker,
}

impl Post {
    /// Has the shard look, if it does not anyway.
    fn ring(&self) {
        if self.asleep.swap(false, SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "cannot wake a shard");
        }
    }
}

/// A shard ended; it should not have.
pub type Ended = oneshot::Receiver<()>;

impl Engine {
    /// Starts `shards` threads, which end when `stop` is cancelled. Within a runtime.
    ///
    /// # Errors
    /// When the system does not give what they need.
    pub fn start(
        shared: Arc<Shared>,
        farewell: Farewell,
        shards: usize,
        trial: Trial,
        stop: &CancellationToken,
    ) -> std::io::Result<(Arc<Self>, Vec<Ended>)> {
        let mut inboxes = Vec::new();
        for _ in 0..shards.max(1) {
            inboxes.push(Inbox::new()?);
        }
        let engine = Arc::new(Self {
            shards: inboxes.iter().map(Inbox::post).collect(),
            shared,
            farewell,
            runtime: Handle::current(),
            trial,
        });
        let mut ended = Vec::new();
        for (number, inbox) in inboxes.into_iter().enumerate() {
            let (alive, end) = oneshot::channel();
            let shard = Shard::new(inbox, Arc::clone(&engine));
            std::thread::Builder::new()
                .name(format!("shard-{number}"))
                .spawn(move || {
                    let _alive: oneshot::Sender<()> = alive;
                    shard.run();
                })?;
            ended.push(end);
        }
        let posts = engine.shards.clone();
        engine
            .shared
            .hub
            .set_alarm(move || posts.iter().for_each(|post| post.ring()));
        engine.watch(stop.clone());
        Ok((engine, ended))
    }

    /// Has the shards give their clients back when the gateway is to end, and end themselves with `stop`.
    fn watch(&self, stop: CancellationToken) {
        let (mut farewell, posts) = (self.farewell.clone(), self.shards.clone());
        self.runtime.spawn(async move {
            tokio::select! {
                () = farewell.begun() => {}
                () = stop.cancelled() => {}
            }
            for post in &posts {
                post.leave_all.store(true, SeqCst);
                post.ring();
            }
            stop.cancelled().await;
            for post in &posts {
                post.stop.store(true, SeqCst);
                post.ring();
            }
        });
    }

    /// Serves a client: by a loop of its own, and parked, in turns, until it is gone.
    pub async fn attend(self: Arc<Self>, mut session: Box<SocketSession>, begin: Option<Request>) {
        let end = session.run(begin, self.farewell.clone()).await;
        if end == End::Park {
            self.park(session);
        } else {
            self.count_end(&mut session, end);
            (*session).into_transport().close(end).await;
        }
    }

    fn park(&self, session: Box<SocketSession>) {
        let post = match session.own_at() {
            Some(shard) => self.shards.get(shard),
            None => self.shards.iter().min_by_key(|post| post.clients.load(SeqCst)),
        };
        let Some(post) = post else {
            return;
        };
        post.clients.fetch_add(1, SeqCst);
        post.arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(session);
        post.ring();
    }

    fn count_end(&self, session: &mut SocketSession, end: End) {
        // The gateway's own client is nobody's session.
        if session.own_at().is_some() {
            return;
        }
        self.metrics().sessions.dec();
        let label = CloseLabel::new(&session.transport_mut().label(), end);
        self.metrics().closed.get_or_create(&label).inc();
    }

    /// What its sessions share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What is broken on purpose.
    pub(crate) fn trial(&self) -> Trial {
        self.trial
    }

    fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }
}
