//! A client's own socket, once the handshake is over: WebSocket, or an event stream that is the first answer of its
//! connection.

use crate::{
    front::{Bucket, Front, Refused, Visitor},
    metrics::{Transport as Label, TransportLabel},
    session::{End, Gone, Input, Outgoing, Transport},
    wire::Form,
};
use bytes::{Buf, Bytes};
use oddswire_protocol::close::CloseCode;
use oddswire_websocket::{Incoming, Reader, Violation, frame};
use std::{
    collections::VecDeque,
    io::{Error, ErrorKind, Write},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A socket with what is on its way in and out. While it is parked the stream itself is elsewhere.
#[derive(Debug)]
pub struct Socket {
    stream: Option<TcpStream>,
    form: Form,
    /// None for event streams, whose clients have nothing to say.
    reader: Option<Reader>,
    inbox: VecDeque<Input>,
    /// What goes out first: the rest of bytes that are shared with others.
    front: Bytes,
    out: Vec<u8>,
    written: usize,
    /// When the client was last heard, and whether it was asked since.
    heard_at: Instant,
    asked: bool,
    /// How long it may say nothing when it is asked.
    patience: Duration,
    /// Whether the close frame of the client is answered already.
    goodbye: bool,
    pings: Bucket,
    seat: Seat,
}

/// What a session takes while it is open.
#[derive(Debug)]
pub struct Seat {
    /// Counts as an open session.
    _token: TaskTrackerToken,
    /// Counts as a connection.
    _visitor: Visitor,
    front: Arc<Front>,
}

impl Seat {
    pub(crate) fn new(token: TaskTrackerToken, visitor: Visitor, front: Arc<Front>) -> Self {
        Self {
            _token: token,
            _visitor: visitor,
            front,
        }
    }
}

/// Bytes after which what is queued is handed to the kernel without waiting for more.
const CHUNK_BYTES: usize = 64 * 1024;
/// A pong is left out while more than this waits: a client that pings and does not read gets no memory for it.
const PONG_BACKLOG_BYTES: usize = 4 * 1024;
/// A buffer larger than this is given back as soon as it is empty.
const KEPT_BYTES: usize = 1024;
/// How long a closing handshake may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
const READ_BYTES: usize = 4 * 1024;

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
            inbox: VecDeque::new(),
            front: Bytes::new(),
            out: Vec::new(),
            written: 0,
            heard_at: Instant::now(),
            asked: false,
            patience,
            goodbye: false,
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
        let transport = match self.form {
            Form::Sse => Label::Sse,
            Form::Ws | Form::WsDeflated => Label::Ws,
        };
        TransportLabel { transport }
    }

    /// Takes bytes of the client apart. What it said waits in the inbox; pings are answered at once.
    pub fn take_in(&mut self, mut bytes: &[u8]) {
        self.heard_at = Instant::now();
        self.asked = false;
        while !bytes.is_empty() {
            let Some(reader) = self.reader.as_mut() else {
                return;
            };
            let incoming = match reader.read(bytes) {
                Ok((taken, incoming)) => {
                    bytes = &bytes[taken..];
                    incoming
                }
                Err(violation) => {
                    self.inbox.push_back(Input::Violation(code_of(violation)));
                    return;
                }
            };
            if matches!(incoming, Some(Incoming::Ping(_) | Incoming::Pong(_))) && !self.may_ping() {
                self.seat.front.count(Refused::Pings);
                self.inbox.push_back(Input::Violation(CloseCode::Policy));
                return;
            }
            match incoming {
                None | Some(Incoming::Pong(_)) => {}
                Some(Incoming::Text(text)) => self.inbox.push_back(Input::Text(text)),
                // The contract's messages are text: a binary one is answered like any text that is no JSON.
                Some(Incoming::Binary(_)) => self.inbox.push_back(Input::Text(String::new())),
                Some(Incoming::Ping(payload)) => {
                    if self.out.len() - self.written <= PONG_BACKLOG_BYTES {
                        self.out.extend_from_slice(&frame::pong(&payload));
                    }
                }
                Some(Incoming::Close(said)) => {
                    let answer = said.map_or_else(frame::empty_close, |said| frame::close(said.code, ""));
                    self.out.extend_from_slice(&answer);
                    self.goodbye = true;
                    self.inbox.push_back(Input::Gone);
                    return;
                }
            }
        }
    }

    /// Whether the client has not sent more control frames than it may. Each is as much work as a message.
    fn may_ping(&mut self) -> bool {
        let per_s = f64::from(self.seat.front.pings_per_s());
        self.pings.take(per_s, per_s * 2.0)
    }

    /// Whether the client said something that a session must look at.
    pub fn has_input(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// How many bytes the kernel has not taken yet.
    pub fn unsent(&self) -> usize {
        self.front.len() + self.out.len() - self.written
    }

    /// Has the rest of shared bytes go out before everything else. Nothing else may be under way.
    pub fn continue_with(&mut self, rest: Bytes) {
        debug_assert_eq!(self.unsent(), 0, "in the middle of a message");
        self.front = rest;
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
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.forget_sent();
        Ok(true)
    }

    /// Queues a ping; tells whether the client is alive as far as one can know. An event stream is as alive as its
    /// connection, which the kernel looks after.
    pub fn queue_ping(&mut self) -> bool {
        if self.reader.is_none() {
            return true;
        }
        if self.asked && self.heard_at.elapsed() > self.patience {
            return false;
        }
        self.asked = true;
        self.out.extend_from_slice(&frame::ping(b""));
        true
    }

    /// Gives the stream away, to be written to by somebody else until [`Socket::unpark`].
    ///
    /// # Errors
    /// When the runtime cannot let go of it.
    pub fn park(&mut self) -> std::io::Result<std::net::TcpStream> {
        let stream = self.stream.take().ok_or(ErrorKind::NotConnected)?;
        // A parked client owns no memory but what is on its way.
        self.inbox = VecDeque::new();
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

    fn read_some(&mut self) -> std::io::Result<usize> {
        let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
        let mut bytes = [0; READ_BYTES];
        let count = stream.try_read(&mut bytes)?;
        self.take_in(&bytes[..count]);
        Ok(count)
    }

    fn forget_sent(&mut self) {
        self.out.clear();
        self.written = 0;
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
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
                Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Says goodbye, as far as the client still listens, and waits shortly for its answer.
    pub async fn close(mut self, end: End) {
        let code = match end {
            End::Gone if !self.goodbye => return,
            End::Gone | End::Finished | End::Park => CloseCode::Normal,
            End::Close(code) => code,
        };
        if self.reader.is_some() && !self.goodbye {
            self.queue(&frame::close(code.code(), code.reason()));
        }
        // The client may be gone, or may not answer: then the socket is closed without.
        let _ = timeout(CLOSE_WITHIN, async {
            self.write_all().await?;
            if let Some(stream) = self.stream.as_mut() {
                stream.shutdown().await?;
            }
            if self.reader.is_some() && !self.goodbye {
                while !matches!(self.next().await, Input::Gone) {}
            }
            Ok::<_, Error>(())
        })
        .await;
    }
}

fn code_of(violation: Violation) -> CloseCode {
    match violation.code() {
        1007 => CloseCode::InvalidText,
        1009 => CloseCode::TooBig,
        _ => CloseCode::Protocol,
    }
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
        self.write_all().await.map_err(|_| Gone)
    }

    async fn next(&mut self) -> Input {
        loop {
            if let Some(input) = self.inbox.pop_front() {
                return input;
            }
            let Some(stream) = self.stream.as_ref() else {
                return Input::Gone;
            };
            if stream.readable().await.is_err() {
                return Input::Gone;
            }
            match self.read_some() {
                Ok(0) => return Input::Gone,
                // A pong must not wait for the next message.
                Ok(_) if !self.has_input() && self.flush().await.is_err() => return Input::Gone,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Input::Gone,
            }
        }
    }

    fn ping(&mut self) -> bool {
        self.queue_ping()
    }

    fn can_park(&self) -> bool {
        self.inbox.is_empty() && self.unsent() == 0 && self.stream.is_some()
    }
}
