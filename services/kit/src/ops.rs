//! The operations port: `/livez`, `/readyz`, `/metrics`, and what a service adds.
//!
//! Whoever reaches it takes little: it has at most [`CONNECTIONS_MAX`] connections, of one request each.

mod connections;

use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use connections::Limits;
use prometheus_client::registry::Registry;
use std::{fmt, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Connections at the same time. When there are as many, the next one ends the oldest of the address that has most. The
/// descriptors for them are kept apart from those of clients.
pub const CONNECTIONS_MAX: usize = 64;

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What must hold for a service to be ready. Each check answers at once, from what is known.
#[derive(Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
}

impl Health {
    /// Nothing to check: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more check, which gives what is wrong in one sentence.
    #[must_use]
    pub fn with(
        mut self,
        name: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push((name, Box::new(check)));
        self
    }

    /// What is wrong now, a line each; empty when ready.
    pub fn faults(&self) -> Vec<String> {
        self.checks
            .iter()
            .filter_map(|(name, check)| check().err().map(|fault| format!("{name}: {fault}")))
            .collect()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.checks.iter().map(|(name, _)| name))
            .finish()
    }
}

/// What the operations port shows.
#[derive(Debug, Clone)]
pub struct Ops {
    health: Arc<Health>,
    registry: Arc<Registry>,
    further: Router,
}

impl Ops {
    /// Whether the service is ready, and its metrics.
    pub fn new(health: Health, registry: Registry) -> Self {
        Self {
            health: Arc::new(health),
            registry: Arc::new(registry),
            further: Router::new(),
        }
    }

    /// The same with routes of this service besides.
    #[must_use]
    pub fn with(mut self, routes: Router) -> Self {
        self.further = self.further.merge(routes);
        self
    }
}

/// Serves the operations port until `stop`.
pub async fn serve(listener: TcpListener, ops: Ops, stop: CancellationToken) {
    serve_within(Limits::PORT, listener, ops, stop).await;
}

async fn serve_within(limits: Limits, listener: TcpListener, ops: Ops, stop: CancellationToken) {
    let further = ops.further.clone();
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(ops)
        .merge(further);
    connections::serve(listener, router, limits, stop).await;
}

async fn readyz(State(ops): State<Ops>) -> impl IntoResponse {
    let faults = ops.health.faults();
    if faults.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, faults.join("\n") + "\n")
    }
}

async fn metrics(State(ops): State<Ops>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &ops.registry) {
        Ok(()) => (
            StatusCode::OK,
            [(
                CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests;
