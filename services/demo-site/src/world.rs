//! One fictional football world: a pure function of a seed, a size, a pace and a moment.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::board::Board;
use crate::book::Book;
use crate::truth::Truth;

pub(crate) mod availability;
pub(crate) mod fixture;
pub(crate) mod geography;
pub(crate) mod goals;
pub(crate) mod market;
pub(crate) mod noise;

use fixture::Fixture;
use noise::Noise;

/// 1971-01-01T00:00:00Z and 2999-12-31T00:00:00Z in milliseconds: the moments that the world knows.
const KNOWN_MS: (i64, i64) = (31_536_000_000, 32_503_593_600_000);

/// What determines a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldSpec {
    /// Equal seeds show equal worlds.
    pub seed: u64,
    /// How many events there are at any moment, 1 to 4000; other values are taken as the nearer limit.
    pub events: u32,
    /// How often prices and availability change, in percent of the default pace, 1 to 10000; other values are
    /// taken as the nearer limit. Kick-offs and the life of events do not depend on it.
    pub pace_percent: u32,
}

impl Default for WorldSpec {
    fn default() -> Self {
        Self {
            seed: 7,
            events: 24,
            pace_percent: 100,
        }
    }
}

/// The fictional world. It holds no state: each answer is computed from the specification and the moment.
#[derive(Clone, Copy, Debug)]
pub struct World {
    spec: WorldSpec,
    noise: Noise,
}

impl World {
    /// Gives the world of a specification.
    pub fn new(spec: WorldSpec) -> Self {
        let spec = WorldSpec {
            events: spec.events.clamp(1, 4_000),
            pace_percent: spec.pace_percent.clamp(1, 10_000),
            ..spec
        };
        Self {
            spec,
            noise: Noise::new(spec.seed),
        }
    }

    /// Gives what the books show at a moment, in normalised names: all books, or only one.
    ///
    /// Only mapped markets are listed. A moment has the precision of a millisecond; moments outside the years
    /// 1971 to 2999 are answered as the nearer limit.
    pub fn truth(&self, at: DateTime<Utc>, only: Option<Book>) -> Truth {
        let books: BTreeMap<_, _> = Book::ALL
            .into_iter()
            .filter(|book| only.is_none_or(|wanted| wanted == *book))
            .map(|book| (book, Board::new(self, book, at).truth()))
            .collect();
        let at = DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at);
        Truth { at, books }
    }

    /// Tells whether the world knows this moment.
    pub fn knows(at: DateTime<Utc>) -> bool {
        (KNOWN_MS.0..=KNOWN_MS.1).contains(&at.timestamp_millis())
    }

    /// Gives the nearest known moment, in milliseconds.
    pub(crate) fn known_ms(t_ms: i64) -> i64 {
        t_ms.clamp(KNOWN_MS.0, KNOWN_MS.1)
    }

    /// Gives a period of change at this world's pace, in milliseconds.
    pub(crate) fn paced_ms(&self, default_ms: i64) -> i64 {
        (default_ms * 100 / i64::from(self.spec.pace_percent)).max(100)
    }

    /// Gives the events that exist at a known moment, ordered by their shared id.
    pub(crate) fn fixtures(&self, t_ms: i64) -> Vec<Fixture> {
        let mut fixtures: Vec<_> = (0..self.spec.events)
            .map(|slot| Fixture::in_slot(self.spec, self.noise, slot, t_ms))
            .filter(|fixture| fixture.exists_at(t_ms))
            .collect();
        fixtures.sort_by_key(|fixture| fixture.match_id);
        fixtures
    }
}
