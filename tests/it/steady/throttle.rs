//! A client's end of a connection of which it reads so much a second.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// Between two reads.
const PAUSE: Duration = Duration::from_millis(100);

/// What was read.
#[derive(Debug)]
pub(super) struct Taken {
    bytes: usize,
    last: Instant,
    /// The longest time without a byte.
    pause: Duration,
}

/// The connection.
pub(super) struct Throttle {
    stream: TcpStream,
    /// What is read at once.
    piece: Vec<u8>,
    next: Pin<Box<Sleep>>,
    taken: Arc<Mutex<Taken>>,
}

impl Throttle {
    pub(super) fn new(stream: std::net::TcpStream, bytes_per_s: usize) -> Self {
        stream.set_nonblocking(true).unwrap();
        Self {
            stream: TcpStream::from_std(stream).unwrap(),
            piece: vec![0; bytes_per_s / 10],
            next: Box::pin(sleep(PAUSE)),
            taken: Arc::new(Mutex::new(Taken {
                bytes: 0,
                last: Instant::now(),
                pause: Duration::ZERO,
            })),
        }
    }

    pub(super) fn taken(&self) -> Arc<Mutex<Taken>> {
        Arc::clone(&self.taken)
    }
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bytes, pause, .. } = self;
        write!(f, "{bytes} bytes; longest time without a byte {pause:.1?}")
    }
}

impl AsyncRead for Throttle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        ready!(this.next.as_mut().poll(context));
        let whole = this.piece.len();
        let most = whole.min(buffer.remaining());
        let mut piece = ReadBuf::new(&mut this.piece[..most]);
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut piece))?;
        buffer.put_slice(piece.filled());
        // A small read is followed by a small pause.
        let count = piece.filled().len();
        this.next.set(sleep(
            PAUSE * u32::try_from(count).unwrap() / u32::try_from(whole).unwrap(),
        ));
        let mut taken = this.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.bytes += count;
        taken.pause = taken.pause.max(taken.last.elapsed());
        taken.last = Instant::now();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Throttle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
