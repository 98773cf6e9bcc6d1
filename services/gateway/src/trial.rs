//! What may be broken on purpose, to show what it is there for.
//!
//! A test that passes with a mechanism on shows little unless it fails with the mechanism off. Nothing outside of tests
//! sets any of this, and no flag or variable does.

use std::sync::atomic::{AtomicBool, Ordering};

/// Mechanisms that are off, and faults that are added. The default is the product.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a mechanism of its own")]
pub struct Trial {
    /// The share of live messages that are lost on their way in, 0 to 1.
    pub lose_live: f64,
    /// A hole in the chain is passed over instead of repaired.
    pub no_chain: bool,
    /// The chain begins with the first message that comes by, instead of with what a read on the listening
    /// connection answered.
    pub no_barrier: bool,
    /// A read of the log that runs dry counts as complete, without asking the leader.
    pub no_settling: bool,
    /// Messages that are not what the contract says are shown.
    pub no_quarantine: bool,
    /// While it is set, no shard does anything.
    pub block_shards: Option<&'static AtomicBool>,
    /// Whatever a client sends is read as fast as it comes, and nobody takes turns.
    pub no_turns: bool,
    /// The kernel judges by `TCP_USER_TIMEOUT` which client is too slow, as well as the gateway.
    pub user_timeout: bool,
    /// The gateway has no clients of its own.
    pub no_own_clients: bool,
    /// Nothing is counted by address, and a stream counts before anybody has looked at its request.
    pub no_shares: bool,
    /// Answers are made whole before they are sent, however many there are, and wait for their clients for ever.
    pub whole_answers: bool,
    /// Who catches up or is slow gets all that the ring holds.
    pub no_compaction: bool,
    /// Of those who conflate the end of a run does not have the odds of its source sent first.
    pub ends_overtake_odds: bool,
}

impl Trial {
    /// Whether the shards do nothing now.
    pub fn blocks_shards(&self) -> bool {
        self.block_shards
            .is_some_and(|block| block.load(Ordering::Relaxed))
    }
}
