//! The gateway's own clients: one at each shard, that listens for its heartbeat as anybody does.
//!
//! A gateway whose shard hangs still accepts, still answers `/livez`, and still has its bus: only its clients notice.
//! So it is a client of itself, on a real socket whose other end goes the way of every event stream: a session that
//! joins, is parked at the shard, and gets heartbeats from it. It follows no feed, so it makes none active; it comes in
//! behind the door and behind the limits, and is counted nowhere. Nothing is published for it.

use crate::{
    engine::Engine,
    front::Front,
    metrics::Metrics,
    session::{OWN_HEARTBEAT, Request, Session, Since},
    socket::{Seat, Socket},
    wire::Form,
};
use oddswire_protocol::server::Upstream;
use serde::Deserialize;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Without a heartbeat for this long, which is five of them, a shard is deaf.
const DEAF_AFTER: Duration = Duration::from_secs(5);
/// When heartbeats tell for so long that the bus is not well, the gateway is not either, whatever its other checks say.
const UNWELL_AFTER: Duration = Duration::from_secs(30);

/// What the client at one shard heard.
#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Instant,
    /// When it last heard that the bus is well.
    well_at: Instant,
    upstream: Upstream,
}

/// All of them.
#[derive(Debug)]
pub struct OwnClients {
    shards: Vec<Mutex<Heard>>,
    metrics: Arc<Metrics>,
}

impl OwnClients {
    /// One for each shard; their time counts from now.
    pub fn new(shards: usize, metrics: Arc<Metrics>) -> Self {
        let heard = Heard {
            at: Instant::now(),
            well_at: Instant::now(),
            upstream: Upstream::Ok,
        };
        Self {
            shards: (0..shards).map(|_| Mutex::new(heard)).collect(),
            metrics,
        }
    }

    /// Good when every shard's client hears.
    ///
    /// # Errors
    /// Which does not, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        for shard in 0..self.shards.len() {
            let heard = self.heard(shard);
            let (silent, unwell) = (heard.at.elapsed(), heard.well_at.elapsed());
            if silent > DEAF_AFTER {
                let silent = silent.as_secs();
                return Err(format!(
                    "shard {shard} sends nothing: the gateway's own client there has heard no heartbeat for {silent} s"
                ));
            }
            if unwell > UNWELL_AFTER {
                let upstream = match heard.upstream {
                    Upstream::Down => "down",
                    Upstream::Stale | Upstream::Ok => "stale",
                };
                let unwell = unwell.as_secs();
                return Err(format!(
                    "shard {shard} tells its clients for {unwell} s that the bus is {upstream}"
                ));
            }
        }
        Ok(())
    }

    /// How many shards are deaf.
    pub fn deaf(&self) -> usize {
        let deaf = |shard: &usize| self.heard(*shard).at.elapsed() > DEAF_AFTER;
        (0..self.shards.len()).filter(deaf).count()
    }

    /// Listens until `stop`.
    pub async fn run(self: Arc<Self>, engine: Arc<Engine>, front: Arc<Front>, stop: CancellationToken) {
        let mut clients = JoinSet::new();
        for shard in 0..self.shards.len() {
            let (own, engine, front) = (Arc::clone(&self), Arc::clone(&engine), Arc::clone(&front));
            clients.spawn(stop.clone().run_until_cancelled_owned(async move {
                loop {
                    if let Err(error) = own.listen(shard, &engine, &front).await {
                        tracing::debug!(shard, %error, "the gateway's own client is cut off");
                    }
                    sleep(OWN_HEARTBEAT).await;
                }
            }));
        }
        while clients.join_next().await.is_some() {}
    }

    /// Is a client of one shard until the connection ends.
    async fn listen(&self, shard: usize, engine: &Arc<Engine>, front: &Arc<Front>) -> std::io::Result<()> {
        let (ours, theirs) = pair().await?;
        let sessions = TaskTracker::new();
        let shared = engine.shared();
        let socket = Socket::new(
            theirs,
            Form::Sse,
            None,
            &[],
            shared.patience,
            Seat::new(sessions.token(), None, Arc::clone(front), engine.trial()),
        );
        let request = request();
        let number = u16::try_from(shard).unwrap_or(u16::MAX);
        let session = Session::new(Arc::clone(shared), socket, &request).of_our_own(number);
        sessions.spawn(Arc::clone(engine).attend(Box::new(session), Some(request)));
        let mut lines = BufReader::new(ours).lines();
        let mut is_heartbeat = false;
        let mut last: Option<Instant> = None;
        while let Some(line) = lines.next_line().await? {
            if let Some(name) = line.strip_prefix("event:") {
                is_heartbeat = name.trim() == "heartbeat";
            } else if let Some(data) = line.strip_prefix("data:").filter(|_| is_heartbeat) {
                if let Some(last) = last {
                    let late = last.elapsed().saturating_sub(OWN_HEARTBEAT);
                    self.metrics.own_client.observe(late.as_secs_f64());
                }
                last = Some(Instant::now());
                self.note(shard, data);
            }
        }
        Ok(())
    }

    fn heard(&self, shard: usize) -> Heard {
        *self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, shard: usize, heartbeat: &str) {
        let Ok(Envelope { data }) = serde_json::from_str(heartbeat) else {
            return;
        };
        let now = Instant::now();
        let mut heard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        heard.at = now;
        heard.upstream = data.upstream;
        if data.upstream == Upstream::Ok {
            heard.well_at = now;
        }
    }
}

#[derive(Deserialize)]
struct Envelope {
    data: Told,
}

#[derive(Deserialize)]
struct Told {
    upstream: Upstream,
}

/// No topic, so no feed; no grant, since nobody asks for one here.
fn request() -> Request {
    Request {
        topics: Vec::new(),
        faults: Vec::new(),
        since: Since::Now,
        ids: false,
        conflate: Duration::ZERO,
        heartbeat: None,
        one_run: false,
        grant: None,
        reference: None,
    }
}

/// Both ends of a connection over the loopback.
async fn pair() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let ours = TcpStream::connect(listener.local_addr()?).await?;
    loop {
        // Somebody else of this machine may have been faster.
        let (theirs, from) = listener.accept().await?;
        if from == ours.local_addr()? {
            return Ok((ours, theirs));
        }
    }
}
