//! Charlie: JSON with flattened keys such as `S_OU@2.5_O`, and naive times that are UTC.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::{json_page, unknown_json_path};
use crate::board::{Display, Quote, Shown};
use crate::book::Book;
use crate::site::Site;
use crate::world::geography::{LEAGUES, League};
use crate::world::market::{Kind, Outcome};

pub(crate) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/tournaments", get(tournaments))
        .route("/api/odds", get(odds))
        .fallback(unknown_json_path)
}

async fn tournaments(State(site): State<Arc<Site>>) -> Response {
    let (_, at) = site.board(Book::Charlie);
    let data: Vec<_> = LEAGUES
        .iter()
        .map(|league| json!({ "TID": tournament_id(league), "TN": league.name, "CN": league.country.name }))
        .collect();
    json_page(StatusCode::OK, at, &json!({ "R": "OK", "D": data }))
}

async fn odds(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let (board, at) = site.board(Book::Charlie);
    let query = query.unwrap_or_default();
    let wanted = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("tid="))
        .and_then(|id| id.parse().ok());
    let Some(league) = LEAGUES
        .iter()
        .find(|league| Some(tournament_id(league)) == wanted)
    else {
        return json_page(StatusCode::OK, at, &json!({ "R": "E_TID", "D": null }));
    };
    let data: Vec<_> = board.events_of(league).iter().map(event_json).collect();
    json_page(StatusCode::OK, at, &json!({ "R": "OK", "D": data }))
}

fn tournament_id(league: &League) -> u32 {
    90_210 + league.number * 13
}

fn event_json(event: &Shown) -> Value {
    let mut prices = Map::new();
    let mut locked = Vec::new();
    for quote in &event.quotes {
        let market = market_key(quote);
        for (outcome, display) in &quote.outcomes {
            let text = match display {
                Display::Price(price) => price.padded(),
                Display::Zero => "0".to_owned(),
                Display::Dash => "-".to_owned(),
            };
            prices.insert(format!("{market}_{}", outcome_key(*outcome)), text.into());
        }
        if !quote.open {
            locked.push(market);
        }
    }
    let (odd, even) = event.odd_even;
    prices.insert("S_OE_O".to_owned(), odd.padded().into());
    prices.insert("S_OE_E".to_owned(), even.padded().into());
    json!({
        "EID": event.own_number,
        "EXTID": event.match_id.to_string(),
        "T1": event.home,
        "T2": event.away,
        "ST": event.kick_off.format("%Y-%m-%d %H:%M").to_string(),
        "O": prices,
        "LCK": locked,
    })
}

fn market_key(quote: &Quote) -> String {
    let name = match quote.market.kind {
        Kind::H2h => "S_1X2",
        Kind::TotalsFt => "S_OU",
        Kind::TotalsH1 => "S_OUH1",
        Kind::Btts => "S_GG",
        Kind::Spreads => "S_AH",
        Kind::DoubleChance => "S_DC",
    };
    match quote.market.line {
        Some(line) => format!("{name}@{}", line.padded()),
        None => name.to_owned(),
    }
}

fn outcome_key(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Home => "1",
        Outcome::Draw => "X",
        Outcome::Away => "2",
        Outcome::Over => "O",
        Outcome::Under => "U",
        Outcome::Yes => "Y",
        Outcome::No => "N",
        Outcome::HomeDraw => "1X",
        Outcome::HomeAway => "12",
        Outcome::DrawAway => "X2",
    }
}
