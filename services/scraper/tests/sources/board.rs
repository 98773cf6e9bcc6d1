//! What was read and what is true, in one form.

use oddswire_demo_site::{
    Book,
    truth::{MarketStatus, Truth},
};
use oddswire_protocol::{EventId, Timestamp, odds::QuoteStatus};
use oddswire_scraper::reading::Harvest;
use std::collections::BTreeMap;

/// An event without its id: teams, league, country, kick-off.
type Header = (String, String, String, Option<String>, Timestamp);
/// Event, market, period, line in thousandths.
type QuoteId = (EventId, String, String, Option<i64>);
/// Whether it is open, and prices in thousandths by outcome.
type QuoteState = (bool, BTreeMap<String, Option<i64>>);
/// Events and quotes.
pub(crate) type Board = (BTreeMap<EventId, Header>, BTreeMap<QuoteId, QuoteState>);

/// What was read.
pub(crate) fn board_of_harvest(harvest: &Harvest) -> Board {
    let mut board = Board::default();
    for reading in &harvest.events {
        let event = &reading.event;
        assert_eq!(event.sport_key.as_str(), "soccer");
        let header = (
            event.home_team.clone(),
            event.away_team.clone(),
            event.league.clone(),
            event.country.clone(),
            event.commence_time,
        );
        assert!(board.0.insert(event.event_id.clone(), header).is_none());
        for market in &reading.markets {
            for quote in &market.quotes {
                let line = quote.line.map(|line| i64::from(line.thousandths()));
                let (key, period) = (market.key.to_string(), market.period.to_string());
                let prices = quote.outcomes.iter().map(|outcome| {
                    assert_eq!(outcome.status, quote.status);
                    let price = outcome.price.map(|price| i64::from(price.thousandths()));
                    (outcome.name.clone(), price)
                });
                let state = (quote.status == QuoteStatus::Open, prices.collect());
                assert!(
                    board
                        .1
                        .insert((event.event_id.clone(), key, period, line), state)
                        .is_none()
                );
            }
        }
    }
    board
}

/// What the bookmaker shows.
pub(crate) fn board_of_truth(truth: &Truth, book: Book) -> Board {
    #[expect(clippy::cast_possible_truncation, reason = "prices and lines are small")]
    let thousandths = |number: f64| (number * 1_000.0).round() as i64;
    let mut board = Board::default();
    for event in &truth.books[&book].events {
        let id = EventId::of(&format!("mc:match:{}", event.match_id));
        let header = (
            event.home_team.clone(),
            event.away_team.clone(),
            event.league.clone(),
            Some(event.country.clone()),
            Timestamp::from(event.commence_time),
        );
        board.0.insert(id.clone(), header);
        for market in &event.markets {
            let quote = (
                id.clone(),
                market.key.clone(),
                market.period.clone(),
                market.line.map(thousandths),
            );
            let prices = market
                .outcomes
                .iter()
                .map(|o| (o.name.clone(), o.price.map(thousandths)));
            board
                .1
                .insert(quote, (market.status == MarketStatus::Open, prices.collect()));
        }
    }
    board
}
