//! Reads the pages of each book back to normalised names, as a scraper would.

use oddswire_demo_site::Book;
use oddswire_demo_site::truth::{BookTruth, MarketStatus, MarketTruth, OutcomeTruth};

use crate::site::Site;

mod alpha;
mod bravo;
mod charlie;
mod delta;

/// What was read from a book, and what its pages held that no mapping knows.
pub(crate) struct Read {
    pub(crate) book: BookTruth,
    pub(crate) unmapped: usize,
}

/// Fetches everything that a book shows.
pub(crate) async fn read(site: &Site, book: Book) -> Read {
    let mut read = match book {
        Book::Alpha => alpha::read(site).await,
        Book::Bravo => bravo::read(site).await,
        Book::Charlie => charlie::read(site).await,
        Book::Delta => delta::read(site).await,
    };
    sort(&mut read.book);
    read
}

/// Brings a book into an order that does not depend on its pages.
pub(crate) fn sort(book: &mut BookTruth) {
    book.events.sort_by(|a, b| a.match_id.cmp(&b.match_id));
    for event in &mut book.events {
        event.markets.sort_by_key(|market| {
            (
                market.key.clone(),
                market.period.clone(),
                market.line.map(|line| (line * 4.0).to_string()),
            )
        });
        for market in &mut event.markets {
            market.outcomes.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }
}

/// A market of our names from its parts.
fn market(
    (key, period): (&str, &str),
    line: Option<f64>,
    open: bool,
    outcomes: Vec<(&str, Option<f64>)>,
) -> MarketTruth {
    let status = if open {
        MarketStatus::Open
    } else {
        MarketStatus::Suspended
    };
    let outcomes = outcomes
        .into_iter()
        .map(|(name, price)| OutcomeTruth {
            name: name.to_owned(),
            price,
        })
        .collect();
    MarketTruth {
        key: key.to_owned(),
        period: period.to_owned(),
        line,
        status,
        outcomes,
    }
}

/// Reads `total=2.5` or `hcp=-0.75`.
fn specifier_line(specifier: Option<&str>) -> Option<f64> {
    let (_, line) = specifier?.split_once('=').unwrap();
    Some(line.parse().unwrap())
}
