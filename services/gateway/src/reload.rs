//! A configuration that changes under a running gateway.

use crate::{Error, GatewayOptions, auth::Auth, front::Front, session::Shared};
use oddswire_kit::metrics::LabelNames;
use oddswire_protocol::server::Limits;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What a gateway is told anew: its whole configuration, or why that cannot be read.
#[derive(Debug)]
pub enum Change {
    /// A configuration that is good as far as it can be read; keys that differ and take effect only after a restart.
    Options(Box<GatewayOptions>, Vec<String>),
    /// Everything that is wrong with it, a sentence each. What was in force stays.
    Wrong(Vec<String>),
}

/// Changes, in their order.
pub type Changes = mpsc::Receiver<Change>;

/// The label `outcome` of the metric of reloads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReloadLabel {
    /// Which.
    pub outcome: ReloadOutcome,
}

impl LabelNames for ReloadLabel {
    const NAMES: &'static [&'static str] = &["outcome"];
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReloadOutcome {
    /// It is in force.
    Good,
    /// What was in force stays.
    Refused,
}

impl GatewayOptions {
    /// Whether an option takes effect without a restart, by its name in the configuration file: keys and rules of
    /// tokens, origins, hosts, trusted proxies, and limits of memory, connections, requests, topics and messages.
    pub fn is_reloadable(key: &str) -> bool {
        const OTHERS: [&str; 9] = [
            "allow_origin",
            "allow_host",
            "trust_proxy",
            "trust_proxy_hops",
            "head_ms",
            "body_ms",
            "topics_max",
            "message_bytes_max",
            "messages_per_s",
        ];
        let of_limits = [
            "connections_max",
            "read_bytes_per_s",
            "connections_per_address",
            "memory_bytes",
            "handshakes_per_address",
            "handshakes_per_s",
            "requests_per_s",
            "pings_per_s",
            "h2_streams_max",
        ];
        key.starts_with("auth_") || OTHERS.contains(&key) || of_limits.contains(&key)
    }
}

/// What clients are granted.
pub(crate) fn limits(options: &GatewayOptions) -> Limits {
    Limits {
        topics: usize::from(options.topics_max),
        message_bytes: usize::try_from(options.message_bytes_max).unwrap_or(usize::MAX),
        messages_per_s: options.messages_per_s,
    }
}

/// What can be changed.
pub(crate) struct Reloading {
    pub(crate) rules: watch::Sender<Arc<Auth>>,
    pub(crate) front: Arc<Front>,
    pub(crate) shared: Arc<Shared>,
}

impl Reloading {
    /// Puts each change in force, or tells why not.
    pub(crate) async fn follow(self, mut changes: Changes, stop: CancellationToken) -> Result<(), Error> {
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = stop.cancelled() => return Ok(()),
            };
            let Some(change) = change else {
                stop.cancelled().await;
                return Ok(());
            };
            let outcome = match self.apply(change) {
                Ok(()) => ReloadOutcome::Good,
                Err(problems) => {
                    for problem in problems {
                        tracing::error!(problem, "the configuration is wrong: what was in force stays");
                    }
                    ReloadOutcome::Refused
                }
            };
            let metrics = &self.shared.metrics;
            metrics.reloads.get_or_create(&ReloadLabel { outcome }).inc();
        }
    }

    fn apply(&self, change: Change) -> Result<(), Vec<String>> {
        let (options, later) = match change {
            Change::Options(options, later) => (options, later),
            Change::Wrong(problems) => return Err(problems),
        };
        let auth = crate::rules(&options).map_err(|error| vec![error.to_string()])?;
        // Connections keep what their token granted until it ends.
        self.rules.send_replace(Arc::new(auth));
        self.front
            .reload(&options.front, &options.limits, options.auth.is_on());
        *self.shared.limits.write().unwrap_or_else(PoisonError::into_inner) = limits(&options);
        tracing::info!("the configuration was read again");
        if !later.is_empty() {
            tracing::warn!(
                options = later.join(", "),
                "these take effect only after a restart"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, Command};

    #[test]
    fn every_option_that_takes_effect_at_once_is_one() {
        let command = GatewayOptions::augment_args(Command::new("gateway"));
        let keys: Vec<String> = command
            .get_arguments()
            .filter_map(|argument| Some(argument.get_long()?.replace('-', "_")))
            .filter(|key| GatewayOptions::is_reloadable(key))
            .collect();
        for key in [
            "auth_secret",
            "auth_key_file",
            "allow_origin",
            "connections_max",
            "topics_max",
            "pings_per_s",
            "memory_bytes",
            "h2_streams_max",
        ] {
            assert!(
                keys.iter().any(|known| known == key),
                "{key} is no option, or needs a restart"
            );
        }
        assert!(!GatewayOptions::is_reloadable("listen") && !GatewayOptions::is_reloadable("ring_bytes"));
    }
}
