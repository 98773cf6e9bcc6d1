//! Bravo: one POST route with a status envelope and pages; markets stand inside the events.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{json_page, unknown_json_path};
use crate::board::{Quote, Shown};
use crate::book::Book;
use crate::site::Site;
use crate::world::market::{Kind, Line, Outcome};

const OK: u32 = 10_000;
const BAD_REQUEST: u32 = 19_001;
const MAX_PAGE_SIZE: usize = 100;

pub(crate) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/events", post(events))
        .fallback(unknown_json_path)
}

#[derive(Debug, Deserialize)]
struct Body {
    sport: String,
    page: usize,
    size: usize,
}

async fn events(State(site): State<Arc<Site>>, body: Bytes) -> Response {
    let (board, at) = site.board(Book::Bravo);
    let refused = |message: &str| {
        json_page(
            StatusCode::OK,
            at,
            &json!({ "bizCode": BAD_REQUEST, "message": message, "data": null }),
        )
    };
    let body: Body = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return refused(&format!("bad request: {error}")),
    };
    if body.sport != "football" {
        return refused("bad request: unknown sport");
    }
    if body.page == 0 || !(1..=MAX_PAGE_SIZE).contains(&body.size) {
        return refused("bad request: page starts at 1, size is 1 to 100");
    }
    let events = board.fixtures();
    let (total, total_pages) = (events.len(), events.len().div_ceil(body.size));
    let first = (body.page - 1).saturating_mul(body.size);
    let page: Vec<_> = events
        .into_iter()
        .skip(first)
        .take(body.size)
        .map(|fixture| event_json(&board.show(fixture)))
        .collect();
    let data = json!({ "events": page, "page": body.page, "totalPages": total_pages, "total": total });
    json_page(
        StatusCode::OK,
        at,
        &json!({ "bizCode": OK, "message": "ok", "data": data }),
    )
}

fn event_json(event: &Shown) -> Value {
    let mut markets: Vec<_> = event.quotes.iter().map(market_json).collect();
    let scores = (1_u32..).zip(&event.correct_score);
    let scores: Vec<_> = scores
        .map(|(id, (score, price))| json!({ "id": id.to_string(), "desc": score, "odds": price.padded() }))
        .collect();
    markets.push(json!({
        "id": "145", "name": "Correct score", "specifier": null, "status": 0, "outcomes": scores,
    }));
    json!({
        "eventId": format!("bv:{}", event.own_number),
        "matchId": format!("mc:match:{}", event.match_id),
        "homeTeamName": event.home,
        "awayTeamName": event.away,
        "estimateStartTime": event.kick_off.timestamp_millis(),
        "tournament": { "id": format!("mc:tournament:{}", 201 + event.league.number), "name": event.league.name },
        "category": { "name": event.league.country.name },
        "markets": markets,
    })
}

fn market_json(quote: &Quote) -> Value {
    let (id, name) = match quote.market.kind {
        Kind::H2h => ("101", "1X2"),
        Kind::DoubleChance => ("110", "Double Chance"),
        Kind::Spreads => ("116", "Asian Handicap"),
        Kind::TotalsFt => ("118", "Over/Under"),
        Kind::Btts => ("129", "GG/NG"),
        Kind::TotalsH1 => ("168", "1st Half - Over/Under"),
    };
    let line = quote.market.line.map(Line::trimmed);
    let prefix = if quote.market.kind == Kind::Spreads {
        "hcp"
    } else {
        "total"
    };
    let outcomes: Vec<_> = quote
        .outcomes
        .iter()
        .filter_map(|(outcome, display)| {
            let (id, text) = outcome_id(quote.market.kind, *outcome);
            let text = match &line {
                Some(line) => format!("{text} {line}"),
                None => text.to_owned(),
            };
            Some(json!({ "id": id, "desc": text, "odds": display.price()?.padded() }))
        })
        .collect();
    json!({
        "id": id,
        "name": name,
        "specifier": line.as_ref().map(|line| format!("{prefix}={line}")),
        "status": u8::from(!quote.open),
        "outcomes": outcomes,
    })
}

fn outcome_id(kind: Kind, outcome: Outcome) -> (&'static str, &'static str) {
    match (kind, outcome) {
        (Kind::Spreads, Outcome::Home) => ("1714", "Home"),
        (Kind::Spreads, _) => ("1715", "Away"),
        (_, Outcome::Home) => ("1", "Home"),
        (_, Outcome::Draw) => ("2", "Draw"),
        (_, Outcome::Away) => ("3", "Away"),
        (_, Outcome::Over) => ("12", "Over"),
        (_, Outcome::Under) => ("13", "Under"),
        (_, Outcome::Yes) => ("74", "Yes"),
        (_, Outcome::No) => ("76", "No"),
        (_, Outcome::HomeDraw) => ("9", "Home or Draw"),
        (_, Outcome::HomeAway) => ("10", "Home or Away"),
        (_, Outcome::DrawAway) => ("11", "Draw or Away"),
    }
}
