//! The gateway: events of the bus to the screens of many clients, over WebSocket and Server-Sent Events.
//!
//! An event walks: [`feed`] takes it off the bus in an exact chain, [`frame`] checks and encodes it once, [`hub`]
//! keeps it in a ring, a [`session`] walks the ring from its position, [`http`] writes it to a socket. Gateways share
//! nothing but the bus, so any of them continues any client.
//!
//! Its invariants: it makes no value of an event's payload, and nothing in it waits for a client but that client's own session.

pub mod auth;
pub mod board;
pub mod drain;
pub mod engine;
pub mod feed;
pub mod frame;
pub mod front;
pub mod held;
pub mod history;
pub mod http;
pub mod hub;
pub mod jobs;
pub mod listing;
pub mod logs;
pub mod metrics;
mod options;
pub mod own_client;
mod pace;
mod progress;
pub mod quarantine;
mod reload;
pub mod runs;
pub mod session;
mod signs;
pub mod socket;
mod stopping;
pub mod trial;
pub mod wire;

pub use options::GatewayOptions;
pub use reload::{Change, Changes};

use crate::{
    auth::{Auth, Door, Problem},
    drain::{Drain, Farewell},
    engine::Engine,
    feed::{FeedActor, FeedContext, FeedHealth},
    front::{Front, TlsError},
    http::Gateway,
    hub::Hub,
    logs::Logs,
    metrics::Metrics,
    own_client::OwnClients,
    quarantine::Quarantine,
    reload::Reloading,
    session::Shared,
    stopping::Stopping,
    trial::Trial,
};
use oddswire_kit::{
    bus::{Bus, ConnectError},
    ops::{self, Health, Ops},
    probe::Probe,
};
use oddswire_protocol::Feed;
use std::{
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Why a gateway ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus is not configured well.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The configuration is bad.
    #[error("{}", list(.0))]
    Configuration(Vec<Problem>),
    /// A listener failed.
    #[error("serving {what}: {source}")]
    Serve {
        /// Which.
        what: &'static str,
        /// How.
        source: std::io::Error,
    },
    /// A part that must live ended or panicked.
    #[error("{0} ended")]
    Ended(String),
}

