//! The connection to NATS.

mod refusal;
mod security;
mod server;

pub use refusal::Refusals;
pub use security::BusSecurity;
pub use server::ServerVersion;

use crate::{publish::Marked, secret::Secret};
use async_nats::{Client, ConnectOptions, Event, connection::State};
use clap::Args;
use oddswire_protocol::{Subjects, stream::StreamNames};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Where the bus is.
#[derive(Clone, Args)]
pub struct BusOptions {
    /// NATS servers, separated by commas.
    #[arg(
        long,
        env = "ODDSWIRE_NATS_URL",
        default_value = "nats://127.0.0.1:4222",
        value_name = "URL"
    )]
    pub nats_url: String,
    /// The first token of every subject.
    #[arg(long, env = "ODDSWIRE_PREFIX", default_value = Subjects::DEFAULT_PREFIX, value_name = "TOKEN", value_parser = parse_prefix)]
    pub prefix: Subjects,
    /// Who this process is, and whom it believes.
    #[command(flatten)]
    pub security: BusSecurity,
}

impl std::fmt::Debug for BusOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BusOptions")
            .field("nats_url", &self.address())
            .field("prefix", &self.prefix)
            .field("security", &self.security)
            .finish()
    }
}

impl BusOptions {
    /// A bus at this address, as whoever the server takes it for.
    pub fn at(nats_url: &str) -> Self {
        Self {
            nats_url: nats_url.to_owned(),
            prefix: Subjects::default(),
            security: BusSecurity::default(),
        }
    }

    /// The addresses without users and passwords: what may be logged.
    pub fn address(&self) -> String {
        security::without_users(&self.nats_url)
    }
}

fn parse_prefix(text: &str) -> Result<Subjects, String> {
    Subjects::new(text).ok_or_else(|| "must be 1 to 64 of a-z, 0-9, _ and -".into())
}

/// What happened to the connection so far. A change of any number is a reason to look whether something was missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals {
    /// How often it was made.
    pub connects: u64,
    /// How often it was lost.
    pub disconnects: u64,
    /// How often a message was dropped because a subscription was full.
    pub slow_consumers: u64,
    /// How often the server refused something: usually a missing permission.
    pub refusals: u64,
}

/// The bus is not configured well.
#[derive(Debug, thiserror::Error)]
#[error("connect to NATS at {url}: {reason}")]
pub struct ConnectError {
    url: String,
    reason: String,
}

/// A connection to NATS that is made again for ever when it is lost, with the names of what lives there. Cheap to
/// clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Bus {
    client: Client,
    subjects: Subjects,
    names: Arc<StreamNames>,
    signals: watch::Receiver<Signals>,
    refusals: Refusals,
    /// How it was made: to try once more by hand, for the reason.
    made: Arc<(BusOptions, String)>,
    /// Whether a read asks the leader before it ends.
    pub(crate) settles: bool,
    /// Which term of ODDS is marked.
    pub(crate) marked: Arc<Marked>,
}

/// How often a lost connection is tried again: from 50 ms, doubling up to this.
const RECONNECT_MAX: Duration = Duration::from_secs(1);
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

