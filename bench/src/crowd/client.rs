//! One connection of the load generator.

use super::Tally;
use crate::{
    audience::{Share, Transport, Wanted},
    author::Author,
    wire::{self, Message, head, sse, sse::Chunks, ws},
};
use mio::net::TcpStream;
use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    ops::Range,
};

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// The handshake of TCP is not done.
    Connecting,
    /// It has asked.
    Asked,
    /// It was answered with a stream.
    Open,
    /// `connection_ack` has come.
    Granted,
    /// `caught_up` has come.
    Ready,
    /// Refused, closed or cut.
    Gone,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) socket: TcpStream,
    pub(super) state: State,
    transport: Transport,
    request: String,
    chunks: Chunks,
    /// Bytes that are no whole message yet.
    kept: Vec<u8>,
    share: Share,
    /// The number of the event that must come next.
    next: u64,
    pub(super) begun_ns: u64,
}

impl Client {
    pub(super) fn connect(address: SocketAddr, wanted: &Wanted, now_ns: u64) -> std::io::Result<Self> {
        Ok(Self {
            socket: TcpStream::connect(address)?,
            state: State::Connecting,
            transport: wanted.transport,
            request: wanted.request(),
            chunks: Chunks::Plain,
            kept: Vec::new(),
            share: wanted.share,
            next: wanted.first,
            begun_ns: now_ns,
        })
    }

    /// Sends the request once the connection is there.
    pub(super) fn ask(&mut self) {
        if self.state != State::Connecting {
            return;
        }
        // A few hundred bytes always fit into the buffer of a new socket.
        self.state = match self.socket.write(self.request.as_bytes()) {
            Ok(length) if length == self.request.len() => State::Asked,
            Err(error) if matches!(error.kind(), ErrorKind::NotConnected | ErrorKind::WouldBlock) => return,
            _ => State::Gone,
        };
        self.request = String::new();
    }

    /// Reads all that has come. `clock` is asked once for each piece.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        tally: &mut Tally,
        author: &Author,
        clock: impl Fn() -> u64,
    ) {
        while self.state != State::Gone {
            let kept = self.kept.len();
            buffer[..kept].copy_from_slice(&self.kept);
            match self.socket.read(&mut buffer[kept..]) {
                Ok(0) => self.state = State::Gone,
                Ok(length) => {
                    let filled = kept + length;
                    tally.reads += 1;
                    let left = self.take(&mut buffer[..filled], kept, tally, author, clock());
                    self.kept.clear();
                    self.kept.extend_from_slice(&buffer[left]);
                    if self.kept.is_empty() && self.kept.capacity() > 1 << 12 {
                        self.kept = Vec::new();
                    }
                    // An edge-triggered socket that gave less than there was room for is empty.
                    if filled < buffer.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.state = State::Gone,
            }
        }
    }

    /// Takes what has come since `fresh`; gives where the bytes are that are no whole message yet.
    fn take(
        &mut self,
        buffer: &mut [u8],
        fresh: usize,
        tally: &mut Tally,
        author: &Author,
        now_ns: u64,
    ) -> Range<usize> {
        let (mut begin, mut fresh) = (0, fresh);
        if self.state <= State::Asked {
            let Some(head) = head::read(buffer) else {
                return 0..buffer.len();
            };
            if !matches!(head.status, 101 | 200) {
                tally.refused += 1;
                self.state = State::Gone;
                return 0..0;
            }
            tally.deflated += u64::from(head.deflate);
            if head.chunked {
                self.chunks = Chunks::Size(0);
            }
            self.state = State::Open;
            (begin, fresh) = (head.length, head.length);
        }
        match self.transport {
            Transport::Ws => self.take_frames(buffer, begin, tally, author, now_ns),
            Transport::Sse => {
                tally.bytes += (buffer.len() - fresh) as u64;
                let end = fresh + self.chunks.unwrap(&mut buffer[fresh..]);
                while let Some((length, data)) = sse::event(&buffer[begin..end]) {
                    if let Some(data) = data {
                        let text = &buffer[begin + data.start..begin + data.end];
                        self.hear(wire::message(text), tally, author, now_ns);
                    }
                    begin += length;
                }
                begin..end
            }
        }
    }

    fn take_frames(
        &mut self,
        buffer: &[u8],
        mut begin: usize,
        tally: &mut Tally,
        author: &Author,
        now_ns: u64,
    ) -> Range<usize> {
        while let Some(frame) = ws::frame(&buffer[begin..]) {
            let payload = &buffer[begin..][frame.payload.clone()];
            match frame.opcode {
                ws::TEXT if frame.compressed => self.hear_compressed(tally, now_ns),
                ws::TEXT => {
                    self.hear(wire::message(payload), tally, author, now_ns);
                    tally.remember(payload);
                }
                ws::CLOSE => self.state = State::Gone,
                ws::PING => {
                    // A client that is this far behind with its pongs is closed, which is counted.
                    let _ = self.socket.write(&ws::pong(payload));
                }
                _ => tally.other += 1,
            }
            tally.bytes += frame.payload.end as u64;
            begin += frame.payload.end;
        }
        begin..buffer.len()
    }

    fn hear(&mut self, message: Message, tally: &mut Tally, author: &Author, now_ns: u64) {
        match message {
            Message::Event(number) => {
                tally.delivered += 1;
                if number >= self.next {
                    if number > self.next {
                        tally.missed += self.share.count(self.next, number);
                    }
                    self.next = self.share.first_from(number + 1);
                } else {
                    tally.doubled += 1;
                }
                if let Some(sent_ns) = author.sent_ns(number) {
                    tally.latency.add(now_ns.saturating_sub(sent_ns) / 1_000);
                }
            }
            Message::Granted { conflate_ms } => {
                tally.conflate_ms = tally.conflate_ms.max(conflate_ms);
                self.granted(tally, now_ns);
            }
            Message::CaughtUp => self.caught_up(tally, now_ns),
            Message::Other => tally.other += 1,
        }
    }

    /// A compressed message has no readable number: it is counted, in the order in which messages come.
    fn hear_compressed(&mut self, tally: &mut Tally, now_ns: u64) {
        match self.state {
            State::Open => self.granted(tally, now_ns),
            State::Granted => self.caught_up(tally, now_ns),
            _ => tally.delivered += 1,
        }
    }

    fn granted(&mut self, tally: &mut Tally, now_ns: u64) {
        if self.state < State::Granted {
            self.state = State::Granted;
            tally.granted += 1;
            tally.granting.add(now_ns.saturating_sub(self.begun_ns) / 1_000);
        }
    }

    fn caught_up(&mut self, tally: &mut Tally, now_ns: u64) {
        if self.state < State::Ready {
            self.state = State::Ready;
            tally.ready += 1;
            tally.readying.add(now_ns.saturating_sub(self.begun_ns) / 1_000);
        }
    }

    /// Whether it got everything of its share before `end`.
    pub(crate) fn is_at(&self, end: u64) -> bool {
        self.next >= self.share.first_from(end)
    }
}
