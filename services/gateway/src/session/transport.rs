//! How a session's messages reach its client, and the client's reach it.

use crate::metrics;
use oddswire_protocol::{Cursor, close::CloseCode, envelope::Envelope};

/// A message on its way to a client.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The message.
    pub envelope: &'a Envelope,
    /// The position after it, on messages that have one.
    pub cursor: Option<Cursor>,
}

/// What a client sent.
#[derive(Debug)]
pub enum Input {
    /// A text message.
    Text(String),
    /// Something that fails the connection.
    Violation(CloseCode),
    /// It is gone.
    Gone,
}

/// The client's socket does not take bytes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It is closed.
    Left,
    /// It is open, and took no byte for as long as a client is waited for.
    Stalled,
}

/// How a session's messages reach its client and the client's reach it.
pub trait Transport: Send {
    /// Queues a message; it may wait while the client is slow.
    fn send(&mut self, message: &Outgoing<'_>) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Sends what is queued.
    fn flush(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Waits for the client. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Input> + Send;
    /// Asks for a sign of life where the transport has such a thing; tells whether the last ones were answered.
    fn ping(&mut self) -> bool {
        true
    }
    /// What it counts as.
    fn kind(&self) -> metrics::Transport;
    /// Whether somebody else may write to the client's socket now.
    fn can_park(&self) -> bool {
        false
    }
}
