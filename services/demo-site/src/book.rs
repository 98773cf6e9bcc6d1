//! The four bookmakers and what makes them differ.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::price::Price;
use crate::world::geography::League;
use crate::world::market::Kind;

/// One of the four fictional bookmakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Book {
    /// REST with JSON: leagues, event lists, event details.
    Alpha,
    /// POST with JSON, a status envelope and pages.
    Bravo,
    /// JSON with flattened market keys.
    Charlie,
    /// HTML tables.
    Delta,
}

impl Book {
    /// All books, in the order of their keys.
    pub const ALL: [Self; 4] = [Self::Alpha, Self::Bravo, Self::Charlie, Self::Delta];

    /// Gives the name used in paths and on the control interface, for example `alpha`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Bravo => "bravo",
            Self::Charlie => "charlie",
            Self::Delta => "delta",
        }
    }

    /// Gives the book with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|book| book.key() == key)
    }

    /// Gives the book that a request path belongs to.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        let first = path.trim_start_matches('/').split('/').next()?;
        Self::from_key(first)
    }

    /// How old the world is that this book shows, in milliseconds of world time.
    pub fn lag_ms(self) -> i64 {
        match self {
            Self::Alpha => 500,
            Self::Bravo => 3_000,
            Self::Charlie => 6_000,
            Self::Delta => 10_000,
        }
    }

    /// The book's margin before a market's own deviation of at most 0.004.
    pub(crate) fn margin(self) -> f64 {
        match self {
            Self::Alpha => 0.045,
            Self::Bravo => 0.058,
            Self::Charlie => 0.072,
            Self::Delta => 0.085,
        }
    }

    /// Rounds to the nearest tick of this book's price ladder.
    pub(crate) fn rounded(self, thousandths: u32) -> Price {
        let ladder: &[(u32, u32)] = match self {
            Self::Alpha => &[(1_500, 5), (5_000, 10), (20_000, 100), (u32::MAX, 500)],
            Self::Bravo => &[
                (2_000, 10),
                (3_000, 20),
                (4_000, 50),
                (6_000, 100),
                (10_000, 200),
                (u32::MAX, 500),
            ],
            Self::Charlie => &[(10_000, 10), (u32::MAX, 250)],
            Self::Delta => &[
                (2_000, 10),
                (3_000, 20),
                (5_000, 50),
                (10_000, 100),
                (u32::MAX, 250),
            ],
        };
        let tick = ladder
            .iter()
            .find(|(below, _)| thousandths < *below)
            .map_or(10, |(_, tick)| *tick);
        Price::from_thousandths(((thousandths + tick / 2) / tick * tick).max(1_010))
    }

    /// The share of the world's events that this book shows, per thousand.
    pub(crate) fn event_coverage_per_mille(self) -> u64 {
        match self {
            Self::Alpha => 960,
            Self::Bravo => 900,
            Self::Charlie => 860,
            Self::Delta => 800,
        }
    }

    /// The share of its events for which this book ever offers a market, per thousand.
    pub(crate) fn market_coverage_per_mille(self, kind: Kind) -> u64 {
        match (self, kind) {
            (_, Kind::H2h) => 1_000,
            (_, Kind::TotalsFt) => 960,
            (Self::Delta, _) => 0,
            (_, Kind::Btts) => 860,
            (_, Kind::Spreads) => 780,
            (_, Kind::TotalsH1 | Kind::DoubleChance) => 720,
        }
    }

    pub(crate) fn covers(self, league: &League) -> bool {
        self != Self::Delta || league.name != "Second Division"
    }

    /// Gives this book's own number of the event that the world counts as `serial`. Distinct serials give
    /// distinct numbers.
    pub(crate) fn own_number(self, serial: u32) -> u32 {
        let flavour = match self {
            Self::Alpha => 0x0a1a_0a1a,
            Self::Bravo => 0x0b2b_0b2b,
            Self::Charlie => 0x0c3c_0c3c,
            Self::Delta => 0x0d4d_0d4d,
        };
        // Multiplication by an odd number is a bijection modulo 2^32, and so is the exclusive or.
        serial.wrapping_mul(2_654_435_761) ^ flavour
    }
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}
