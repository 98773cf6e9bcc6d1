//! What each book shows at one moment, in normalised names: the answer of `GET /__demo/truth`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::book::Book;
use crate::timestamp;

/// What the books show at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The moment, in world time, with the precision of a millisecond.
    #[serde(with = "timestamp")]
    pub at: DateTime<Utc>,
    /// Each asked book.
    pub books: BTreeMap<Book, BookTruth>,
}

/// What one book shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BookTruth {
    /// The events, ordered by shared match id.
    pub events: Vec<EventTruth>,
}

/// One event at one book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventTruth {
    /// The id that all books share: decimal digits without any prefix.
    pub match_id: String,
    /// The home team's name.
    pub home_team: String,
    /// The away team's name.
    pub away_team: String,
    /// The league's name; not unique without the country.
    pub league: String,
    /// The country's name.
    pub country: String,
    /// The kick-off that the book announces; a whole multiple of five minutes.
    #[serde(with = "timestamp")]
    pub commence_time: DateTime<Utc>,
    /// The mapped markets, ordered by market, then by line. `h2h` is always among them.
    pub markets: Vec<MarketTruth>,
}

/// One market at one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarketTruth {
    /// `h2h`, `totals`, `btts`, `spreads` or `double_chance`.
    pub key: String,
    /// `ft` or `h1`.
    pub period: String,
    /// Goals in steps of 0.25, exact as a double. `None` is not the line 0. For `spreads` it is the home team's
    /// handicap, for both outcomes.
    pub line: Option<f64>,
    /// Whether bets are taken.
    pub status: MarketStatus,
    /// The outcomes, in the book's order.
    pub outcomes: Vec<OutcomeTruth>,
}

/// Whether bets are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketStatus {
    /// Bets are taken.
    Open,
    /// Shown, but no bets are taken.
    Suspended,
}

/// One outcome with the price that the book shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeTruth {
    /// `home`, `draw`, `away`, `over`, `under`, `yes`, `no`, `home_draw`, `home_away` or `draw_away`.
    pub name: String,
    /// The decimal price with at most three decimals, inside 1.001 to 1000. `None` where the page shows no price,
    /// which happens only while suspended, and only at charlie.
    pub price: Option<f64>,
}
