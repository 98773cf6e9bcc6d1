//! When a source is scraped by itself: every so often, or at the times of a cron expression.

use super::{DAY, SECOND, section::Section, zone::Zone};
use chrono::{DateTime, TimeZone, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use oddswire_protocol::Timestamp;
use std::{iter, time::Duration};

/// The moments at which a source is to be scraped, before jitter.
#[derive(Debug, Clone, PartialEq)]
pub enum Timetable {
    /// At multiples of this on the clock, 1 s to 24 h.
    Every(Duration),
    /// When clocks in a zone show what an expression says.
    Cron(Box<Crontab>),
}

/// A cron expression of five fields, and the zone whose clocks it means.
#[derive(Debug, Clone)]
pub struct Crontab {
    text: String,
    zone: Zone,
    cron: Cron,
}

impl PartialEq for Crontab {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.zone) == (&other.text, other.zone)
    }
}

/// What stands in the file, and the share by which a start may be later.
pub(super) fn decode(section: &Section<'_>) -> (Option<Timetable>, f64) {
    let interval = section.duration("interval", SECOND..=DAY);
    let zone = section.parsed("cron_zone", Zone::parse);
    let cron = section.parsed("cron", |text| Crontab::parse(text, zone.unwrap_or(Zone::UTC)));
    if section.has("cron") && section.has("interval") {
        section.problem("interval and cron exclude each other: keep one of them");
    }
    if section.has("cron_zone") && !section.has("cron") {
        section.problem("cron_zone says nothing without cron");
    }
    if section.has("cron") && !section.has("stale_after") {
        section.problem("a source with cron needs stale_after: from its times alone nobody can tell when odds are too old");
    }
    let jitter = section.parsed("jitter", super::quantity::share);
    match cron {
        // Someone who writes nine o'clock means nine o'clock.
        Some(cron) => (Some(Timetable::Cron(Box::new(cron))), jitter.unwrap_or(0.0)),
        None => (interval.map(Timetable::Every), jitter.unwrap_or(0.1)),
    }
}

impl Timetable {
    /// The interval, where there is one.
    pub fn interval(&self) -> Option<Duration> {
        match self {
            Self::Every(interval) => Some(*interval),
            Self::Cron(_) => None,
        }
    }

    /// The expression and its zone, where there is one: `*/5 8-23 * * * (Europe/Berlin)`.
    pub fn cron(&self) -> Option<String> {
        match self {
            Self::Every(_) => None,
            Self::Cron(cron) => Some(format!("{} ({})", cron.text, cron.zone)),
        }
    }
}

impl Crontab {
    pub(crate) fn parse(text: &str, zone: Zone) -> Result<Self, String> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(text).map_err(|error| {
            format!(
                "{text:?} is no cron expression: {error}. Write minute, hour, day of month, month, day of week, as in \
                 \"*/5 8-23 * * *\""
            )
        })?;
        let crontab = Self {
            text: text.to_owned(),
            zone,
            cron,
        };
        // The search gives up after some thousand years: such a day never comes.
        match Timestamp::from_unix_ms(0).and_then(|at| crontab.after(at)) {
            Some(_) => Ok(crontab),
            None => Err(format!("{text:?} never comes")),
        }
    }

    /// The first time later than this one.
    pub(crate) fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = DateTime::from_timestamp_millis(at.unix_ms())?;
        let found = match self.zone {
            Zone::Fixed(offset) => self.next(&at.with_timezone(&offset)),
            Zone::Named(zone) => self.next(&at.with_timezone(&zone)),
        };
        Timestamp::from_unix_ms(found?.timestamp_millis())
    }

    fn next<Z: TimeZone>(&self, at: &DateTime<Z>) -> Option<DateTime<Utc>> {
        let found = self.cron.find_next_occurrence(at, false);
        found.ok().map(|at| at.to_utc())
    }

    /// The last time that is not later than this one, in the last five years. Found forwards: a time that clocks never
    /// show is put off, and only a search forwards knows where to.
    pub(crate) fn until(&self, at: Timestamp) -> Option<Timestamp> {
        const HOUR_MS: i64 = 3_600_000;
        [1, 24, 24 * 40, 24 * 400, 24 * 366 * 5_i64]
            .iter()
            .find_map(|hours| {
                let began = self.after(at.plus_ms(-hours * HOUR_MS));
                let times = iter::successors(began, |time| self.after(*time));
                times.take_while(|time| *time <= at).last()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(text: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let cron = Crontab::parse(text, Zone::parse(zone).unwrap()).unwrap();
        let mut at: Timestamp = from.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..count {
            let next = cron.after(at).unwrap();
            assert_eq!(cron.until(next), Some(next));
            assert_eq!(cron.until(next.plus_ms(-1)), cron.until(at), "none was left out");
            at = next;
            found.push(at.to_string()[5..16].to_owned());
        }
        found
    }

    #[test]
    fn an_expression_means_the_clocks_of_its_zone() {
        let from = "2026-11-22T20:00:00.000Z";
        assert_eq!(
            times("*/20 21 * * *", "UTC", from, 3),
            ["11-22T21:00", "11-22T21:20", "11-22T21:40"]
        );
        assert_eq!(
            times("0 9 * * MON", "Europe/Berlin", from, 2),
            ["11-23T08:00", "11-30T08:00"]
        );
        assert_eq!(times("0 9 * * *", "+05:30", from, 1), ["11-23T03:30"]);
    }

    #[test]
    fn a_time_that_clocks_show_twice_or_never_comes_once_and_what_is_every_so_often_goes_on() {
        // Clocks in Berlin show 02:30 twice on 25 October 2026, and never on 29 March.
        let october = "2026-10-24T22:00:00.000Z";
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", october, 2),
            ["10-25T00:30", "10-26T01:30"]
        );
        let march = "2026-03-28T22:00:00.000Z";
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", march, 2),
            ["03-29T01:00", "03-30T00:30"]
        );
        let hourly = ["10-24T23:00", "10-25T00:00", "10-25T01:00", "10-25T02:00"];
        assert_eq!(times("0 * * * *", "Europe/Berlin", october, 4), hourly);
    }

    #[test]
    fn what_is_no_expression_or_never_comes_is_refused_with_the_reason() {
        for bad in [
            "",
            "* * * *",
            "61 * * * *",
            "* * * * * *",
            "0 9 * * MO",
            "a b c d e",
        ] {
            let error = Crontab::parse(bad, Zone::UTC).unwrap_err();
            assert!(error.contains("is no cron expression"), "{bad:?}: {error}");
        }
        let error = Crontab::parse("0 0 30 2 *", Zone::UTC).unwrap_err();
        assert!(error.contains("never comes"), "{error}");
    }
}