impl Error {
    /// Whether only another configuration helps.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Configuration(_) | Self::Tls(_))
    }
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Everything that is wrong with a configuration, as far as it can be known without starting.
pub fn check(options: &GatewayOptions) -> Vec<String> {
    let mut problems: Vec<String> = match rules(options) {
        Ok(_) => Vec::new(),
        Err(Error::Configuration(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
    problems.extend(front::check(&options.front).err().map(|error| error.to_string()));
    problems
}

/// The rules of the door, of a configuration without faults. A gateway that others than this machine can reach does not
/// start without.
fn rules(options: &GatewayOptions) -> Result<Auth, Error> {
    let mut problems = options.contradictions();
    match Auth::new(&options.auth) {
        Ok(auth) => {
            let public = !options.listen.ip().to_canonical().is_loopback();
            if public && !auth.is_on() && !options.auth.insecure_no_auth {
                problems.push(options.unguarded());
            }
            if problems.is_empty() {
                return Ok(auth);
            }
        }
        Err(found) => problems.extend(found),
    }
    Err(Error::Configuration(problems))
}

/// Serves clients on `listener` and operators on `ops_listener` until `stop`, whether or not the bus is there.
///
/// # Errors
/// [`Error`].
pub async fn run(
    options: GatewayOptions,
    listener: TcpListener,
    ops_listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), Error> {
    // Nobody changes anything: the sender is gone.
    let (_, changes) = mpsc::channel(1);
    run_on_trial(options, listener, ops_listener, Trial::default(), changes, stop).await
}

/// The same with a configuration that may change meanwhile, and with mechanisms off for tests that show what they are
/// there for.
///
/// # Errors
/// [`Error`].
pub async fn run_on_trial(
    options: GatewayOptions,
    listener: TcpListener,
    ops_listener: TcpListener,
    trial: Trial,
    changes: Changes,
    stop: CancellationToken,
) -> Result<(), Error> {
    let (rules, auth) = watch::channel(Arc::new(rules(&options)?));
    let metrics = Arc::new(Metrics::default());
    let front = front(&options, &metrics, trial)?;
    tell(&options, &front, &auth.borrow());
    let hub = Arc::new(Hub::new(
        usize::try_from(options.ring_bytes).unwrap_or(usize::MAX),
    ));
    // Reads for clients go over a connection of their own: they must not stand in the way of live events.
    let mut live = Bus::connect(&options.bus, "oddswire-gateway-live", "gateway").await?;
    let mut reads = Bus::connect(&options.bus, "oddswire-gateway-reads", "gateway").await?;
    if trial.no_settling {
        (live, reads) = (live.without_settling(), reads.without_settling());
    }
    let quarantine = Quarantine::new(live.subjects().clone(), Arc::clone(&metrics));
    let quarantine = Arc::new(quarantine.without_check(trial.no_quarantine));
    let health = Arc::new(FeedHealth::new(live.clone()));
    // What serves the sessions ends after them.
    let inner = CancellationToken::new();
    let (probe, probing) = Probe::new(&live, needed_streams(&live), inner.clone());

    let mut core: JoinSet<Result<(), Error>> = JoinSet::new();
    core.spawn(async {
        probing.await;
        Ok(())
    });
    let context = FeedContext {
        bus: live,
        hub: Arc::clone(&hub),
        metrics: Arc::clone(&metrics),
        quarantine: Arc::clone(&quarantine),
        health: Arc::clone(&health),
        linger: Duration::from_millis(options.linger_ms),
        trial,
    };
    follow_feeds(&context, &mut core, &inner);
    let own = Arc::new(OwnClients::new(shards(&options), Arc::clone(&metrics)));
    let ready = readiness(probe, Arc::clone(&health), &own, trial, stop.clone());
    let ops = Ops::new(ready, metrics.book().into_registry())
        .with(http::operators::routes(Arc::clone(&quarantine)));
    core.spawn(serve_ops(ops_listener, ops, inner.clone()));
    let door = Door::new(auth.clone(), reads.clone(), Arc::clone(&metrics));
    core.spawn(keep_fresh(auth, inner.clone()));
    let logs = Logs::new(reads, Arc::clone(&metrics), quarantine);
    let shared = Arc::new(share(&options, hub, logs, health, metrics, door, trial));
    let reloading = Reloading {
        rules,
        front: Arc::clone(&front),
        shared: Arc::clone(&shared),
    };
    core.spawn(reloading.follow(changes, inner.clone()));
    let (logs, until) = (Arc::clone(&shared), inner.clone());
    core.spawn(async move {
        logs.logs.keep_small(until).await;
        Ok(())
    });
    let (drain, farewell) = Drain::new();
    let closing = CancellationToken::new();
    let engine = start_engine(shards(&options), &shared, &farewell, trial, &mut core, &inner)?;
    let looking = look_after(own, Arc::clone(&engine), Arc::clone(&front), trial, inner.clone());
    core.spawn(looking);
    core.spawn(keep_certificate(Arc::clone(&front), inner.clone()));
    let gateway = Gateway::new(shared, farewell, engine, front, options.page());
    core.spawn(serve_clients(listener, gateway.clone(), closing.clone()));
    let stopping = Stopping {
        core,
        gateway,
        drain,
        closing,
        inner,
        drain_delay: Duration::from_millis(options.drain_delay_ms),
        grace: Duration::from_millis(options.grace_ms),
    };
    stopping.supervise(stop).await
}

fn follow_feeds(context: &FeedContext, core: &mut JoinSet<Result<(), Error>>, stop: &CancellationToken) {
    for feed in Feed::ALL {
        let (actor, stop) = (FeedActor::new(feed, context.clone()), stop.clone());
        core.spawn(async move {
            actor.run(stop).await;
            Ok(())
        });
    }
}

/// Says what is in force.
fn tell(options: &GatewayOptions, front: &Front, auth: &Auth) {
    let (connections, descriptors) = front.room();
    tracing::info!(
        listen = %options.listen,
        ops = %options.ops_listen,
        nats = options.bus.address(),
        tls = options.front.tls_cert.is_some(),
        auth = auth.is_on(),
        connections,
        descriptors,
        per_address = options.limits.connections_per_address,
        memory_mib = options.limits.memory_bytes >> 20,
        handshakes_per_s = options.limits.handshakes_per_s,
        requests_per_s = options.limits.requests_per_s,
        topics = options.topics_max,
        ring_mib = options.ring_bytes >> 20,
        "gateway"
    );
}

fn front(options: &GatewayOptions, metrics: &Arc<Metrics>, trial: Trial) -> Result<Arc<Front>, Error> {
    let metrics = Arc::clone(metrics);
    let front = Front::new(
        &options.front,
        &options.limits,
        options.auth.is_on(),
        options.listen,
        metrics,
    )?;
    Ok(Arc::new(front.on_trial(trial)))
}

async fn keep_certificate(front: Arc<Front>, stop: CancellationToken) -> Result<(), Error> {
    front.keep_fresh(stop).await;
    Ok(())
}

/// What the sessions share.
fn share(
    options: &GatewayOptions,
    hub: Arc<Hub>,
    logs: Logs,
    health: Arc<FeedHealth>,
    metrics: Arc<Metrics>,
    door: Door,
    trial: Trial,
) -> Shared {
    Shared {
        hub,
        logs,
        health,
        metrics,
        door,
        heartbeat: Duration::from_millis(options.heartbeat_ms),
        limits: RwLock::new(reload::limits(options)),
        patience: Duration::from_millis(options.patience_ms),
        budget_bytes: options.client_bytes,
        lifetime: (options.lifetime_ms > 0).then(|| Duration::from_millis(options.lifetime_ms)),
        trial,
    }
}

/// Keeps the keys of the rules in force fresh.
async fn keep_fresh(mut auth: watch::Receiver<Arc<Auth>>, stop: CancellationToken) -> Result<(), Error> {
    loop {
        let now = Arc::clone(&auth.borrow_and_update());
        tokio::select! {
            () = now.keep_fresh() => {}
            _ = auth.changed() => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// How many threads serve parked clients.
fn shards(options: &GatewayOptions) -> usize {
    match options.shards {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        shards => usize::from(shards),
    }
}

/// Is its own client, and keeps what is measured, not counted.
async fn look_after(
    own: Arc<OwnClients>,
    engine: Arc<Engine>,
    front: Arc<Front>,
    trial: Trial,
    stop: CancellationToken,
) -> Result<(), Error> {
    let measured = signs::measure(
        Arc::clone(engine.shared()),
        Arc::clone(&own),
        Arc::clone(&front),
        stop.clone(),
    );
    if trial.no_own_clients {
        measured.await;
    } else {
        tokio::join!(measured, own.run(engine, front, stop));
    }
    Ok(())
}

/// Starts the shards; one that ends ends the gateway.
fn start_engine(
    shards: usize,
    shared: &Arc<Shared>,
    farewell: &Farewell,
    trial: Trial,
    core: &mut JoinSet<Result<(), Error>>,
    stop: &CancellationToken,
) -> Result<Arc<Engine>, Error> {
    let (engine, ended) =
        Engine::start(Arc::clone(shared), farewell.clone(), shards, trial, stop).map_err(|source| {
            Error::Serve {
                what: "clients",
                source,
            }
        })?;
    for shard in ended {
        core.spawn(async {
            // Told by its end alone.
            let _ = shard.await;
            Ok(())
        });
    }
    Ok(engine)
}

/// The streams without which a gateway is of no use.
fn needed_streams(bus: &Bus) -> Vec<String> {
    let names = bus.names();
    [
        &names.runs,
        &names.runs_last,
        &names.odds,
        &names.jobs,
        &names.control_stream(),
        &names.gateway_stream(),
    ]
    .map(Clone::clone)
    .into()
}

/// A gateway is ready when its bus answers, every active feed's last check is good, its own clients hear, and it is not
/// about to end.
fn readiness(
    probe: Probe,
    feeds: Arc<FeedHealth>,
    own: &Arc<OwnClients>,
    trial: Trial,
    stop: CancellationToken,
) -> Health {
    let own = Arc::clone(own);
    Health::new()
        .with(
            "clients",
            move || if trial.no_own_clients { Ok(()) } else { own.check() },
        )
        .with("nats", move || probe.check())
        .with("feeds", move || feeds.check())
        .with("gateway", move || {
            if stop.is_cancelled() {
                Err("is stopping".into())
            } else {
                Ok(())
            }
        })
}

async fn serve_ops(listener: TcpListener, ops: Ops, stop: CancellationToken) -> Result<(), Error> {
    ops::serve(listener, ops, stop).await;
    Ok(())
}

async fn serve_clients(
    listener: TcpListener,
    gateway: Gateway,
    stop: CancellationToken,
) -> Result<(), Error> {
    http::serve(listener, gateway, stop)
        .await
        .map_err(|source| Error::Serve {
            what: "clients",
            source,
        })
}
