//! The control interface under `/__demo`: truth, clock, faults and request counters.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::book::Book;
use crate::clock::{ClockOrder, ClockReport};
use crate::faults::{FaultList, FaultOrder};
use crate::problem::Problem;
use crate::site::Site;
use crate::truth::Truth;
use crate::world::World;

pub(crate) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/truth", get(truth))
        .route("/clock", get(clock).post(set_clock))
        .route("/faults", get(faults).post(set_fault).delete(clear_faults))
        .route("/requests", get(requests).delete(clear_requests))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TruthQuery {
    at: Option<String>,
    book: Option<String>,
}

async fn truth(
    State(site): State<Arc<Site>>,
    query: Result<Query<TruthQuery>, QueryRejection>,
) -> Result<Json<Truth>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let at = match query.at {
        None => site.clock.now(),
        Some(text) => moment(&text)?,
    };
    let book = match query.book {
        None => None,
        Some(key) => Some(Book::from_key(&key).ok_or_else(|| {
            Problem::unprocessable(format!(
                "unknown book `{key}`, expected one of `alpha`, `bravo`, `charlie`, `delta`"
            ))
        })?),
    };
    Ok(Json(site.world.truth(at, book)))
}

fn moment(text: &str) -> Result<DateTime<Utc>, Problem> {
    // A plus sign in a query means a space: `+00:00` arrives as ` 00:00`.
    let at: DateTime<Utc> = text
        .replace(' ', "+")
        .parse()
        .map_err(|error| Problem::bad_request(format!("`at` must be RFC 3339 with an offset: {error}")))?;
    if World::knows(at) {
        Ok(at)
    } else {
        Err(Problem::unprocessable(
            "`at` must be within the years 1971 to 2999",
        ))
    }
}

async fn clock(State(site): State<Arc<Site>>) -> Json<ClockReport> {
    Json(site.clock.report())
}

async fn set_clock(State(site): State<Arc<Site>>, body: Bytes) -> Result<Json<ClockReport>, Problem> {
    let order: ClockOrder = serde_json::from_slice(&body)?;
    let report = site
        .clock
        .apply(order)
        .map_err(|error| Problem::unprocessable(error.to_string()))?;
    Ok(Json(report))
}

async fn faults(State(site): State<Arc<Site>>) -> Json<FaultList> {
    Json(site.faults.list())
}

async fn set_fault(State(site): State<Arc<Site>>, body: Bytes) -> Result<Json<FaultList>, Problem> {
    let order: FaultOrder = serde_json::from_slice(&body)?;
    site.faults
        .apply(&order)
        .map_err(|error| Problem::unprocessable(error.to_string()))?;
    Ok(Json(site.faults.list()))
}

async fn clear_faults(State(site): State<Arc<Site>>) -> Json<FaultList> {
    site.faults.clear();
    Json(site.faults.list())
}

async fn requests(State(site): State<Arc<Site>>) -> Json<Value> {
    Json(json!({ "books": site.requests.snapshot() }))
}

async fn clear_requests(State(site): State<Arc<Site>>) -> StatusCode {
    site.requests.clear();
    StatusCode::NO_CONTENT
}
