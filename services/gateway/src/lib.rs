//! The gateway: events of the bus to the screens of many clients, over WebSocket and Server-Sent Events.
//!
//! An event walks: [`feed`] takes it off the bus in an exact chain, [`frame`] checks and encodes it once, [`hub`]
//! keeps it in a ring, a [`session`] walks the ring from its position, [`http`] writes it to a socket. Gateways share
//! nothing but the bus, so any of them continues any client.
//!
//! Its invariants: it parses no event's payload, and nothing in it waits for a client but that client's own session.

pub mod board;
pub mod feed;
pub mod frame;
pub mod http;
pub mod hub;
pub mod jobs;
pub mod metrics;
mod options;
pub mod runs;
pub mod session;
pub mod trial;

pub use options::GatewayOptions;

use crate::{
    feed::{FeedActor, FeedContext, FeedHealth},
    http::Gateway,
    hub::Hub,
    metrics::Metrics,
    session::Shared,
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
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// Why a gateway ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus is not configured well.
    #[error(transparent)]
    Connect(#[from] ConnectError),
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
    let metrics = Arc::new(Metrics::default());
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let hub = Arc::new(Hub::new(
        usize::try_from(options.ring_bytes).unwrap_or(usize::MAX),
    ));
    let health = Arc::new(FeedHealth::default());
    // Reads for clients go over a connection of their own: they must not stand in the way of live events.
    let mut live = Bus::connect(&options.bus, "oddswire-gateway-live", "gateway").await?;
    let mut reads = Bus::connect(&options.bus, "oddswire-gateway-reads", "gateway").await?;
    if trial.no_settling {
        (live, reads) = (live.without_settling(), reads.without_settling());
    }
    let names = live.names();
    let probed = vec![
        names.runs.clone(),
        names.runs_last.clone(),
        names.odds.clone(),
        names.jobs.clone(),
        names.control_stream(),
    ];
    let (probe, probing) = Probe::new(&live, probed, stop.clone());

    let mut core: JoinSet<Result<(), Error>> = JoinSet::new();
    core.spawn(async {
        probing.await;
        Ok(())
    });
    for feed in Feed::ALL {
        let context = FeedContext {
            bus: live.clone(),
            hub: Arc::clone(&hub),
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
            linger: Duration::from_millis(options.linger_ms),
            trial,
        };
        let stop = stop.clone();
        core.spawn(async move {
            FeedActor::new(feed, context).run(stop).await;
            Ok(())
        });
    }
    let ready = Arc::new(Health::new().with("nats", move || probe.check()).with("feeds", {
        let health = Arc::clone(&health);
        move || health.check()
    }));
    let ops = Ops {
        health: Arc::clone(&ready),
        registry: Arc::new(registry),
    };
    core.spawn(serve_ops(ops_listener, ops, stop.clone()));
    let shared = Arc::new(Shared {
        hub,
        bus: reads,
        health,
        metrics,
        heartbeat: Duration::from_millis(options.heartbeat_ms),
        limits: Limits {
            topics: usize::from(options.topics_max),
            message_bytes: usize::try_from(options.message_bytes_max).unwrap_or(usize::MAX),
            messages_per_s: options.messages_per_s,
        },
    });
    let gateway = Gateway::new(shared, stop.clone());
    core.spawn(serve_clients(listener, gateway.clone(), stop.clone()));
    supervise(core, gateway, Duration::from_millis(options.grace_ms), stop).await
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

/// Waits for the end: asked for, or because a part that must live is gone. Then gives what is open a bounded time.
async fn supervise(
    mut core: JoinSet<Result<(), Error>>,
    gateway: Gateway,
    grace: Duration,
    stop: CancellationToken,
) -> Result<(), Error> {
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        Some(ended) = core.join_next() => match ended {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) if stop.is_cancelled() => Ok(()),
            Ok(Ok(())) => Err(Error::Ended("a part of the gateway".into())),
            Err(panic) => Err(Error::Ended(format!("a part of the gateway: {panic}"))),
        },
    };
    stop.cancel();
    let all_ended = async {
        gateway.wait_for_sessions().await;
        while core.join_next().await.is_some() {}
    };
    if timeout(grace, all_ended).await.is_err() {
        tracing::warn!(
            sessions = gateway.open_sessions(),
            "grace is over: closing what is left"
        );
    }
    outcome
}
