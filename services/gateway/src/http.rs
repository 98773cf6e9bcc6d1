//! The client port: routes, and nothing else.

mod accept;
mod answer;
pub mod contract;
mod credentials;
mod error;
mod extract;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
mod odds;
pub(crate) mod operators;
mod page;
mod peer;
mod pieces;
mod query;
mod raw;
mod routes;
mod scrapes;
mod sse;
mod tickets;
mod ws;

pub use page::Page;

use crate::{
    drain::Farewell,
    engine::Engine,
    front::{Front, Visitor},
    runs::RunIndex,
    session::Shared,
    socket::{Seat, Socket},
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, Uri},
    middleware::from_fn_with_state,
    routing::get,
};
use error::ApiError;
use oddswire_protocol::problem::ProblemCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the routes share.
#[derive(Debug, Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
    runs: Arc<RunIndex>,
    sessions: TaskTracker,
    farewell: Farewell,
    engine: Arc<Engine>,
    front: Arc<Front>,
    page: Arc<Page>,
}

impl Gateway {
    /// A gateway whose sessions end as `farewell` says.
    pub fn new(
        shared: Arc<Shared>,
        farewell: Farewell,
        engine: Arc<Engine>,
        front: Arc<Front>,
        page: Page,
    ) -> Self {
        Self {
            runs: Arc::new(RunIndex::new(shared.metrics.run_list_bytes.clone())),
            shared,
            sessions: TaskTracker::new(),
            farewell,
            engine,
            front,
            page: Arc::new(page),
        }
    }

    /// Counts a session that begins; the engine counts its end.
    fn begin(&self, socket: &Socket) {
        let metrics = &self.shared.metrics;
        metrics.opened.get_or_create(&socket.label()).inc();
        metrics.sessions.inc();
    }

    /// What a session of this visitor takes while it is open.
    fn seat(&self, visitor: Visitor) -> Seat {
        Seat::new(
            self.sessions.token(),
            Some(visitor),
            Arc::clone(&self.front),
            self.engine.trial(),
        )
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

/// Serves clients until `stop` and until their requests are answered.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, gateway: Gateway, stop: CancellationToken) -> std::io::Result<()> {
    let router = router(gateway.clone());
    accept::accept(listener, gateway, router, stop).await
}

/// The largest body of a request in bytes: more than any command needs.
const BODY_MAX_BYTES: usize = 64 * 1024;

fn router(gateway: Gateway) -> Router {
    routes::add(Router::new())
        .route("/", get(page::index))
        .route("/{file}", get(page::file))
        .route("/assets/{file}", get(page::asset))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(gateway.clone(), credentials::ask))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .layer(from_fn_with_state(gateway.clone(), guard::guard))
        .with_state(gateway)
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(
        ProblemCode::NotFound,
        format!("there is nothing at {}", uri.path()),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let detail = format!("{} does not take {method}", uri.path());
    ApiError::new(ProblemCode::MethodNotAllowed, detail)
}
