//! Runs the site on a socket until it is told to stop.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::clock::{self, Clock};
use crate::faults::Faults;
use crate::options::DemoOptions;
use crate::requests::Requests;
use crate::site::Site;
use crate::world::World;

/// Connections at the same time. When there are as many, the next one cuts the oldest: a client that holds connections
/// without asking takes neither them nor the descriptors from others.
const CONNECTIONS_MAX: usize = 256;
/// How long requests in flight may take after the stop before their connections are cut.
const GRACE: Duration = Duration::from_secs(2);
/// How long the cut connections get to notice.
const AFTER_CUT: Duration = Duration::from_millis(500);

/// Why the demo site ended.
#[derive(Debug, Error)]
pub enum Error {
    /// The options ask for a speed that the clock does not know.
    #[error("bad options: {0}")]
    Options(#[from] clock::Error),
    /// The server failed.
    #[error("the demo site's server failed: {0}")]
    Serve(#[from] io::Error),
}

/// Serves the four bookmakers on `listener` until `stop` is cancelled.
///
/// World time starts at the present wall time. After the stop no new connection is taken, requests that wait in a
/// latency fault are answered with 503 at once, other requests have two seconds to finish, and then the connections
/// that are left are cut. `options.listen` is not read: the caller has bound the socket.
///
/// # Cancel safety
/// When the returned future is dropped no new connection is taken; open connections are cut.
pub async fn run(options: DemoOptions, listener: TcpListener, stop: CancellationToken) -> Result<(), Error> {
    let clock = Clock::start(options.speed)?;
    let world = World::new(options.world_spec());
    let faults = Faults::default();
    let requests = Requests::default();
    let site = Arc::new(Site {
        world,
        clock,
        faults,
        requests,
        stop: stop.clone(),
    });
    tracing::info!(address = ?listener.local_addr().ok(), seed = options.seed, "the demo bookmakers listen");

    let cut = CancellationToken::new();
    let _cut_on_drop = cut.clone().drop_guard();
    let listener = CuttableListener {
        inner: listener,
        cut: cut.clone(),
        oldest_first: VecDeque::new(),
    };
    let server = axum::serve(listener, site.router()).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut server = std::pin::pin!(async move { server.await });

    tokio::select! {
        ended = &mut server => return Ok(ended?),
        () = stop.cancelled() => {}
    }
    if let Ok(ended) = tokio::time::timeout(GRACE, &mut server).await {
        return Ok(ended?);
    }
    tracing::warn!("requests were still in flight {GRACE:?} after the stop: their connections are cut");
    cut.cancel();
    match tokio::time::timeout(AFTER_CUT, &mut server).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Ok(()),
    }
}

/// A TCP listener with a bounded number of connections, which fail once `cut` is cancelled.
struct CuttableListener {
    inner: TcpListener,
    cut: CancellationToken,
    /// What cuts each connection that is open.
    oldest_first: VecDeque<Weak<CancellationToken>>,
}

impl CuttableListener {
    /// What cuts a further connection. One of too many is cut for it.
    fn add(&mut self) -> Arc<CancellationToken> {
        self.oldest_first.retain(|cut| cut.strong_count() > 0);
        if self.oldest_first.len() >= CONNECTIONS_MAX
            && let Some(oldest) = self.oldest_first.pop_front().and_then(|cut| cut.upgrade())
        {
            oldest.cancel();
        }
        let cut = Arc::new(self.cut.child_token());
        self.oldest_first.push_back(Arc::downgrade(&cut));
        cut
    }
}

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (inner, address) = Listener::accept(&mut self.inner).await;
        let cut = self.add();
        let stream = CuttableStream {
            inner,
            cut: Box::pin(cut.as_ref().clone().cancelled_owned()),
            _is_open: cut,
        };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

struct CuttableStream {
    inner: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _is_open: Arc<CancellationToken>,
}

impl CuttableStream {
    /// Fails once the connection is cut; until then the task is woken when that happens.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
