//! A client's own socket, once the handshake is over: WebSocket, or an event stream that is the first answer of its
//! connection.

use crate::{
    front::{Bucket, Front, Refused, Visitor},
    metrics::{Transport as Label, TransportLabel},
    pace::Pace,
    progress::Progress,
    session::{End, Gone, Input, Outgoing, Transport},
    trial::Trial,
    wire::Form,
};
use bytes::{Buf, Bytes};
use oddswire_protocol::close::CloseCode;
use oddswire_websocket::{Incoming, Reader, Violation, frame};
use socket2::SockRef;
use std::{
    io::{Error, ErrorKind, Write},
    os::fd::AsFd,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::coop::consume_budget,
    time::{Instant, sleep, sleep_until, timeout},
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
    _visitor: Option<Visitor>,
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
            _visitor: visitor,
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
/// A pong is left out while more than this waits: a client that pings and does not read gets no memory for it.
const PONG_BACKLOG_BYTES: usize = 4 * 1024;
/// A buffer larger than this is given back as soon as it is empty.
const KEPT_BYTES: usize = 1024;
/// How long a closing handshake may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
const READ_BYTES: usize = 4 * 1024;
/// What the kernel may hold for a client that has stalled, so that the rest of a message and the close frame fit in
/// behind what it holds already.
const LAST_WORDS_BYTES: usize = 512 * 1024;
/// How long the kernel keeps them when we have let go.
const LAST_WORDS_KEPT: Duration = Duration::from_secs(60);
/// How often a client is looked at that takes no bytes, as a part of its patience.
const LOOKS: u32 = 4;
/// What is dropped at once of what a client still sends after the end, and the pause after it: 3 MB/s.
const LINGER_BYTES: usize = 32 * 1024;
const LINGER_PAUSE: Duration = Duration::from_millis(10);

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

    /// Takes in what was read of the client, up to the first thing that a session must look at; the rest waits as it
    /// came. Pings are answered at once.
    pub fn take_in(&mut self, bytes: &[u8]) {
        self.heard_at = Instant::now();
        self.asked = false;
        self.pace.spend(bytes.len());
        if self.received.is_empty() && self.inbox.is_none() {
            let taken = self.take_apart(bytes);
            self.received = Bytes::copy_from_slice(&bytes[taken..]);
        } else {
            self.received = [&self.received, bytes].concat().into();
        }
    }

    /// Takes bytes of the client apart, to the end or to something for its session; tells how many.
    fn take_apart(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && self.inbox.is_none() {
            let Some(reader) = self.reader.as_mut() else {
                return bytes.len();
            };
            match reader.read(&bytes[at..]) {
                Ok((taken, incoming)) => {
                    at += taken;
                    if let Some(incoming) = incoming {
                        self.inbox = self.answer(incoming);
                    }
                }
                Err(violation) => self.inbox = Some(Input::Violation(code_of(violation))),
            }
            if self.is_over() {
                // Nothing counts behind that.
                return bytes.len();
            }
        }
        at
    }

    fn is_over(&self) -> bool {
        matches!(self.inbox, Some(Input::Gone | Input::Violation(_)))
    }

    /// Answers what needs no session; gives what does.
    fn answer(&mut self, incoming: Incoming) -> Option<Input> {
        if matches!(incoming, Incoming::Ping(_) | Incoming::Pong(_)) && !self.may_ping() {
            self.seat.front.count(Refused::Pings);
            return Some(Input::Violation(CloseCode::Policy));
        }
        match incoming {
            Incoming::Pong(_) => None,
            Incoming::Text(text) => {
                self.spend_inflated(text.len());
                Some(Input::Text(text))
            }
            // The contract's messages are text: a binary one is answered like any text that is no JSON.
            Incoming::Binary(bytes) => {
                self.spend_inflated(bytes.len());
                Some(Input::Text(String::new()))
            }
            Incoming::Ping(payload) => {
                if self.out.len() - self.written <= PONG_BACKLOG_BYTES {
                    self.out.extend_from_slice(&frame::pong(&payload));
                }
                None
            }
            Incoming::Close(said) => {
                let answer = said.map_or_else(frame::empty_close, |said| frame::close(said.code, ""));
                self.out.extend_from_slice(&answer);
                self.goodbye = true;
                Some(Input::Gone)
            }
        }
    }

    /// A message that may have been deflated costs what it became as well.
    fn spend_inflated(&mut self, bytes: usize) {
        if self.form == Form::WsDeflated {
            self.pace.spend(bytes);
        }
    }

    /// Whether the client has not sent more control frames than it may. Each is as much work as a message.
    fn may_ping(&mut self) -> bool {
        let per_s = f64::from(self.seat.front.pings_per_s());
        self.pings.take(per_s, per_s * 2.0)
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
            if !self.progress.is_slow(self.patience) {
                return false;
            }
            // The ping waits behind what it is still taking.
            self.heard_at = Instant::now();
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

    async fn read_some(&mut self) -> std::io::Result<usize> {
        self.readable().await?;
        self.try_read()
    }

    async fn readable(&self) -> std::io::Result<()> {
        let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
        stream.readable().await
    }

    fn try_read(&mut self) -> std::io::Result<usize> {
        let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
        let mut bytes = [0; READ_BYTES];
        let count = stream.try_read(&mut bytes)?;
        self.take_in(&bytes[..count]);
        Ok(count)
    }

    /// Has the kernel take the last words to a client that has stalled, though it has all it may hold, and keep them for a
    /// while: if the client wakes up it reads why, and if it does not all is given back.
    fn press_last_words(&mut self) -> std::io::Result<()> {
        if !self.progress.is_stalled(self.patience) {
            return Ok(());
        }
        let Some(stream) = self.stream.take() else {
            return Ok(());
        };
        let socket = SockRef::from(&stream);
        socket.set_tcp_user_timeout(Some(LAST_WORDS_KEPT))?;
        socket.set_send_buffer_size(LAST_WORDS_BYTES)?;
        // By the socket itself: the runtime does not know that there is room again.
        self.write_to(&mut &*socket)?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Counts what waits. Called where bytes are left over, and where none are any more.
    fn count_waiting(&mut self) {
        let unsent = self.unsent();
        if unsent != self.counted {
            let (now, before) = (as_count(unsent), as_count(self.counted));
            self.seat.front.waiting().inc_by(now - before);
            self.counted = unsent;
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
        if let Err(error) = self.press_last_words() {
            tracing::debug!(%error, "a client that took nothing is not told why it is closed");
            return;
        }
        // The client may be gone, or may not answer: then the socket is closed without.
        let _ = timeout(CLOSE_WITHIN, async {
            self.write_all().await?;
            if let Some(stream) = self.stream.as_mut() {
                stream.shutdown().await?;
            }
            let waits = self.reader.is_some() && !self.goodbye;
            match &self.stream {
                Some(_) if waits && self.seat.trial.no_turns => {
                    while !matches!(self.next().await, Input::Gone) {}
                }
                Some(stream) if waits => linger(stream).await?,
                _ => {}
            }
            Ok::<_, Error>(())
        })
        .await;
    }
}

/// Drops what a client still sends after the last words to it, until it hangs up. The kernel would cut it off otherwise
/// before it has read them. Nothing is taken apart, and a flood is dropped at a pace: the caller sets a time for it.
pub(crate) async fn linger(stream: &TcpStream) -> std::io::Result<()> {
    loop {
        stream.readable().await?;
        match drop_some(stream) {
            Ok(0) => return Ok(()),
            Ok(LINGER_BYTES) => sleep(LINGER_PAUSE).await,
            Ok(_) => consume_budget().await,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn drop_some(stream: &TcpStream) -> std::io::Result<usize> {
    stream.try_read(&mut [0; LINGER_BYTES])
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.seat.front.waiting().dec_by(as_count(self.counted));
    }
}

fn as_count(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
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
            if self.received.is_empty() {
                if let Some(at) = self.pace.next_read_at() {
                    sleep_until(at).await;
                }
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
