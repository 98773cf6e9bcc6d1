//! Connections: each is let in, looked at once, and goes the way that suits its first request.
//!
//! An event stream that is the first request of its connection has its socket to itself from then on. Everything else
//! is HTTP as hyper speaks it; a WebSocket gets its socket after the handshake. A client with TLS is relayed, and looks
//! like any other; one that speaks HTTP/2 is hyper's all the time.

use super::{
    Gateway, guard,
    peer::{Peer, SharedPace},
    pieces::in_pieces,
    raw,
};
use crate::{
    front::{Refused, Tls, Visitor, pair, relay},
    progress::Progress,
};
use axum::{Router, body::Body, http::HeaderMap};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socket2::SockRef;
use std::{convert::Infallible, net::SocketAddr, os::fd::OwnedFd, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::server::TlsStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the kernel may hold for one client. Left to itself it takes up to several MiB for one that reads slowly.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// The head of a request, and what is read of a body at once.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request.
pub(super) const HEADERS_MAX: usize = 100;
/// Clients that are being told at once why there is no room. Further ones are closed without a word.
const REFUSING_MAX: usize = 64;

/// HTTP/2: what one stream, and one connection, may send before it is read. No body is longer than 64 KiB.
const H2_STREAM_WINDOW: u32 = 64 * 1024;
const H2_CONNECTION_WINDOW: u32 = 256 * 1024;
/// What waits at most for a stream whose client does not read.
const H2_SEND_BYTES: usize = 64 * 1024;
/// Streams that a client opened and reset before anybody looked at them (CVE-2023-44487).
const H2_RESETS_MAX: usize = 20;
/// Streams that we reset since the client broke a rule there (CVE-2025-8671).
const H2_ERRORS_MAX: usize = 64;
/// How long a client may take to hang up that was told to, and has taken everything.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);

type Hyper = TowerToHyperService<Router>;

tokio::task_local! {
    /// Resets the stream of HTTP/2 that the present task serves.
    static RESET: CancellationToken;
}

/// Takes connections until `stop`, and waits until their requests are answered.
pub(super) async fn accept(
    listener: TcpListener,
    gateway: Gateway,
    router: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let connections = TaskTracker::new();
    let refusing = Arc::new(Semaphore::new(REFUSING_MAX));
    let door = Door {
        gateway,
        service: TowerToHyperService::new(router),
        stop: stop.clone(),
        connections: connections.clone(),
    };
    loop {
        tokio::select! {
            (stream, peer) = oddswire_kit::accept::accept(&listener) => door.take_in(stream, peer, &refusing),
            () = stop.cancelled() => break,
        }
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

#[derive(Clone)]
struct Door {
    gateway: Gateway,
    service: Hyper,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Door {
    fn take_in(&self, stream: TcpStream, peer: SocketAddr, refusing: &Arc<Semaphore>) {
        match self.gateway.front.arrive(peer) {
            Ok(visitor) => {
                self.connections.spawn(self.clone().serve(stream, visitor));
            }
            Err(refused) => {
                self.gateway.front.tell(refused, peer.ip(), None);
                // A word in TLS would cost a handshake.
                let permit = match self.gateway.front.tls() {
                    None => Arc::clone(refusing).try_acquire_owned().ok(),
                    Some(_) => None,
                };
                if let Some(permit) = permit {
                    self.connections.spawn(async move {
                        let mut headers = HeaderMap::new();
                        guard::allow(&mut headers, None);
                        raw::refuse(stream, refused.into(), headers).await;
                        drop(permit);
                    });
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream, visitor: Visitor) {
        let user_timeout = self.gateway.engine.trial().user_timeout;
        let user_timeout = user_timeout.then_some(self.gateway.shared.patience);
        if let Err(error) = prepare(&stream, user_timeout) {
            tracing::debug!(%error, "cannot prepare a socket");
        }
        let gateway = self.gateway.clone();
        match gateway.front.tls() {
            None => self.serve_socket(stream, visitor).await,
            Some(tls) => self.serve_tls(tls, stream, visitor).await,
        }
    }

    /// How fast this visitor's connection is read. A proxy's is that of many clients.
    fn pace(&self, visitor: &Visitor) -> SharedPace {
        let front = &self.gateway.front;
        let is_free = front.is_by_proxy(visitor) || self.gateway.engine.trial().no_turns;
        SharedPace::new(if is_free { 0 } else { front.read_bytes_per_s() })
    }

    fn peer(&self, stream: TcpStream, pace: &SharedPace) -> Peer {
        Peer::new(stream, pace.clone(), self.gateway.shared.patience)
    }

    async fn serve_tls(self, tls: &Tls, stream: TcpStream, visitor: Visitor) {
        let pace = self.pace(&visitor);
        let peer = self.peer(stream, &pace);
        let visitor = visitor.relayed(peer.progress());
        let Ok(Ok(stream)) = timeout(self.gateway.front.head_within(), tls.accept(peer)).await else {
            self.gateway
                .front
                .tell(self.gateway.front.count(Refused::Tls), visitor.address, None);
            return;
        };
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            return self.serve_http2(stream, &pace, visitor.shared()).await;
        }
        match pair() {
            Ok((near, far)) => {
                // What is kept for this client is the relay; all else lives where it does without TLS.
                self.connections.spawn(self.clone().serve_socket(far, visitor));
                relay(stream, near).await;
            }
            Err(error) => tracing::warn!(%error, "cannot relay a client"),
        }
    }

    async fn serve_socket(self, stream: TcpStream, visitor: Visitor) {
        match timeout(self.gateway.front.head_within(), raw::wants_events(&stream)).await {
            Ok(Ok(true)) => raw::serve(stream, self.gateway, visitor).await,
            Ok(Ok(false)) => self.serve_http1(stream, visitor).await,
            // Gone, or silent for too long.
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// The routes, told who asks; answers under way are counted.
    fn service(
        &self,
        visitor: Visitor,
        pace: SharedPace,
    ) -> impl Service<
        hyper::Request<Incoming>,
        Response = hyper::Response<Body>,
        Error = Infallible,
        Future: Send + 'static,
    > + Send
    + use<> {
        let (service, front) = (self.service.clone(), Arc::clone(&self.gateway.front));
        service_fn(move |mut request: hyper::Request<Incoming>| {
            let (service, front) = (service.clone(), Arc::clone(&front));
            let (visitor, pace) = (visitor.clone(), pace.clone());
            async move {
                let reset = RESET.try_with(CancellationToken::clone).unwrap_or_default();
                let backlog = front.backlog(&visitor, reset);
                request.extensions_mut().insert(visitor);
                request.extensions_mut().insert(Arc::clone(&backlog));
                let response = service.call(request).await?;
                pace.answered(&response);
                Ok(in_pieces(response, backlog))
            }
        })
    }

    async fn serve_http1(self, stream: TcpStream, visitor: Visitor) {
        let pace = self.pace(&visitor);
        let stream = self.peer(stream, &pace);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.gateway.front.head_within())
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), self.service(visitor, pace))
            .with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "connection ended");
        }
    }

    async fn serve_http2(self, stream: TlsStream<Peer>, pace: &SharedPace, visitor: Visitor) {
        let (front, patience) = (&self.gateway.front, self.gateway.shared.patience);
        let socket = stream.get_ref().0.second();
        let service = self.service(visitor.clone(), pace.clone());
        let connection = http2::Builder::new(Tracked(self.connections.clone()))
            .max_concurrent_streams(front.h2_streams_max())
            .max_pending_accept_reset_streams(H2_RESETS_MAX)
            .max_local_error_reset_streams(H2_ERRORS_MAX)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .initial_stream_window_size(H2_STREAM_WINDOW)
            .initial_connection_window_size(H2_CONNECTION_WINDOW)
            .max_send_buf_size(H2_SEND_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let answers_stall = front.answers_stall(&visitor, patience);
        let leaving = async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                // It may answer pings: that is no request.
                () = visitor.idle_for(front.head_within()) => {}
            }
        };
        tokio::pin!(connection, answers_stall, leaving);
        let mut is_leaving = false;
        let ended = loop {
            tokio::select! {
                ended = &mut connection => break ended,
                () = &mut answers_stall => return,
                () = &mut leaving, if !is_leaving => {
                    connection.as_mut().graceful_shutdown();
                    is_leaving = true;
                }
                () = has_all(&visitor, socket.as_ref().ok(), patience), if is_leaving => return,
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "connection ended");
        }
    }
}

/// Waits until a client has no request under way and has taken all that it was sent: what the kernel still has of it would
/// be lost. One that takes nothing is not waited for any longer.
async fn has_all(visitor: &Visitor, socket: Option<&OwnedFd>, patience: Duration) {
    let mut progress = Progress::default();
    loop {
        visitor.idle_for(GOODBYE_WITHIN).await;
        if let Some(socket) = socket {
            progress.look(socket, false);
        }
        if progress.has_all() || progress.is_stalled(patience) {
            return;
        }
    }
}

/// Has the streams of a connection waited for like the connection. A stream is reset when its task is dropped, whatever its
/// windows are.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tracked {
    fn execute(&self, task: F) {
        let reset = CancellationToken::new();
        let task = RESET.scope(reset.clone(), task);
        self.0.spawn(reset.run_until_cancelled_owned(task));
    }
}

/// `user_timeout` is on trial alone.
fn prepare(stream: &TcpStream, user_timeout: Option<Duration>) -> std::io::Result<()> {
    // An event is one small write: it must not wait for the next.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // Whoever holds the socket looks whether its client takes what it is sent: to the kernel's own TCP_USER_TIMEOUT one
    // that takes little at once is as good as dead.
    if user_timeout.is_some() {
        socket.set_tcp_user_timeout(user_timeout)?;
    }
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)
}
