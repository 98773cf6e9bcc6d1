//! What is different about the sessions of the gateway's own clients.

use super::{Session, Transport};
use std::time::Duration;
use tokio::time::Instant;

/// Between heartbeats to the gateway's own clients.
pub const OWN_HEARTBEAT: Duration = Duration::from_secs(1);

impl<T: Transport> Session<T> {
    /// The session of the gateway's own client at a shard: with a heartbeat of its own, no end, and counted nowhere.
    #[must_use]
    pub fn of_our_own(mut self, shard: u16) -> Self {
        self.own_at = Some(shard);
        self.ends_at = None;
        self.heartbeat = OWN_HEARTBEAT;
        self.heartbeat_at = Instant::now() + OWN_HEARTBEAT;
        self
    }

    /// At which shard it is the gateway's own client.
    pub fn own_at(&self) -> Option<usize> {
        self.own_at.map(usize::from)
    }
}
