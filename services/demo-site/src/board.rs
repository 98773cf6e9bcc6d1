//! What one book shows at one moment: the single origin of its pages and of the truth about it.

use chrono::{DateTime, Utc};

use crate::book::Book;
use crate::price::Price;
use crate::truth::{BookTruth, EventTruth, MarketStatus, MarketTruth, OutcomeTruth};
use crate::world::World;
use crate::world::availability::{self, Availability};
use crate::world::fixture::Fixture;
use crate::world::geography::League;
use crate::world::goals::Goals;
use crate::world::market::{Line, Market, Outcome};
use crate::world::noise::Noise;

/// The exact scores that books price one by one.
const SCORES: [(i32, i32); 9] = [
    (0, 0),
    (1, 0),
    (0, 1),
    (1, 1),
    (2, 0),
    (0, 2),
    (2, 1),
    (1, 2),
    (2, 2),
];
/// The margin of markets that nobody maps.
const NOVELTY_MARGIN: f64 = 0.12;

/// One book at one moment.
#[derive(Debug)]
pub(crate) struct Board<'w> {
    world: &'w World,
    pub(crate) book: Book,
    seen_ms: i64,
}

/// One event as a book shows it. It always has its `h2h` market.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) match_id: u64,
    /// The book's own number of the event.
    pub(crate) own_number: u32,
    pub(crate) league: &'static League,
    pub(crate) home: String,
    pub(crate) away: String,
    pub(crate) kick_off: DateTime<Utc>,
    pub(crate) quotes: Vec<Quote>,
    /// Exact scores such as `2:1`, with prices; mapped by nobody.
    pub(crate) correct_score: Vec<(String, Price)>,
    /// Prices of an odd and of an even number of goals; mapped by nobody.
    pub(crate) odd_even: (Price, Price),
}

/// One market at one line with its prices.
#[derive(Debug)]
pub(crate) struct Quote {
    pub(crate) market: Market,
    pub(crate) open: bool,
    pub(crate) outcomes: Vec<(Outcome, Display)>,
}

/// What stands in the place of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Display {
    Price(Price),
    /// The digit `0`; only while suspended.
    Zero,
    /// A dash; only while suspended.
    Dash,
}

impl Display {
    pub(crate) fn price(self) -> Option<Price> {
        match self {
            Self::Price(price) => Some(price),
            Self::Zero | Self::Dash => None,
        }
    }
}

impl<'w> Board<'w> {
    pub(crate) fn new(world: &'w World, book: Book, at: DateTime<Utc>) -> Self {
        Self {
            world,
            book,
            seen_ms: World::known_ms(at.timestamp_millis() - book.lag_ms()),
        }
    }

    /// Gives the events that this book shows, ordered by their shared id, without their markets.
    pub(crate) fn fixtures(&self) -> Vec<Fixture> {
        let mut fixtures = self.world.fixtures(self.seen_ms);
        fixtures.retain(|fixture| availability::covers(fixture, self.book));
        fixtures
    }

    /// Gives the book's own number of an event.
    pub(crate) fn own_number(&self, fixture: &Fixture) -> u32 {
        self.book.own_number(fixture.serial)
    }

    /// Gives the events of one league.
    pub(crate) fn events_of(&self, league: &League) -> Vec<Shown> {
        let fixtures = self
            .fixtures()
            .into_iter()
            .filter(|fixture| fixture.league == league);
        fixtures.map(|fixture| self.show(fixture)).collect()
    }

    /// Gives the event with the book's own number, if the book shows it.
    pub(crate) fn event(&self, own_number: u32) -> Option<Shown> {
        let found = self
            .fixtures()
            .into_iter()
            .find(|fixture| self.own_number(fixture) == own_number);
        found.map(|fixture| self.show(fixture))
    }

    /// Gives an event with its markets.
    pub(crate) fn show(&self, fixture: Fixture) -> Shown {
        let goals = Goals::expected(self.world, &fixture, self.book, self.seen_ms);
        let markets = availability::candidates(&fixture).into_iter();
        Shown {
            match_id: fixture.match_id,
            own_number: self.own_number(&fixture),
            league: fixture.league,
            kick_off: fixture.kick_off(self.seen_ms),
            quotes: markets
                .filter_map(|market| self.quote(&fixture, &goals, market))
                .collect(),
            home: fixture.home,
            away: fixture.away,
            correct_score: self.correct_score(&goals),
            odd_even: (
                self.novelty_price(goals.odd()),
                self.novelty_price(1.0 - goals.odd()),
            ),
        }
    }

    fn quote(&self, fixture: &Fixture, goals: &Goals, market: Market) -> Option<Quote> {
        let suspension =
            match availability::availability(self.world, fixture, self.book, market, self.seen_ms) {
                Availability::Absent => return None,
                Availability::Open => None,
                Availability::Suspended(spell) => Some(spell),
            };
        let deviation = fixture
            .noise
            .named("margin")
            .named(self.book.key())
            .named(market.kind.key())
            .signed();
        let margin = self.book.margin() + 0.004 * deviation;
        let outcomes = market.kind.outcomes().iter().map(|outcome| {
            let probability = goals.probability(market, *outcome) * (1.0 + margin);
            let price = self.book.rounded(Price::thousandths_of(probability));
            (
                *outcome,
                self.display(price, suspension.map(|spell| spell.named(outcome.name()))),
            )
        });
        Some(Quote {
            market,
            open: suspension.is_none(),
            outcomes: outcomes.collect(),
        })
    }

    /// Charlie hides some prices while they are suspended; the other books always show them.
    fn display(&self, price: Price, suspension: Option<Noise>) -> Display {
        match suspension {
            Some(spell) if self.book == Book::Charlie => match spell.named("hidden").below(5) {
                0 => Display::Zero,
                1 => Display::Dash,
                _ => Display::Price(price),
            },
            _ => Display::Price(price),
        }
    }

    fn correct_score(&self, goals: &Goals) -> Vec<(String, Price)> {
        SCORES
            .iter()
            .map(|(home, away)| {
                (
                    format!("{home}:{away}"),
                    self.novelty_price(goals.score(*home, *away)),
                )
            })
            .collect()
    }

    fn novelty_price(&self, probability: f64) -> Price {
        self.book
            .rounded(Price::thousandths_of(probability * (1.0 + NOVELTY_MARGIN)))
    }

    /// Gives what this book shows, in normalised names.
    pub(crate) fn truth(&self) -> BookTruth {
        BookTruth {
            events: self
                .fixtures()
                .into_iter()
                .map(|fixture| self.show(fixture).truth())
                .collect(),
        }
    }
}

impl Shown {
    fn truth(&self) -> EventTruth {
        EventTruth {
            match_id: self.match_id.to_string(),
            home_team: self.home.clone(),
            away_team: self.away.clone(),
            league: self.league.name.to_owned(),
            country: self.league.country.name.to_owned(),
            commence_time: self.kick_off,
            markets: self.quotes.iter().map(Quote::truth).collect(),
        }
    }
}

impl Quote {
    fn truth(&self) -> MarketTruth {
        MarketTruth {
            key: self.market.kind.key().to_owned(),
            period: self.market.kind.period().to_owned(),
            line: self.market.line.map(Line::number),
            status: if self.open {
                MarketStatus::Open
            } else {
                MarketStatus::Suspended
            },
            outcomes: self
                .outcomes
                .iter()
                .map(|(outcome, display)| OutcomeTruth {
                    name: outcome.name().to_owned(),
                    price: display.price().map(Price::number),
                })
                .collect(),
        }
    }
}
