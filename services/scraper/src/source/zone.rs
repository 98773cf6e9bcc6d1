//! Time zones: which offset the clocks of a site have.

use chrono::{DateTime, FixedOffset, LocalResult, TimeZone as _, Utc};
use chrono_tz::Tz;
use std::fmt;

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// The same offset all year.
    Fixed(FixedOffset),
    /// A place of the IANA database, with its summer time.
    Named(Tz),
}

impl Zone {
    /// Coordinated Universal Time.
    pub(crate) const UTC: Self = Self::Named(Tz::UTC);

    /// Reads `UTC`, `+01:00` or `Europe/Berlin`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with(['+', '-']) {
            return text.parse().map(Self::Fixed).map_err(|_| wrong(text));
        }
        text.parse().map(Self::Named).map_err(|_| wrong(text))
    }

    /// The moment at which clocks there show what clocks in UTC show at `shown`. None where they show it twice or
    /// never, as in the hours in which summer time ends and begins.
    pub(crate) fn moment(self, shown: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let shown = shown.naive_utc();
        match self {
            Self::Fixed(offset) => single(offset.from_local_datetime(&shown)),
            Self::Named(zone) => single(zone.from_local_datetime(&shown)),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(offset) => offset.fmt(f),
            Self::Named(zone) => zone.name().fmt(f),
        }
    }
}

fn single<Z: chrono::TimeZone>(result: LocalResult<DateTime<Z>>) -> Option<DateTime<Utc>> {
    result.single().map(|at| at.to_utc())
}

fn wrong(text: &str) -> String {
    format!(
        "{text:?} is no time zone: write \"UTC\", an offset such as \"+01:00\", or a name such as \"Europe/Berlin\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_read_in_their_zone_and_an_hour_that_is_shown_twice_is_none() {
        let moment = |zone: &str, shown: &str| {
            let shown = DateTime::parse_from_rfc3339(shown).unwrap().to_utc();
            let at = Zone::parse(zone).unwrap().moment(shown);
            at.map(|at| at.format("%dT%H:%M").to_string())
        };
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(moment("UTC", "2026-11-22T20:45:00Z"), of("22T20:45"));
        assert_eq!(moment("+01:00", "2026-11-22T00:30:00Z"), of("21T23:30"));
        assert_eq!(moment("Europe/Berlin", "2026-11-22T20:45:00Z"), of("22T19:45"));
        assert_eq!(moment("Europe/Berlin", "2026-07-22T20:45:00Z"), of("22T18:45"));
        assert_eq!(moment("Europe/Berlin", "2026-10-25T02:30:00Z"), None);
        assert_eq!(moment("Europe/Berlin", "2026-03-29T02:30:00Z"), None);
        for bad in ["", "Berlin", "+1", "CET+1", "local"] {
            assert!(Zone::parse(bad).is_err(), "{bad}");
        }
    }
}
