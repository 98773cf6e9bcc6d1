//! One event of the bus, ready to be shown: encoded once, shared by every client.

use oddswire_kit::log::Stored;
use oddswire_protocol::{
    EventKey, Feed, Subjects,
    envelope::Envelope,
    header::{self, CE_TIME, CE_TYPE, EventFault, STATUS},
    progress::Status,
};

/// A committed event that passed its check.
#[derive(Debug)]
pub struct Frame {
    /// The feed that it came by.
    pub feed: Feed,
    /// Its sequence in the feed's stream.
    pub seq: u64,
    /// What it is about.
    pub key: EventKey,
    /// Whether it ends its run.
    pub terminal: bool,
    /// The message to clients.
    pub envelope: Envelope,
}

/// Why a stored message is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// Its subject is none of the contract's.
    #[error("subject is not one of the contract's")]
    Subject,
    /// Its headers or payload are not.
    #[error(transparent)]
    Event(#[from] EventFault),
}

impl Frame {
    /// Checks a stored message and encodes it.
    ///
    /// # Errors
    /// [`FrameFault`]: it is counted and skipped.
    pub fn new(subjects: &Subjects, stored: &Stored) -> Result<Self, FrameFault> {
        let key = subjects.parse(&stored.subject).ok_or(FrameFault::Subject)?;
        let time = stored.header(CE_TIME);
        let message_type = header::check_event(&key, stored.header(CE_TYPE), time, &stored.payload)?;
        Ok(Self {
            feed: key.feed(),
            seq: stored.seq,
            terminal: is_terminal(stored),
            envelope: Envelope::from_bus(message_type, time.unwrap_or_default(), &stored.payload),
            key,
        })
    }

    /// What it counts against a bound in bytes.
    pub fn bytes(&self) -> usize {
        self.envelope.bytes().len() + size_of::<Self>()
    }
}

/// Whether a stored run message ends its run, by its header.
pub fn is_terminal(stored: &Stored) -> bool {
    stored
        .header(STATUS)
        .and_then(|s| s.parse::<Status>().ok())
        .is_some_and(Status::is_terminal)
}
