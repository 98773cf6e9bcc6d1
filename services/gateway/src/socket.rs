//! A client's own socket, once the handshake is over: WebSocket, or an event stream that is the first answer of its
//! connection.

mod closing;
mod hearing;

pub(crate) use closing::linger;

use crate::{
    front::{Bucket, Front, Visitor},
    metrics::{Transport as Label, TransportLabel},
    pace::Pace,
    progress::Progress,
    session::{Gone, Input, Outgoing, Transport},
    trial::Trial,
    wire::Form,
};
use bytes::{Buf, Bytes};
use oddswire_protocol::close::CloseCode;
use oddswire_websocket::{Reader, frame};
use std::{
    io::{Error, ErrorKind, Write},
    os::fd::AsFd,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    task::coop::consume_budget,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A socket with what is on its way in and out. While it is parked the stream itself is elsewhere.
#[derive(Debug)]
pub struct Socket {
    stream: Option<TcpStream>,
    form: Form,
    /// None for event streams, whose clients have nothing to say.
    reader: Option<Reader>,
    /// What the client said and nobody has looked at.
    inbox: Option<Input>,
    /// What was read behind that and is not taken apart yet: the rest of one read.
    received: Bytes,
    /// How fast it is read.
    pace: Pace,
    /// What goes out first: the rest of bytes that are shared with others.
    front: Bytes,
    out: Vec<u8>,
    written: usize,
    /// When the client was last heard, and whether it was asked since.
    heard_at: Instant,
    asked: bool,
    /// How long it may say nothing when it is asked, and take nothing when there is something to take.
    patience: Duration,
    progress: Progress,
    /// Whether the close frame of the client is answered already.
    goodbye: bool,
    /// What of it is counted among the bytes that wait for all clients.
    counted: usize,
    pings: Bucket,
    seat: Seat,
}

/// What a session takes while it is open.
#[derive(Debug)]
pub struct Seat {
    /// Counts as an open session.
    _token: TaskTrackerToken,
    /// Counts as a connection; nobody, for the gateway's own client.
    visitor: Option<Visitor>,
    front: Arc<Front>,
    trial: Trial,
}

impl Seat {
    pub(crate) fn new(
        token: TaskTrackerToken,
        visitor: Option<Visitor>,
        front: Arc<Front>,
        trial: Trial,
    ) -> Self {
        Self {
            _token: token,
            visitor,
            front,
            trial,
        }
    }

    fn pace(&self) -> Pace {
        Pace::new(if self.trial.no_turns {
            0
        } else {
            self.front.read_bytes_per_s()
        })
    }
}

/// Bytes after which what is queued is handed to the kernel without waiting for more.
const CHUNK_BYTES: usize = 64 * 1024;
/// A buffer larger than this is given back as soon as it is empty.
const KEPT_BYTES: usize = 1024;
/// How often a client is looked at that takes no bytes, as a part of its patience.
const LOOKS: u32 = 4;

impl Socket {
    /// A socket behind its handshake. A WebSocket comes with the reader of its client's frames, and with what the
    /// client sent on the heels of its handshake.
    pub fn new(
        stream: TcpStream,
        form: Form,
        reader: Option<Reader>,
        early: &[u8],
        patience: Duration,
        seat: Seat,
    ) -> Self {
        let mut socket = Self {
            stream: Some(stream),
            form,
            reader,
            inbox: None,
            received: Bytes::new(),
            pace: seat.pace(),
            front: Bytes::new(),
            out: Vec::new(),
            written: 0,
            heard_at: Instant::now(),
            asked: false,
            patience,
            progress: Progress::default(),
            goodbye: false,
            counted: 0,
            pings: Bucket::new(f64::from(seat.front.pings_per_s()) * 2.0),
            seat,
        };
        socket.take_in(early);
        socket
    }

    /// The form of its messages.
    pub fn form(&self) -> Form {
        self.form
    }

    /// What it counts as.
    pub fn label(&self) -> TransportLabel {
        TransportLabel {
            transport: self.kind(),
        }
    }

    /// Whether the client said something that a session must look at.
    pub fn has_input(&self) -> bool {
        self.inbox.is_some()
    }

    /// Whether so much came of it that it must wait before more is read.
    pub fn must_wait(&self) -> bool {
        self.pace.next_read_at().is_some()
    }

    /// Looks, at the client's socket, whether it takes what it is sent; tells whether it did within its patience.
    pub fn look_at(&mut self, stream: &impl AsFd) -> bool {
        let unsent = self.unsent() > 0;
        self.progress.look(stream, unsent);
        !self.progress.is_stalled(self.patience)
    }

    fn look(&mut self) -> bool {
        match self.stream.take() {
            Some(stream) => {
                let takes = self.look_at(&stream);
                self.stream = Some(stream);
                takes
            }
            None => !self.progress.is_stalled(self.patience),
        }
    }

    /// How many bytes the kernel has not taken yet.
    pub fn unsent(&self) -> usize {
        self.front.len() + self.out.len() - self.written
    }

    /// Has the rest of shared bytes go out before everything else. Nothing else may be under way.
    pub fn continue_with(&mut self, rest: Bytes) {
        debug_assert_eq!(self.unsent(), 0, "in the middle of a message");
        self.front = rest;
        self.count_waiting();
    }

    /// What goes out next.
    fn next_bytes(&self) -> &[u8] {
        if self.front.is_empty() {
            &self.out[self.written..]
        } else {
            &self.front
        }
    }

    fn sent(&mut self, count: usize) {
        if self.front.is_empty() {
            self.written += count;
        } else {
            self.front.advance(count);
            if self.front.is_empty() {
                self.front = Bytes::new();
            }
        }
    }

    /// Queues bytes as they are.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes what is queued as far as `stream` takes it; tells whether all of it went out.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn write_to(&mut self, stream: &mut impl Write) -> std::io::Result<bool> {
        while self.unsent() > 0 {
            match stream.write(self.next_bytes()) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.count_waiting();
                    return Ok(false);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.forget_sent();
        Ok(true)
    }

    /// Queues a ping; tells whether the client is alive as far as one can know: it takes bytes, and answers pings where
    /// it has any. Where it is parked, somebody has [looked](Self::look_at) before.
    pub fn queue_ping(&mut self) -> bool {
        if !self.look() {
            return false;
        }
        if self.reader.is_none() {
            return true;
        }
        if self.asked && self.heard_at.elapsed() > self.patience {
            if !self.is_slow() {
                return false;
            }
            // The ping waits behind what it is still taking.
            self.heard_at = Instant::now();
        }
        self.asked = true;
        self.out.extend_from_slice(&frame::ping(b""));
        true
    }

    /// Whether the client takes bytes, but not all that was written to it: as its socket tells, or whoever holds it.
    fn is_slow(&self) -> bool {
        let visitor = self.seat.visitor.as_ref();
        self.progress.is_slow(self.patience)
            || visitor.is_some_and(|visitor| visitor.is_slow_at_relay(self.patience))
    }

    /// Gives the stream away, to be written to by somebody else until [`Socket::unpark`].
    ///
    /// # Errors
    /// When the runtime cannot let go of it.
    pub fn park(&mut self) -> std::io::Result<std::net::TcpStream> {
        let stream = self.stream.take().ok_or(ErrorKind::NotConnected)?;
        // A parked client owns no memory but what is on its way.
        self.received = Bytes::new();
        self.out = self.out.split_off(self.written);
        self.written = 0;
        stream.into_std()
    }

    /// Takes the stream back; within a runtime.
    ///
    /// # Errors
    /// When the runtime cannot take it.
    pub fn unpark(&mut self, stream: std::net::TcpStream) -> std::io::Result<()> {
        self.stream = Some(TcpStream::from_std(stream)?);
        Ok(())
    }

    /// Counts what waits, for the client or of it. Called where bytes are left over, and where none are any more.
    fn count_waiting(&mut self) {
        let heard = self.received.len() + self.reader.as_ref().map_or(0, Reader::held_bytes);
        let waiting = self.unsent() + heard;
        if waiting != self.counted {
            let (now, before) = (as_count(waiting), as_count(self.counted));
            self.seat.front.waiting().inc_by(now - before);
            self.counted = waiting;
        }
    }

    fn forget_sent(&mut self) {
        self.out.clear();
        self.written = 0;
        self.count_waiting();
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
        }
    }

    async fn writable(&self) -> std::io::Result<()> {
        let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
        stream.writable().await
    }

    /// Waits until the socket takes bytes, or has taken none for too long.
    async fn wait_writable(&mut self) -> std::io::Result<()> {
        loop {
            if !self.look() {
                return Err(ErrorKind::TimedOut.into());
            }
            if let Ok(result) = timeout(self.patience / LOOKS, self.writable()).await {
                return result;
            }
        }
    }

    async fn write_all(&mut self) -> std::io::Result<()> {
        loop {
            let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
            if self.unsent() == 0 {
                self.forget_sent();
                return Ok(());
            }
            match stream.try_write(self.next_bytes()) {
                Ok(0) => return Err(Error::from(ErrorKind::WriteZero)),
                Ok(count) => self.sent(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.count_waiting();
                    self.wait_writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.seat.front.waiting().dec_by(as_count(self.counted));
    }
}

fn as_count(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Transport for Socket {
    async fn send(&mut self, message: &Outgoing<'_>) -> Result<(), Gone> {
        // What is written for one client alone is not worth compressing.
        let form = match self.form {
            Form::WsDeflated => Form::Ws,
            form => form,
        };
        form.put(&mut self.out, message.envelope, message.cursor.as_ref());
        if self.out.len() >= CHUNK_BYTES {
            self.flush().await
        } else {
            Ok(())
        }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        self.write_all().await.map_err(|error| match error.kind() {
            ErrorKind::TimedOut => Gone::Stalled,
            _ => Gone::Left,
        })
    }

    async fn next(&mut self) -> Input {
        loop {
            // A client that always has something to say takes turns with the others of its thread.
            if !self.seat.trial.no_turns {
                consume_budget().await;
            }
            if let Some(input) = self.inbox.take() {
                return input;
            }
            if let Some(at) = self.pace.next_read_at() {
                sleep_until(at).await;
            }
            if self.received.is_empty() {
                match self.read_some().await {
                    Ok(0) => return Input::Gone,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    Err(_) => return Input::Gone,
                }
            } else {
                let received = std::mem::take(&mut self.received);
                let taken = self.take_apart(&received);
                self.received = received.slice(taken..);
            }
            // A pong must not wait for the next message.
            if !self.has_input() {
                match self.flush().await {
                    Ok(()) => {}
                    Err(Gone::Left) => return Input::Gone,
                    Err(Gone::Stalled) => return Input::Violation(CloseCode::PeerTimeout),
                }
            }
        }
    }

    fn ping(&mut self) -> bool {
        self.queue_ping()
    }

    fn kind(&self) -> Label {
        match self.form {
            Form::Sse => Label::Sse,
            Form::Ws | Form::WsDeflated => Label::Ws,
        }
    }

    fn can_park(&self) -> bool {
        let nothing_came = self.inbox.is_none() && self.received.is_empty() && self.pace.is_at_rest();
        nothing_came && self.unsent() == 0 && self.stream.is_some()
    }
}
