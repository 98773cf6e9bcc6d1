//! A parked client.

use super::SocketSession;
use crate::{hub::Place, socket::Socket};
use mio::net::TcpStream;
use oddswire_protocol::Timestamp;
use tokio::time::Instant;

/// A parked client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) class: usize,
    /// Its place among the clients of its class.
    pub(super) slot: usize,
    pub(super) state: State,
    /// When it is looked after next.
    pub(super) beat_at: Instant,
    pub(super) session: Box<SocketSession>,
}

/// How a client takes what is written to it.
#[derive(Debug)]
pub(super) enum State {
    /// All that was written was taken.
    Live {
        /// It is to get what its class gets at once from this number on.
        from: u64,
        /// The number at which it was parked: what its class holds back from there on is for it as well.
        joined: u64,
    },
    /// Its socket took a part only.
    Behind(Box<Behind>),
}

/// Where a client is whose socket does not take bytes: the rest of the message under way waits at its socket. Clients
/// that conflate are never kept like that, they are given back.
#[derive(Debug)]
pub(super) struct Behind {
    /// Its place behind that message.
    pub(super) place: Place,
    /// Since when.
    pub(super) since: Timestamp,
}

impl Behind {
    pub(super) fn at(place: Place) -> Self {
        Self {
            place,
            since: Timestamp::now(),
        }
    }
}

impl Client {
    pub(super) fn socket(&mut self) -> &mut Socket {
        self.session.transport_mut()
    }

    /// Looks whether it takes what it is sent; tells whether it did within its patience.
    pub(super) fn look(&mut self) -> bool {
        self.session.transport_mut().look_at(&self.stream)
    }

    /// Writes what waits at its socket; tells whether all of it went out.
    pub(super) fn write_out(&mut self) -> std::io::Result<bool> {
        self.session.transport_mut().write_to(&mut self.stream)
    }
}
