//! The load generator: any number of connections on one thread, read as cheaply as can be, and checked message by message.

mod client;

pub(crate) use client::{Client, State};

use crate::{
    audience::Wanted,
    author::Author,
    clock::{nap, now_ns, seconds},
    figures::Histogram,
    wire::{self, Message},
};
use anyhow::Result;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;
use std::{net::SocketAddr, time::Duration};

/// What all connections together have seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Events.
    pub(crate) delivered: u64,
    /// Events that must have come before one that came.
    pub(crate) missed: u64,
    /// Events that came again.
    pub(crate) doubled: u64,
    /// Messages that are no events.
    pub(crate) other: u64,
    /// Bytes on the wire.
    pub(crate) bytes: u64,
    /// Reads that gave something.
    pub(crate) reads: u64,
    /// Answers that were no stream.
    pub(crate) refused: u64,
    /// Connections that have their `connection_ack`.
    pub(crate) granted: u64,
    /// Connections that have their `caught_up`.
    pub(crate) ready: u64,
    /// Connections with permessage-deflate.
    pub(crate) deflated: u64,
    /// The conflation that was granted.
    pub(crate) conflate_ms: u64,
    /// From sent to read.
    pub(crate) latency: Histogram,
    /// From the attempt to connect to `connection_ack`.
    pub(crate) granting: Histogram,
    /// From the attempt to connect to `caught_up`.
    pub(crate) readying: Histogram,
    /// Where wanted, the cursor after each event, and first that of `connection_ack`.
    pub(crate) cursors: Option<Vec<String>>,
}

impl Tally {
    /// Keeps the cursor of a message where cursors are wanted.
    fn remember(&mut self, text: &[u8]) {
        let Some(cursors) = &mut self.cursors else {
            return;
        };
        let key = match wire::message(text) {
            Message::Event(_) => "id",
            Message::Granted { .. } => "cursor",
            _ => return,
        };
        cursors.extend(wire::text_value(text, key));
    }
}

/// The connections.
#[derive(Debug)]
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    /// What they have seen.
    pub(crate) tally: Tally,
}

/// How opening went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    /// Until the last one was caught up.
    pub(crate) seconds: f64,
    /// Connections that were not made, refused, or cut.
    pub(crate) failed: u64,
}

/// Connections that are being opened at a time, where it is no storm.
pub(crate) const GENTLY: usize = 256;
/// Between two looks at sockets that have nothing: the server's writes wake nobody, and reads come in batches.
const NAP: Duration = Duration::from_micros(50);

impl Crowd {
    /// Nobody yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            clients: Vec::new(),
            buffer: vec![0; 1 << 16],
            tally: Tally::default(),
        })
    }

    /// Opens connections, so many at a time, and waits until each is caught up or has failed, for so many seconds.
    pub(crate) fn open(
        &mut self,
        address: SocketAddr,
        all: Vec<Wanted>,
        at_once: usize,
        within_s: f64,
        author: &Author,
        mut each_turn: impl FnMut() -> Result<()>,
    ) -> Result<Opening> {
        let begun = now_ns();
        let first = self.clients.len();
        let mut waiting = all.into_iter();
        loop {
            let (ready, gone) = self.since(first);
            let open = self.clients.len() - first;
            let wanted = at_once.saturating_sub(open - ready - gone);
            for wanted in waiting.by_ref().take(wanted) {
                self.connect(address, &wanted)?;
            }
            let is_done = ready + gone == self.clients.len() - first && waiting.len() == 0;
            if is_done || seconds(begun, now_ns()) > within_s {
                let failed = self.clients.len() - first - ready + waiting.len();
                return Ok(Opening {
                    seconds: seconds(begun, now_ns()),
                    failed: failed as u64,
                });
            }
            self.turn(author)?;
            each_turn()?;
        }
    }

    fn since(&self, first: usize) -> (usize, usize) {
        let count = |state| self.clients[first..].iter().filter(|c| c.state == state).count();
        (count(State::Ready), count(State::Gone))
    }

    fn connect(&mut self, address: SocketAddr, wanted: &Wanted) -> Result<()> {
        let mut client = Client::connect(address, wanted, now_ns())?;
        let token = Token(self.clients.len());
        self.poll
            .registry()
            .register(&mut client.socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.clients.push(client);
        Ok(())
    }

    /// Reads what has come, once; naps when nothing has.
    pub(crate) fn turn(&mut self, author: &Author) -> Result<()> {
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        for event in &self.events {
            let client = &mut self.clients[event.token().0];
            if event.is_writable() {
                client.ask();
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                client.read(&mut self.buffer, &mut self.tally, author, now_ns);
            }
        }
        if self.events.is_empty() {
            nap(NAP);
        }
        Ok(())
    }

    /// Has every so-manieth client stop reading for good; gives how many.
    pub(crate) fn stall(&mut self, every: usize) -> Result<u64> {
        let mut stalled = 0;
        for client in self.clients.iter_mut().step_by(every) {
            SockRef::from(&client.socket).set_recv_buffer_size(1 << 12)?;
            self.poll.registry().deregister(&mut client.socket)?;
            stalled += 1;
        }
        Ok(stalled)
    }

    /// Connections that have ended.
    pub(crate) fn gone(&self) -> u64 {
        self.clients.iter().filter(|c| c.state == State::Gone).count() as u64
    }

    /// Connections that did not get everything before `end`.
    pub(crate) fn behind(&self, end: u64) -> u64 {
        self.clients.iter().filter(|c| !c.is_at(end)).count() as u64
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Closes all at once and leaves nothing behind: a port in TIME_WAIT would be missing later.
    pub(crate) fn close(&mut self) {
        for client in self.clients.drain(..) {
            // One that was reset already needs none.
            let _ = SockRef::from(&client.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.close();
    }
}
