//! A client's TCP socket, as hyper and TLS see it: read at a pace, and given up only when it takes nothing.

use crate::{pace::Pace, progress::SharedProgress};
use hyper::{Response, StatusCode};
use std::{
    io::{ErrorKind, IoSlice},
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// How often a client is looked at that takes no bytes, as a part of its patience.
const LOOKS: u32 = 4;
/// What a request costs that was refused since there were too many. A client that asks on and on, without waiting for
/// answers, gets some of them a second, and then is not read any more until it is time for the next.
const REFUSED_BYTES: usize = 4 * 1024;

/// How fast a connection is read; shared with whoever answers it.
#[derive(Debug, Clone)]
pub(super) struct SharedPace(Arc<Mutex<Pace>>);

impl SharedPace {
    pub(super) fn new(bytes_per_s: u32) -> Self {
        Self(Arc::new(Mutex::new(Pace::new(bytes_per_s))))
    }

    fn lock(&self) -> MutexGuard<'_, Pace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer.
    pub(super) fn answered<B>(&self, response: &Response<B>) {
        let refused = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        if refused.contains(&response.status()) {
            self.lock().spend(REFUSED_BYTES);
        }
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
    pace: SharedPace,
    /// Until more is read.
    pause: Option<Pin<Box<Sleep>>>,
    patience: Duration,
    progress: SharedProgress,
    looked_at: Instant,
    /// Until it is looked at again, while it does not take what is written.
    look: Option<Pin<Box<Sleep>>>,
}

impl Peer {
    pub(super) fn new(stream: TcpStream, pace: SharedPace, patience: Duration) -> Self {
        Self {
            stream,
            pace,
            pause: None,
            patience,
            progress: SharedProgress::default(),
            looked_at: Instant::now(),
            look: None,
        }
    }

    /// What the client takes, as far as this looks: when something is written, and from time to time while it waits.
    pub(super) fn progress(&self) -> SharedProgress {
        self.progress.clone()
    }

    /// The socket itself.
    pub(super) fn into_inner(self) -> TcpStream {
        self.stream
    }

    /// The socket again, to look at while hyper has this one.
    pub(super) fn second(&self) -> std::io::Result<OwnedFd> {
        self.stream.as_fd().try_clone_to_owned()
    }

    /// Ready when the client may be read.
    fn poll_pace(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            let Some(at) = self.pace.lock().next_read_at() else {
                return Poll::Ready(());
            };
            self.pause = Some(Box::pin(sleep_until(at)));
        }
    }

    /// Looks whether the client has stalled; `unsent` says whether its socket takes nothing now.
    fn is_stalled(&mut self, unsent: bool) -> bool {
        self.looked_at = Instant::now();
        let mut progress = self.progress.lock();
        progress.look(&self.stream, unsent);
        progress.is_stalled(self.patience)
    }

    /// Writes, and looks at the client from time to time: while its socket takes nothing, and while nothing comes back.
    fn poll_write_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<std::io::Result<usize>>,
    ) -> Poll<std::io::Result<usize>> {
        let look_every = self.patience / LOOKS;
        if self.looked_at.elapsed() >= look_every && self.is_stalled(false) {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        let wrote = write(Pin::new(&mut self.stream), context);
        if wrote.is_ready() {
            self.look = None;
            return wrote;
        }
        loop {
            let at = Instant::now();
            let look = self.look.get_or_insert_with(|| Box::pin(sleep_until(at)));
            ready!(look.as_mut().poll(context));
            look.as_mut().reset(at + look_every);
            if self.is_stalled(true) {
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
        }
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        ready!(self.poll_pace(context));
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.pace.lock().spend(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.poll_write_with(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        self.poll_write_with(context, |stream, context| {
            stream.poll_write_vectored(context, pieces)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
