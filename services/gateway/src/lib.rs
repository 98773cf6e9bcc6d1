//! The gateway: events of the bus to the screens of many clients, over WebSocket and Server-Sent Events.
//!
//! An event walks: [`feed`] takes it off the bus in an exact chain, [`frame`] checks and encodes it once, [`hub`]
//! keeps it in a ring, a [`session`] walks the ring from its position, [`http`] writes it to a socket. Gateways share
//! nothing but the bus, so any of them continues any client.
//!
//! Its invariants: it parses no event's payload, and nothing in it waits for a client but that client's own session.

pub mod auth;
pub mod board;
pub mod drain;
pub mod engine;
pub mod feed;
pub mod frame;
pub mod front;
pub mod held;
pub mod http;
pub mod hub;
pub mod jobs;
pub mod logs;
pub mod metrics;
mod options;
pub mod runs;
pub mod session;
pub mod socket;
mod stopping;
pub mod trial;
pub mod wire;

pub use options::GatewayOptions;

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
    session::Shared,
    stopping::Stopping,
    trial::Trial,
};
use oddswire_kit::{
    bus::{Bus, ConnectError},
    ops::{self, Health, Ops},
    probe::Probe,
};
use oddswire_protocol::{Feed, server::Limits};
use prometheus_client::registry::Registry;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
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

/// The rules of the door. A gateway that others than this machine can reach does not start without.
fn rules(options: &GatewayOptions) -> Result<Auth, Error> {
    let auth = Auth::new(&options.auth).map_err(Error::Configuration)?;
    let public = !options.listen.ip().to_canonical().is_loopback();
    if public && !auth.is_on() && !options.auth.insecure_no_auth {
        let what = format!(
            "{} can be reached from other machines, and nobody would be asked for a token: name a key \
             (--auth-key-file, --auth-secret-file or --auth-jwks-url, see docs/auth.md), listen on 127.0.0.1, or say \
             --insecure-no-auth",
            options.listen
        );
        return Err(Error::Configuration(vec![Problem {
            option: "--listen",
            what,
        }]));
    }
    Ok(auth)
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
    run_on_trial(options, listener, ops_listener, Trial::default(), stop).await
}

/// The same with mechanisms off, for tests that show what they are there for.
///
/// # Errors
/// [`Error`].
pub async fn run_on_trial(
    options: GatewayOptions,
    listener: TcpListener,
    ops_listener: TcpListener,
    trial: Trial,
    stop: CancellationToken,
) -> Result<(), Error> {
    let (rules, auth) = watch::channel(Arc::new(rules(&options)?));
    let metrics = Arc::new(Metrics::default());
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let front = front(&options, &metrics)?;
    let hub = Arc::new(Hub::new(
        usize::try_from(options.ring_bytes).unwrap_or(usize::MAX),
    ));
    // Reads for clients go over a connection of their own: they must not stand in the way of live events.
    let mut live = Bus::connect(&options.bus, "oddswire-gateway-live", "gateway").await?;
    let mut reads = Bus::connect(&options.bus, "oddswire-gateway-reads", "gateway").await?;
    if trial.no_settling {
        (live, reads) = (live.without_settling(), reads.without_settling());
    }
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
        health: Arc::clone(&health),
        linger: Duration::from_millis(options.linger_ms),
        trial,
    };
    for feed in Feed::ALL {
        let (actor, inner) = (FeedActor::new(feed, context.clone()), inner.clone());
        core.spawn(async move {
            actor.run(inner).await;
            Ok(())
        });
    }
    let ops = Ops {
        health: Arc::new(readiness(probe, Arc::clone(&health), stop.clone())),
        registry: Arc::new(registry),
    };
    core.spawn(serve_ops(ops_listener, ops, inner.clone()));
    let door = Door::new(auth.clone(), reads.clone(), Arc::clone(&metrics));
    core.spawn(keep_fresh(rules, auth, inner.clone()));
    let shared = Arc::new(share(&options, hub, reads, health, metrics, door));
    let (logs, until) = (Arc::clone(&shared), inner.clone());
    core.spawn(async move {
        logs.logs.keep_small(until).await;
        Ok(())
    });
    let (drain, farewell) = Drain::new();
    let closing = CancellationToken::new();
    let engine = start_engine(&options, &shared, &farewell, &mut core, &inner)?;
    core.spawn(keep_certificate(Arc::clone(&front), inner.clone()));
    let gateway = Gateway::new(shared, farewell, engine, front);
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

fn front(options: &GatewayOptions, metrics: &Arc<Metrics>) -> Result<Arc<Front>, Error> {
    let metrics = Arc::clone(metrics);
    let front = Front::new(&options.front, &options.limits, options.listen, metrics)?;
    Ok(Arc::new(front))
}

async fn keep_certificate(front: Arc<Front>, stop: CancellationToken) -> Result<(), Error> {
    front.keep_fresh(stop).await;
    Ok(())
}

/// What the sessions share.
fn share(
    options: &GatewayOptions,
    hub: Arc<Hub>,
    reads: Bus,
    health: Arc<FeedHealth>,
    metrics: Arc<Metrics>,
    door: Door,
) -> Shared {
    Shared {
        hub,
        logs: Logs::new(reads, Arc::clone(&metrics)),
        health,
        metrics,
        door,
        heartbeat: Duration::from_millis(options.heartbeat_ms),
        limits: Limits {
            topics: usize::from(options.topics_max),
            message_bytes: usize::try_from(options.message_bytes_max).unwrap_or(usize::MAX),
            messages_per_s: options.messages_per_s,
        },
        patience: Duration::from_millis(options.patience_ms),
        budget_bytes: options.client_bytes,
        lifetime: (options.lifetime_ms > 0).then(|| Duration::from_millis(options.lifetime_ms)),
    }
}

/// Keeps the keys of the rules in force fresh. Who changes the rules sends others into the channel.
async fn keep_fresh(
    rules: watch::Sender<Arc<Auth>>,
    mut auth: watch::Receiver<Arc<Auth>>,
    stop: CancellationToken,
) -> Result<(), Error> {
    loop {
        let now = Arc::clone(&auth.borrow_and_update());
        tokio::select! {
            () = now.keep_fresh() => {}
            _ = auth.changed() => {}
            () = stop.cancelled() => break,
        }
    }
    drop(rules);
    Ok(())
}

/// Starts the shards; one that ends ends the gateway.
fn start_engine(
    options: &GatewayOptions,
    shared: &Arc<Shared>,
    farewell: &Farewell,
    core: &mut JoinSet<Result<(), Error>>,
    stop: &CancellationToken,
) -> Result<Arc<Engine>, Error> {
    let shards = match options.shards {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        shards => usize::from(shards),
    };
    let (engine, ended) =
        Engine::start(Arc::clone(shared), farewell.clone(), shards, stop).map_err(|source| Error::Serve {
            what: "clients",
            source,
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
    ]
    .map(Clone::clone)
    .into()
}

/// A gateway is ready when its bus answers, every active feed's last check is good, and it is not about to end.
fn readiness(probe: Probe, feeds: Arc<FeedHealth>, stop: CancellationToken) -> Health {
    Health::new()
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
    ops::serve(listener, ops, stop)
        .await
        .map_err(|source| Error::Serve {
            what: "operators",
            source,
        })
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
