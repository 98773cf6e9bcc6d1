//! The state that all handlers share, and the router that puts them together.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::book::Book;
use crate::clock::Clock;
use crate::faults::{self, Faults};
use crate::requests::Requests;
use crate::world::World;
use crate::{control, pages};

/// What the handlers read. Each part guards itself.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) requests: Requests,
    pub(crate) stop: CancellationToken,
}

impl Site {
    /// Gives what a book shows now, and the moment that counts as now for the whole answer.
    pub(crate) fn board(&self, book: Book) -> (Board<'_>, DateTime<Utc>) {
        let now = self.clock.now();
        (Board::new(&self.world, book, now), now)
    }

    /// Gives every route of the site.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/", get(pages::index))
            .route("/robots.txt", get(pages::robots))
            .nest("/__demo", control::router())
            .nest("/alpha", pages::alpha::router())
            .nest("/bravo", pages::bravo::router())
            .nest("/charlie", pages::charlie::router())
            .nest("/delta", pages::delta::router())
            .layer(middleware::from_fn_with_state(Arc::clone(&self), faults::inject))
            .layer(middleware::from_fn(pages::unchanged))
            .with_state(self)
    }
}
