//! Delta: HTML tables, with hidden rows that hold wrong prices.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use chrono::SecondsFormat;

use super::html_page;
use crate::board::{Quote, Shown};
use crate::book::Book;
use crate::price::Price;
use crate::site::Site;
use crate::world::geography::{LEAGUES, League};
use crate::world::market::{Kind, Line, Market, Outcome};

/// The totals lines that have columns.
const LINES: [Line; 4] = [Line(6), Line(9), Line(10), Line(14)];

pub(crate) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/football", get(index))
        .route("/football/{country}/{league}", get(league_page))
        .fallback(unknown_path)
}

async fn unknown_path(State(site): State<Arc<Site>>) -> Response {
    html_page(
        StatusCode::NOT_FOUND,
        site.clock.now(),
        page("Not found", "<h1>Not found</h1>\n"),
    )
}

async fn index(State(site): State<Arc<Site>>) -> Response {
    let (board, at) = site.board(Book::Delta);
    let mut body = String::from("<h1>Football</h1>\n<ul class=\"leagues\">\n");
    for league in LEAGUES.iter().filter(|league| board.book.covers(league)) {
        let (country, slug) = (league.country, league.slug);
        add(
            &mut body,
            format_args!(
                "<li><a class=\"league\" href=\"/delta/football/{}/{slug}\" data-country=\"{}\">{}</a> \
             <span class=\"country\">{}</span></li>\n",
                country.slug, country.name, league.name, country.name,
            ),
        );
    }
    body.push_str("</ul>\n");
    html_page(StatusCode::OK, at, page("Football", &body))
}

async fn league_page(
    State(site): State<Arc<Site>>,
    Path((country, slug)): Path<(String, String)>,
) -> Response {
    let (board, at) = site.board(Book::Delta);
    let found = LEAGUES
        .iter()
        .find(|league| league.country.slug == country && league.slug == slug && board.book.covers(league));
    let Some(league) = found else {
        return html_page(
            StatusCode::NOT_FOUND,
            at,
            page("Not found", "<h1>Not found</h1>\n"),
        );
    };
    html_page(
        StatusCode::OK,
        at,
        page(league.name, &table(league, &board.events_of(league))),
    )
}

fn table(league: &League, events: &[Shown]) -> String {
    let mut body = format!(
        "<h1><span class=\"country\">{}</span> <span class=\"league-name\">{}</span></h1>\n\
         <table class=\"odds\">\n<thead>\n<tr><th>Kick-off</th><th>Home</th><th>Away</th><th>1</th><th>X</th><th>2</th>",
        league.country.name, league.name,
    );
    for line in LINES {
        let line = line.trimmed();
        add(
            &mut body,
            format_args!("<th>Over {line}</th><th>Under {line}</th>"),
        );
    }
    body.push_str("</tr>\n</thead>\n<tbody>\n");
    for event in events {
        if let Some(phantom) = Phantom::before(event) {
            row(&mut body, event, Some(phantom));
        }
        row(&mut body, event, None);
    }
    body.push_str("</tbody>\n</table>\n");
    body
}

/// How a row with wrong prices is hidden.
#[derive(Clone, Copy)]
enum Phantom {
    Style,
    Attribute,
}

impl Phantom {
    /// Two of three events have a hidden row before their own.
    fn before(event: &Shown) -> Option<Self> {
        match event.own_number % 3 {
            0 => Some(Self::Style),
            1 => Some(Self::Attribute),
            _ => None,
        }
    }
}

fn row(body: &mut String, event: &Shown, phantom: Option<Phantom>) {
    let hidden = match phantom {
        Some(Phantom::Style) => " style=\"display:none\"",
        Some(Phantom::Attribute) => " hidden",
        None => "",
    };
    add(
        body,
        format_args!(
            "<tr class=\"match\" data-match-id=\"{}\" data-event=\"d{}\"{hidden}>\n\
         <td class=\"kickoff\"><time datetime=\"{}\">{}</time></td>\n\
         <td class=\"home\">{}</td>\n<td class=\"away\">{}</td>\n",
            event.match_id,
            event.own_number,
            event.kick_off.to_rfc3339_opts(SecondsFormat::Secs, true),
            event.kick_off.format("%d %b %H:%M"),
            escaped(&event.home),
            escaped(&event.away),
        ),
    );
    cells(
        body,
        event,
        Market {
            kind: Kind::H2h,
            line: None,
        },
        phantom.is_some(),
    );
    for line in LINES {
        cells(
            body,
            event,
            Market {
                kind: Kind::TotalsFt,
                line: Some(line),
            },
            phantom.is_some(),
        );
    }
    body.push_str("</tr>\n");
}

/// Writes one cell for each outcome of a market, empty ones if the event does not have it.
fn cells(body: &mut String, event: &Shown, market: Market, wrong: bool) {
    let quote = event.quotes.iter().find(|quote| quote.market == market);
    for (index, outcome) in market.kind.outcomes().iter().enumerate() {
        let price = quote
            .and_then(|quote| quote.outcomes.get(index))
            .and_then(|(_, display)| display.price());
        match (quote, price) {
            (Some(quote), Some(price)) => {
                price_cell(body, quote, *outcome, if wrong { misprint(price) } else { price });
            }
            _ => body.push_str("<td class=\"empty\">&ndash;</td>\n"),
        }
    }
}

fn price_cell(body: &mut String, quote: &Quote, outcome: Outcome, price: Price) {
    let market = if quote.market.kind == Kind::H2h {
        "1x2"
    } else {
        "ou"
    };
    let line = quote
        .market
        .line
        .map(|line| format!(" data-line=\"{}\"", line.trimmed()))
        .unwrap_or_default();
    let outcome = match outcome {
        Outcome::Home => "1",
        Outcome::Draw => "X",
        Outcome::Away => "2",
        Outcome::Over => "O",
        _ => "U",
    };
    let class = if quote.open { "price" } else { "price suspended" };
    add(
        body,
        format_args!(
            "<td class=\"{class}\" data-market=\"{market}\"{line} data-outcome=\"{outcome}\">{}</td>\n",
            price.trimmed(),
        ),
    );
}

/// A price that differs from the true one: they would be equal only at 2.741 and 2.742, which are no ticks.
fn misprint(price: Price) -> Price {
    Price::from_thousandths(price.thousandths() / 2 + 1_371)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title} - Delta</title>\n\
         </head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

fn add(body: &mut String, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("writing to a string cannot fail");
}
