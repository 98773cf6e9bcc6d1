//! The connection to NATS.

use crate::log::{ReadError, Stored};
use async_nats::{Client, ConnectOptions, Event, connection::State};
use clap::Args;
use futures_util::StreamExt;
use oddswire_protocol::{Subjects, stream::StreamNames};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// Where the bus is.
#[derive(Debug, Clone, Args)]
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
    /// Whether a read asks the leader before it ends.
    pub(crate) settles: bool,
}

/// How often a lost connection is tried again: from 50 ms, doubling up to this.
const RECONNECT_MAX: Duration = Duration::from_secs(1);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

impl Bus {
    /// Begins to connect as `name`, and returns at once whether or not a server is there. `role` makes the private
    /// prefix of reply subjects, `_INBOX_<role>`, which the server's permissions are written for.
    ///
    /// # Errors
    /// [`ConnectError`] when the address cannot be understood.
    pub async fn connect(options: &BusOptions, name: &str, role: &str) -> Result<Self, ConnectError> {
        let (sender, signals) = watch::channel(Signals::default());
        let client = ConnectOptions::new()
            .name(name)
            .custom_inbox_prefix(format!("_INBOX_{role}"))
            .retry_on_initial_connect()
            .ping_interval(Duration::from_secs(10))
            .connection_timeout(Duration::from_secs(3))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                // The client awaits this callback: it only counts, and never blocks.
                sender.send_modify(|signals| note(signals, &event));
                std::future::ready(())
            })
            .connect(&options.nats_url)
            .await
            .map_err(|e| ConnectError {
                url: options.nats_url.clone(),
                reason: e.to_string(),
            })?;
        let subjects = options.prefix.clone();
        let names = Arc::new(StreamNames::of(&subjects));
        Ok(Self {
            client,
            subjects,
            names,
            signals,
            settles: true,
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

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn jetstream(&self) -> async_nats::jetstream::Context {
        let mut context = async_nats::jetstream::new(self.client.clone());
        context.set_timeout(REQUEST_TIMEOUT);
        context
    }

    /// Listens to the live side of a stream. To be sure that the server has the subscription, read something on the
    /// same connection afterwards: commands of one connection are carried out in order, a flush proves nothing.
    ///
    /// # Errors
    /// [`ReadError`] when the subject is refused by the client.
    pub async fn listen(&self, subject: String) -> Result<Listener, ReadError> {
        let subscriber = self
            .client
            .subscribe(subject)
            .await
            .map_err(|e| ReadError::Other(e.to_string()))?;
        Ok(Listener { subscriber })
    }

    /// Answers requests on `subject` until the returned value is dropped.
    ///
    /// # Errors
    /// [`ReadError`] when the subject is refused by the client.
    pub async fn serve(&self, subject: String) -> Result<Requests, ReadError> {
        let subscriber = self
            .client
            .subscribe(subject)
            .await
            .map_err(|e| ReadError::Other(e.to_string()))?;
        Ok(Requests {
            subscriber,
            client: self.client.clone(),
        })
    }

    /// Asks whoever serves `subject`, and tells whether somebody answered.
    pub async fn ask(&self, subject: String) -> bool {
        self.client.request(subject, bytes::Bytes::new()).await.is_ok()
    }

    /// Sends a message that nothing stores.
    pub async fn tell(&self, subject: String, payload: bytes::Bytes) {
        // Nothing waits for it: when the connection is gone, so is the message.
        let _ = tokio::time::timeout(REQUEST_TIMEOUT, self.client.publish(subject, payload)).await;
    }
}

fn note(signals: &mut Signals, event: &Event) {
    match event {
        Event::Connected => signals.connects += 1,
        Event::Disconnected => signals.disconnects += 1,
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

/// Committed events of a stream as they happen.
#[derive(Debug)]
pub struct Listener {
    subscriber: async_nats::Subscriber,
}

impl Listener {
    /// The next event; `None` when the connection was closed for good. Messages without a stream's headers are
    /// skipped: they are not from a stream.
    ///
    /// # Cancel safety
    /// Dropping this future loses nothing.
    pub async fn next(&mut self) -> Option<Stored> {
        loop {
            if let Some(stored) = Stored::from_message(self.subscriber.next().await?) {
                return Some(stored);
            }
        }
    }

    /// Ends the subscription at the server.
    pub async fn close(mut self) {
        // The connection may be gone, and the subscription with it.
        let _ = self.subscriber.unsubscribe().await;
    }
}

/// Requests to a subject.
#[derive(Debug)]
pub struct Requests {
    subscriber: async_nats::Subscriber,
    client: Client,
}

impl Requests {
    /// Waits for the next request and acknowledges it with an empty answer; `None` when the connection was closed.
    ///
    /// # Cancel safety
    /// Dropping this future before it is ready loses nothing.
    pub async fn next(&mut self) -> Option<bytes::Bytes> {
        let message = self.subscriber.next().await?;
        if let Some(reply) = message.reply {
            // The asker may be gone.
            let _ = self.client.publish(reply, bytes::Bytes::new()).await;
        }
        Some(message.payload)
    }
}

/// Whether the bus answers: asked every two seconds, and remembered with its time.
#[derive(Debug, Clone)]
pub struct Probe {
    state: watch::Receiver<ProbeState>,
}

#[derive(Debug, Clone)]
struct ProbeState {
    last_good: Option<Instant>,
    fault: String,
}

/// Without a good answer for this long the bus counts as down.
pub const PROBE_GOOD_FOR: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_secs(2);

impl Probe {
    /// A probe that asks for the state of each of `streams` until `stop`, and the future that does it.
    pub fn new(
        bus: &Bus,
        streams: Vec<String>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + use<>) {
        let first = ProbeState {
            last_good: None,
            fault: "NATS has not answered yet".into(),
        };
        let (sender, state) = watch::channel(first);
        let bus = bus.clone();
        let run = async move {
            while !stop.is_cancelled() {
                let found = ask_all(&bus, &streams).await;
                sender.send_modify(|state| match found {
                    Ok(()) => state.last_good = Some(Instant::now()),
                    Err(fault) => state.fault = fault,
                });
                tokio::select! {
                    () = tokio::time::sleep(PROBE_EVERY) => {}
                    () = stop.cancelled() => {}
                }
            }
        };
        (Self { state }, run)
    }

    /// Good when the last good answer is young enough.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        let state = self.state.borrow();
        match state.last_good {
            Some(at) if at.elapsed() < PROBE_GOOD_FOR => Ok(()),
            _ => Err(state.fault.clone()),
        }
    }
}

async fn ask_all(bus: &Bus, streams: &[String]) -> Result<(), String> {
    if !bus.is_connected() {
        return Err("not connected to NATS".into());
    }
    for stream in streams {
        match bus.stream_state(stream).await {
            Ok(_) => {}
            Err(ReadError::NoStream) => {
                return Err(format!("stream {stream} is missing: run `oddswire provision`"));
            }
            Err(error) => return Err(format!("stream {stream}: {error}")),
        }
    }
    Ok(())
}
