//! Connections: each is looked at once, and goes the way that suits its first request.
//!
//! An event stream that is the first request of its connection has its socket to itself from then on. Everything else
//! is HTTP as hyper speaks it; a WebSocket gets its socket after the handshake.

use super::{Gateway, raw};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socket2::SockRef;
use std::{io::ErrorKind, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the kernel may hold for one client. Left to itself it takes up to several MiB for one that reads slowly.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// How long the head of a request may take.
pub(super) const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// After an error that is not of one connection: most likely no file descriptor is left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Takes connections until `stop`, and waits until their requests are answered.
pub(super) async fn accept(
    listener: TcpListener,
    gateway: Gateway,
    router: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = serve(stream, gateway.clone(), router.clone(), stop.clone());
                connections.spawn(connection);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
                ) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn serve(stream: TcpStream, gateway: Gateway, router: Router, stop: CancellationToken) {
    if let Err(error) = prepare(&stream, gateway.shared.patience) {
        tracing::debug!(%error, "cannot prepare a socket");
    }
    match timeout(HEAD_WITHIN, raw::wants_events(&stream)).await {
        Ok(Ok(true)) => raw::serve(stream, gateway).await,
        Ok(Ok(false)) => serve_http(stream, router, stop).await,
        // Gone, or silent for too long.
        Ok(Err(_)) | Err(_) => {}
    }
}

fn prepare(stream: &TcpStream, patience: Duration) -> std::io::Result<()> {
    // An event is one small write: it must not wait for the next.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // A peer that acknowledges nothing, or takes nothing, is cut by the kernel, whatever waits for it above.
    socket.set_tcp_user_timeout(Some(patience))?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)
}

async fn serve_http(stream: TcpStream, router: Router, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}