impl Bus {
    /// Begins to connect as `name`, and returns at once whether or not a server is there. `role` makes the private
    /// prefix of reply subjects, `_INBOX_<role>`, which the server's permissions are written for.
    ///
    /// # Errors
    /// [`ConnectError`] when the address cannot be understood.
    pub async fn connect(options: &BusOptions, name: &str, role: &str) -> Result<Self, ConnectError> {
        let (sender, signals) = watch::channel(Signals::default());
        let refusals = Refusals::default();
        let refused = refusals.clone();
        let client = connect_options(options, name)?
            // Counted in messages, of up to 80 KiB: what is dropped past this is read from the log.
            .subscription_capacity(8_192)
            .custom_inbox_prefix(format!("_INBOX_{role}"))
            .retry_on_initial_connect()
            .ping_interval(Duration::from_secs(10))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                // The client awaits this callback: it only counts, and never blocks.
                refused.note(&event);
                sender.send_modify(|signals| note(signals, &event));
                std::future::ready(())
            })
            .connect(servers(options).as_slice())
            .await
            .map_err(|e| ConnectError::new(options, e.to_string()))?;
        let subjects = options.prefix.clone();
        let names = Arc::new(StreamNames::of(&subjects));
        Ok(Self {
            client,
            subjects,
            names,
            signals,
            refusals,
            made: Arc::new((options.clone(), name.to_owned())),
            settles: true,
            marked: Arc::default(),
        })
    }

    /// The same connection, whose reads count as complete when they run dry: for tests that show why they do not.
    #[must_use]
    pub fn without_settling(self) -> Self {
        Self {
            settles: false,
            ..self
        }
    }

    /// The subjects.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// The streams.
    pub fn names(&self) -> &StreamNames {
        &self.names
    }

    /// What happened to the connection, to be watched.
    pub fn signals(&self) -> watch::Receiver<Signals> {
        self.signals.clone()
    }

    /// Whether the connection is there, as far as the client knows.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Good when the server of this connection is new enough, or none was reached yet, or it does not tell its version.
    ///
    /// # Errors
    /// Which it is and which it must be, in one sentence.
    pub fn check_server(&self) -> Result<(), String> {
        ServerVersion::parse(&self.server_version()).map_or(Ok(()), ServerVersion::check)
    }

    /// The version of the server of this connection, as it says it; empty when none was reached yet.
    pub fn server_version(&self) -> String {
        self.client
            .try_server_info()
            .map(|info| info.version)
            .unwrap_or_default()
    }

    /// What this process shows the server that nobody but processes of its role has; `None` on a bus without users.
    pub fn own_secret(&self) -> Option<Secret> {
        self.made.0.security.own_secret(&self.made.0.nats_url)
    }

    /// What the server refused, for readiness.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Why there is no connection, in one sentence that says what to do: found by one more try, because the client
    /// keeps its own reasons to itself. `None` when that try works.
    pub async fn why_not_connected(&self) -> Option<String> {
        let (options, name) = &*self.made;
        let once = match connect_options(options, name) {
            Ok(once) => once.max_reconnects(servers(options).len()),
            Err(error) => return Some(error.reason),
        };
        let failed = once.connect(servers(options).as_slice()).await.err()?;
        Some(refusal::explain(&failed))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn jetstream(&self) -> async_nats::jetstream::Context {
        let mut context = async_nats::jetstream::new(self.client.clone());
        context.set_timeout(REQUEST_TIMEOUT);
        context
    }
}

impl ConnectError {
    fn new(options: &BusOptions, reason: String) -> Self {
        Self {
            url: options.address(),
            reason,
        }
    }
}

fn servers(options: &BusOptions) -> Vec<&str> {
    options.nats_url.split(',').map(str::trim).collect()
}

/// What every connection with these options has.
fn connect_options(options: &BusOptions, name: &str) -> Result<ConnectOptions, ConnectError> {
    let plain = ConnectOptions::new()
        .name(name)
        .connection_timeout(Duration::from_secs(3));
    options
        .security
        .apply(&options.nats_url, plain)
        .map_err(|reason| ConnectError::new(options, reason))
}

fn note(signals: &mut Signals, event: &Event) {
    match event {
        Event::Connected => signals.connects += 1,
        Event::Disconnected => {
            signals.disconnects += 1;
            tracing::warn!("the connection to NATS is lost: trying again until it is back");
            return;
        }
        // One for each try: readiness and the line before say it already.
        Event::ClientError(error) => {
            tracing::debug!(%error, "NATS");
            return;
        }
        // One event a dropped message: counted, never logged.
        Event::SlowConsumer(_) => {
            signals.slow_consumers += 1;
            return;
        }
        Event::ServerError(error) => {
            signals.refusals += 1;
            tracing::error!(%error, "NATS refused an operation");
            return;
        }
        _ => {}
    }
    tracing::info!(%event, "NATS");
}

fn reconnect_delay(attempt: usize) -> Duration {
    let doubled =
        Duration::from_millis(50) * 2u32.saturating_pow(u32::try_from(attempt).unwrap_or(u32::MAX).min(10));
    doubled.min(RECONNECT_MAX).mul_f64(rand::random_range(0.5..1.0))
}
