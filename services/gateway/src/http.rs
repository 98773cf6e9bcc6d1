//! The client port: routes, and nothing else.

mod error;
mod extract;
#[cfg(fuzzing)]
pub mod fuzzing;
mod odds;
mod page;
mod query;
mod scrapes;
mod sse;
mod ws;

use crate::{drain::Farewell, runs::RunIndex, session::Shared};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, Uri},
    routing::{get, post},
    serve::ListenerExt,
};
use error::ApiError;
use socket2::SockRef;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the routes share.
#[derive(Debug, Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
    runs: Arc<RunIndex>,
    sessions: TaskTracker,
    farewell: Farewell,
}

impl Gateway {
    /// A gateway whose sessions end as `farewell` says.
    pub fn new(shared: Arc<Shared>, farewell: Farewell) -> Self {
        Self {
            shared,
            runs: Arc::default(),
            sessions: TaskTracker::new(),
            farewell,
        }
    }

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Waits until no session is open any more.
    pub async fn wait_for_sessions(&self) {
        self.sessions.close();
        self.sessions.wait().await;
    }
}

/// A peer that acknowledges nothing, or takes nothing, for this long is cut by the kernel, whatever waits for it above.
const DEAD_AFTER: Duration = Duration::from_secs(60);

/// Serves clients until `stop` and until their requests are answered.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, gateway: Gateway, stop: CancellationToken) -> std::io::Result<()> {
    let listener = listener.tap_io(|socket| {
        // An event is one small write: it must not wait for the next.
        let prepared = socket
            .set_nodelay(true)
            .and_then(|()| SockRef::from(&*socket).set_tcp_user_timeout(Some(DEAD_AFTER)));
        if let Err(error) = prepared {
            tracing::debug!(%error, "cannot prepare a socket");
        }
    });
    axum::serve(listener, router(gateway))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// The largest body of a request in bytes: more than any command needs.
const BODY_MAX_BYTES: usize = 64 * 1024;

fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/api/ws", get(ws::connect))
        .route("/api/events", get(sse::connect))
        .route("/api/scrapes", get(scrapes::list).post(scrapes::start))
        .route("/api/scrapes/{run_id}", get(scrapes::show))
        .route("/api/scrapes/{run_id}/cancel", post(scrapes::cancel))
        .route("/api/scrapes/{run_id}/events", get(sse::connect_run))
        .route("/api/odds", get(odds::board))
        .route("/api/sources", get(scrapes::sources))
        .route("/api/workers", get(scrapes::workers))
        .route("/", get(page::index))
        .route("/{file}", get(page::file))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .with_state(gateway)
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "Not found",
        format!("there is nothing at {}", uri.path()),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let detail = format!("{} does not take {method}", uri.path());
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "Method not allowed",
        detail,
    )
}
