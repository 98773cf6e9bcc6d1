//! What the gateway counts.

use crate::front::Refused;
use crate::reload::ReloadLabel;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The gateway's metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Holes found in a feed's chain.
    pub holes: Counter,
    /// Events read from the log because they did not come by live.
    pub repaired: Counter,
    /// Events that are not what the contract says, and were not shown.
    pub skipped: Counter,
    /// Terminal run events shown before the run's odds were.
    pub overtaken: Counter,
    /// Sessions begun, by transport.
    pub opened: Family<TransportLabel, Counter>,
    /// Sessions ended, by transport.
    pub closed: Family<TransportLabel, Counter>,
    /// Messages given to sockets.
    pub delivered: Counter,
    /// Bytes in them.
    pub delivered_bytes: Counter,
    /// Resumes, by verdict.
    pub resumes: Family<VerdictLabel, Counter>,
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
}

/// The label `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusedLabel {
    /// Which limit.
    pub reason: Refused,
}

/// The label `transport`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TransportLabel {
    /// Which.
    pub transport: Transport,
}

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Transport {
    /// WebSocket.
    Ws,
    /// Server-Sent Events.
    Sse,
}

/// The label `verdict`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerdictLabel {
    /// Which.
    pub verdict: String,
}

/// The label `outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AuthLabel {
    /// `ok`, `ticket_given`, or why not.
    pub outcome: String,
}

impl Metrics {
    pub(crate) fn refuse(&self, reason: Refused) {
        self.refused.get_or_create(&RefusedLabel { reason }).inc();
    }

    /// Puts every metric into a registry, under `oddswire_gateway_`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("oddswire_gateway");
        registry.register("holes", "Holes found in a feed's chain", self.holes.clone());
        registry.register(
            "repaired",
            "Events read from the log because they did not come by live",
            self.repaired.clone(),
        );
        registry.register(
            "skipped",
            "Events that break the contract and were not shown",
            self.skipped.clone(),
        );
        registry.register(
            "overtaken",
            "Terminal run events shown before the run's odds",
            self.overtaken.clone(),
        );
        registry.register("sessions_opened", "Sessions begun", self.opened.clone());
        registry.register("sessions_closed", "Sessions ended", self.closed.clone());
        registry.register(
            "config_reloads",
            "Times that the configuration was read again, by what became of it",
            self.reloads.clone(),
        );
        registry.register("sessions", "Sessions open now", self.sessions.clone());
        registry.register("delivered", "Messages given to sockets", self.delivered.clone());
        registry.register(
            "delivered_bytes",
            "Bytes of messages given to sockets",
            self.delivered_bytes.clone(),
        );
        registry.register(
            "conflated",
            "Messages left out because a newer one of the same key followed",
            self.conflated.clone(),
        );
        registry.register(
            "lagging",
            "Clients told that they are too slow",
            self.lagging.clone(),
        );
        registry.register(
            "fell_behind",
            "Sockets that took a part only of what was written",
            self.fell_behind.clone(),
        );
        registry.register(
            "handed_over",
            "Clients that went from the shards back to a loop of their own",
            self.handed_over.clone(),
        );
        registry.register(
            "log_reads",
            "Reads of the log for clients",
            self.log_reads.clone(),
        );
        registry.register("connections", "Connections open now", self.connections.clone());
        registry.register("refused", "Clients refused by limit", self.refused.clone());
        registry.register(
            "auth",
            "Tokens and tickets looked at, by outcome",
            self.auth.clone(),
        );
        registry.register("resumes", "Joins by verdict", self.resumes.clone());
        registry.register(
            "client_errors",
            "Client messages answered with an error",
            self.client_errors.clone(),
        );
    }
}
