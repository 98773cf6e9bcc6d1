//! Connections of the operations port: few, and short.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{collections::VecDeque, net::IpAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, Id, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How much whoever reaches the port may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at the same time.
    pub(super) connections: usize,
    /// How long a head may take to come.
    pub(super) head: Duration,
    /// How long a connection may last: one request and its answer.
    pub(super) whole: Duration,
}

impl Limits {
    /// A probe asks once and is answered at once; so does what collects metrics.
    pub(super) const PORT: Self = Self {
        connections: super::CONNECTIONS_MAX,
        head: Duration::from_secs(5),
        whole: Duration::from_secs(10),
    };
}

/// How long requests under way may take once the service stops.
const STOP_WITHIN: Duration = Duration::from_secs(1);
/// The head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Connections that are open, the oldest first.
#[derive(Debug, Default)]
struct Open {
    tasks: JoinSet<()>,
    oldest_first: VecDeque<(Id, IpAddr, AbortHandle)>,
}

impl Open {
    fn add(&mut self, peer: IpAddr, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.oldest_first.push_back((handle.id(), peer, handle));
    }

    fn forget(&mut self, id: Id) {
        self.oldest_first.retain(|(known, ..)| *known != id);
    }

    /// Ends the oldest connection of the address that has most. A probe that asks at once is gone before its turn comes;
    /// who holds connections without asking loses them.
    fn make_room(&mut self) {
        let addresses: Vec<IpAddr> = self.oldest_first.iter().map(|(_, address, _)| *address).collect();
        if let Some(at) = victim(&addresses)
            && let Some((_, _, handle)) = self.oldest_first.remove(at)
        {
            handle.abort();
        }
    }
}

/// The first place of the address that has most places.
fn victim(oldest_first: &[IpAddr]) -> Option<usize> {
    let count = |address: &IpAddr| oldest_first.iter().filter(|other| *other == address).count();
    let most = oldest_first.iter().map(count).max()?;
    oldest_first.iter().position(|address| count(address) == most)
}

/// Serves until `stop`.
pub(super) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let mut open = Open::default();
    loop {
        tokio::select! {
            (stream, peer) = crate::accept::accept(&listener) => {
                if open.oldest_first.len() >= limits.connections {
                    open.make_room();
                }
                let answer = answer(stream, service.clone(), limits, stop.clone());
                open.add(peer.ip().to_canonical(), answer);
            }
            Some(ended) = open.tasks.join_next_with_id() => {
                open.forget(ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            () = stop.cancelled() => break,
        }
    }
    let answered = async { while open.tasks.join_next().await.is_some() {} };
    // Whoever has not asked by now is cut off with the tasks.
    let _ = timeout(STOP_WITHIN, answered).await;
}

/// Answers one request.
async fn answer(
    stream: TcpStream,
    service: TowerToHyperService<Router>,
    limits: Limits,
    stop: CancellationToken,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = timeout(limits.whole, async {
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    })
    .await;
    if !matches!(ended, Ok(Ok(()))) {
        tracing::trace!(?ended, "a connection of the operations port ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_the_address_with_most_connections_makes_room() {
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        assert_eq!(victim(&[]), None);
        assert_eq!(victim(&[a, b]), Some(0));
        assert_eq!(victim(&[a, b, b]), Some(1));
    }
}
