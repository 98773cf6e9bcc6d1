//! Alpha: REST with JSON. Leagues, the events of a league, the details of an event.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::{json_page, unknown_json_path};
use crate::board::{Quote, Shown};
use crate::book::Book;
use crate::site::Site;
use crate::world::geography::{LEAGUES, League};
use crate::world::market::{Kind, Outcome};

pub(crate) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/leagues", get(leagues))
        .route("/api/leagues/{id}/events", get(league_events))
        .route("/api/events/{id}", get(event))
        .fallback(unknown_json_path)
}

async fn leagues(State(site): State<Arc<Site>>) -> Response {
    let (_, at) = site.board(Book::Alpha);
    let data: Vec<_> = LEAGUES.iter().map(league_json).collect();
    json_page(StatusCode::OK, at, &json!({ "data": data }))
}

async fn league_events(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    let (board, at) = site.board(Book::Alpha);
    let Some(league) = LEAGUES.iter().find(|league| league_id(league) == id) else {
        return json_page(StatusCode::NOT_FOUND, at, &json!({ "error": "unknown league" }));
    };
    let events: Vec<_> = board
        .fixtures()
        .iter()
        .filter(|fixture| fixture.league == league)
        .map(|fixture| json!({ "id": board.own_number(fixture).to_string() }))
        .collect();
    json_page(StatusCode::OK, at, &json!({ "events": events }))
}

async fn event(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Response {
    let (board, at) = site.board(Book::Alpha);
    match id.parse().ok().and_then(|own_number| board.event(own_number)) {
        Some(event) => json_page(StatusCode::OK, at, &event_json(&event)),
        None => json_page(StatusCode::NOT_FOUND, at, &json!({ "error": "unknown event" })),
    }
}

fn league_id(league: &League) -> String {
    (1_101 + league.number * 7).to_string()
}

fn league_json(league: &League) -> Value {
    json!({
        "id": league_id(league),
        "name": league.name,
        "country": { "name": league.country.name, "code": league.country.code },
    })
}

fn event_json(event: &Shown) -> Value {
    let mut markets: Vec<_> = event.quotes.iter().map(market_json).collect();
    let scores = event
        .correct_score
        .iter()
        .map(|(score, price)| outcome_json(score, price.number(), true));
    markets.push(json!({
        "id": "3760", "name": "Correct Score", "specifier": null, "period": "FT", "status": "ACTIVE",
        "outcomes": scores.collect::<Vec<_>>(),
    }));
    let (odd, even) = event.odd_even;
    markets.push(json!({
        "id": "3799", "name": "Odd/Even Goals", "specifier": null, "period": "FT", "status": "ACTIVE",
        "outcomes": [outcome_json("Odd", odd.number(), true), outcome_json("Even", even.number(), true)],
    }));
    json!({
        "id": event.own_number.to_string(),
        "home": { "name": event.home },
        "away": { "name": event.away },
        "start": event.kick_off.to_rfc3339_opts(SecondsFormat::Secs, true),
        "league": league_json(event.league),
        "widgets": [
            { "type": "STATS", "id": (u64::from(event.own_number) + 500_000).to_string() },
            { "type": "MATCHCENTER", "id": event.match_id.to_string() },
        ],
        "markets": markets,
    })
}

fn market_json(quote: &Quote) -> Value {
    let (id, name) = match quote.market.kind {
        Kind::H2h => ("3741", "Match Result"),
        Kind::DoubleChance => ("3742", "Double Chance"),
        Kind::TotalsFt => ("3743", "Total Goals"),
        Kind::TotalsH1 => ("3753", "Total Goals - 1st Half"),
        Kind::Spreads => ("3774", "Asian Handicap"),
        Kind::Btts => ("3795", "Both Teams To Score"),
    };
    let prefix = if quote.market.kind == Kind::Spreads {
        "hcp"
    } else {
        "total"
    };
    let specifier = quote
        .market
        .line
        .map(|line| format!("{prefix}={}", line.trimmed()));
    let outcomes: Vec<_> = quote
        .outcomes
        .iter()
        .filter_map(|(outcome, display)| {
            Some(outcome_json(
                description(quote.market.kind, *outcome),
                display.price()?.number(),
                quote.open,
            ))
        })
        .collect();
    json!({
        "id": id,
        "name": name,
        "specifier": specifier,
        "period": if quote.market.kind == Kind::TotalsH1 { "H1" } else { "FT" },
        "status": if quote.open { "ACTIVE" } else { "SUSPENDED" },
        "outcomes": outcomes,
    })
}

fn outcome_json(description: &str, odds: f64, active: bool) -> Value {
    json!({ "desc": description, "odds": odds, "isActive": active })
}

fn description(kind: Kind, outcome: Outcome) -> &'static str {
    match (kind, outcome) {
        (Kind::Spreads, Outcome::Home) => "Home",
        (Kind::Spreads, _) => "Away",
        (_, Outcome::Home) => "1",
        (_, Outcome::Draw) => "X",
        (_, Outcome::Away) => "2",
        (_, Outcome::Over) => "Over",
        (_, Outcome::Under) => "Under",
        (_, Outcome::Yes) => "Yes",
        (_, Outcome::No) => "No",
        (_, Outcome::HomeDraw) => "1X",
        (_, Outcome::HomeAway) => "12",
        (_, Outcome::DrawAway) => "X2",
    }
}
