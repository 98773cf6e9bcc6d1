//! Texts of pages as values: fields, moments, prices.

use super::transform;
use crate::source::{Field, TimeField, TimeForm, Zone};
use chrono::{
    DateTime, Datelike as _, Utc,
    format::{Fixed, Item, Numeric, StrftimeItems},
};
use oddswire_protocol::{Line, Price, Timestamp};

/// What came of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    /// There is nothing, or nothing but white space.
    None,
    /// There is something, but the field's expression does not find what it looks for. The text as the site has it.
    Strange(String),
    /// The text.
    Some(String),
}

impl Text {
    /// The text, where there is one.
    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Some(text) => Some(text),
            Self::None | Self::Strange(_) => None,
        }
    }
}

/// Does with a text what the field says: transforms, then the expression, then the prefix.
pub(super) fn text_of(field: &Field, picked: Option<String>) -> Text {
    let Some(mut text) = picked else {
        return Text::None;
    };
    for step in &field.transforms {
        text = match transform::apply(step, text) {
            Ok(text) => text,
            Err(unknown) if unknown.trim().is_empty() => return Text::None,
            Err(unknown) => return Text::Strange(unknown),
        };
    }
    if text.trim().is_empty() {
        return Text::None;
    }
    let found = match &field.regex {
        None => Some(text.as_str()),
        Some(regex) => regex
            .captures(&text)
            .and_then(|groups| groups.get(1).or_else(|| groups.get(0)))
            .map(|group| group.as_str())
            .filter(|found| !found.is_empty()),
    };
    match found {
        Some(found) => Text::Some(format!("{}{found}", field.prefix)),
        None => Text::Strange(text),
    }
}

/// Reads a moment in the form that its field says. `None` when it is not of this form.
pub(super) fn moment(field: &TimeField, text: &str) -> Option<Timestamp> {
    moment_near(field, text, Timestamp::now())
}

/// As [`moment`]; a time whose pattern has no year is the one of it that is nearest to `now`.
fn moment_near(field: &TimeField, text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    match &field.form {
        TimeForm::Rfc3339 => DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|at| checked(at.to_utc())),
        TimeForm::EpochMs => text.parse().ok().map(Timestamp::from_unix_ms),
        TimeForm::EpochSeconds => text
            .parse::<i64>()
            .ok()
            .map(|seconds| seconds.checked_mul(1_000).and_then(Timestamp::from_unix_ms)),
        // The pattern holds no offset: clocks in UTC are read first, and then those of the zone.
        TimeForm::Clock(pattern, zone) if !has_year(pattern) => {
            Some(in_nearest_year(pattern, *zone, text, now))
        }
        TimeForm::Clock(pattern, zone) => {
            DateTime::parse_from_str(&format!("{text} +0000"), &format!("{pattern} %z"))
                .ok()
                .map(|shown| zone.moment(shown.to_utc()).and_then(checked))
        }
    }?
}

/// Whether a pattern says which year it is, alone or within something else.
fn has_year(pattern: &str) -> bool {
    StrftimeItems::new(pattern).any(|item| {
        matches!(
            item,
            Item::Numeric(
                Numeric::Year
                    | Numeric::YearDiv100
                    | Numeric::YearMod100
                    | Numeric::IsoYear
                    | Numeric::IsoYearDiv100
                    | Numeric::IsoYearMod100
                    | Numeric::Timestamp,
                _
            ) | Item::Fixed(Fixed::RFC2822 | Fixed::RFC3339)
        )
    })
}

/// The time in last year, this one or the next, whichever is nearest to `now`; the later one of two. A year that does
/// not have this day, or has another weekday on it where the text says one, is none of them.
fn in_nearest_year(pattern: &str, zone: Zone, text: &str, now: Timestamp) -> Option<Timestamp> {
    let this_year = DateTime::from_timestamp_millis(now.unix_ms())?.year();
    let pattern = format!("%Y {pattern} %z");
    let moments = (this_year - 1..=this_year + 1).rev().filter_map(|year| {
        let shown = DateTime::parse_from_str(&format!("{year} {text} +0000"), &pattern).ok()?;
        checked(zone.moment(shown.to_utc())?)
    });
    moments.min_by_key(|at| at.unix_ms().abs_diff(now.unix_ms()))
}

fn checked(at: DateTime<Utc>) -> Option<Timestamp> {
    Timestamp::from_unix_ms(at.timestamp_millis())
}

/// What stands in the place of a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoted {
    /// A price.
    Price(Price),
    /// A way to say that there is none: 0, 1, blank, a dash, `SP`.
    Nothing,
    /// None of these.
    Unreadable,
}

/// Reads what stands in the place of a price, digit by digit.
pub(crate) fn quoted(text: &str) -> Quoted {
    let text = text.trim();
    if let Ok(price) = text.parse() {
        return Quoted::Price(price);
    }
    // A line is a decimal number too, with a range that has 0 and 1 in it.
    let is_zero_or_one = text
        .parse::<Line>()
        .is_ok_and(|number| matches!(number.thousandths(), 0 | 1_000));
    let is_dash = matches!(text, "" | "-" | "\u{2013}" | "\u{2014}") || text.eq_ignore_ascii_case("sp");
    if is_zero_or_one || is_dash {
        Quoted::Nothing
    } else {
        Quoted::Unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Pick, Transform};
    use regex::Regex;

    fn field() -> Field {
        Field {
            pick: Pick::Var("x".to_owned()),
            transforms: Vec::new(),
            regex: None,
            prefix: String::new(),
            optional: false,
        }
    }

    fn time(form: TimeForm, text: &str) -> Option<String> {
        let field = TimeField { field: field(), form };
        moment(&field, text).map(|at| at.to_string())
    }

    #[test]
    fn a_time_without_a_year_is_the_one_nearest_to_now() {
        let read = |pattern: &str, zone: &str, text: &str, now: &str| {
            let form = TimeForm::Clock(pattern.to_owned(), Zone::parse(zone).unwrap());
            let field = TimeField { field: field(), form };
            moment_near(&field, text, now.parse().unwrap()).map(|at| at.to_string())
        };
        let day = |text, now| read("%d %b %H:%M", "UTC", text, now);
        for (text, now, expected) in [
            (
                "07 Feb 20:45",
                "2027-02-01T00:00:00.000Z",
                "2027-02-07T20:45:00.000Z",
            ),
            (
                "07 Feb 20:45",
                "2027-03-01T00:00:00.000Z",
                "2027-02-07T20:45:00.000Z",
            ),
            // Around New Year it is next year's or last year's.
            (
                "02 Jan 15:00",
                "2026-12-30T12:00:00.000Z",
                "2027-01-02T15:00:00.000Z",
            ),
            (
                "31 Dec 23:30",
                "2027-01-01T00:10:00.000Z",
                "2026-12-31T23:30:00.000Z",
            ),
            // A leap day is known in the years beside its own alone.
            (
                "29 Feb 12:00",
                "2027-12-01T00:00:00.000Z",
                "2028-02-29T12:00:00.000Z",
            ),
        ] {
            assert_eq!(day(text, now).as_deref(), Some(expected), "{text} at {now}");
        }
        assert_eq!(day("29 Feb 12:00", "2026-06-01T00:00:00.000Z"), None);
        assert_eq!(day("07 Feb", "2027-02-01T00:00:00.000Z"), None);
        // The zone's own offset on that day, and a weekday that only one of the years has.
        let zoned = read(
            "%d.%m. %H:%M",
            "Europe/Berlin",
            "01.07. 20:00",
            "2027-06-01T00:00:00.000Z",
        );
        assert_eq!(zoned.as_deref(), Some("2027-07-01T18:00:00.000Z"));
        let weekday = |text| read("%a %d %b %H:%M", "UTC", text, "2026-11-22T00:00:00.000Z");
        assert_eq!(
            weekday("Sun 07 Feb 20:45").as_deref(),
            Some("2027-02-07T20:45:00.000Z")
        );
        assert_eq!(weekday("Mon 07 Feb 20:45"), None);
        // Patterns with a year say it themselves.
        for pattern in ["%Y", "%y", "%D", "%F", "%c", "%x", "%G", "%s", "%+"] {
            assert!(has_year(pattern), "{pattern}");
        }
        assert!(!has_year("%a %d %b %H:%M") && !has_year("%m-%d %T"));
    }

    #[test]
    fn what_is_no_price_is_told_from_what_is_nothing() {
        for text in [
            "0", "0.00", "1", "1.0", "1.000", "", " ", "-", "\u{2013}", "SP", "sp",
        ] {
            assert_eq!(quoted(text), Quoted::Nothing, "{text:?}");
        }
        for text in ["1,85", "-2", "0.5", "abc", "1e3", "NaN", "2000000", "1.8.5"] {
            assert_eq!(quoted(text), Quoted::Unreadable, "{text:?}");
        }
        assert_eq!(quoted(" 1.80 "), quoted("1.8"));
        assert_eq!(quoted("1.8"), Quoted::Price("1.8".parse().unwrap()));
    }

    #[test]
    fn transforms_then_the_expression_then_the_prefix() {
        let field = Field {
            transforms: vec![Transform::Trim],
            regex: Some(Regex::new("^total=([0-9.]+)$").unwrap()),
            prefix: "t:".to_owned(),
            ..field()
        };
        let read = |text: &str| text_of(&field, Some(text.to_owned()));
        assert_eq!(read(" total=2.5 "), Text::Some("t:2.5".to_owned()));
        assert_eq!(read("hcp=2.5"), Text::Strange("hcp=2.5".to_owned()));
        assert_eq!(read("  "), Text::None);
        assert_eq!(text_of(&field, None), Text::None);
    }

    #[test]
    fn moments_of_each_form_are_utc_and_others_are_refused() {
        let expected = Some("2026-11-22T19:45:00.000Z".to_owned());
        let utc = || TimeForm::Clock("%Y-%m-%d %H:%M".to_owned(), Zone::Named(chrono_tz::UTC));
        assert_eq!(time(TimeForm::Rfc3339, "2026-11-22T20:45:00+01:00"), expected);
        assert_eq!(time(TimeForm::EpochMs, "1795376700000"), expected);
        assert_eq!(time(TimeForm::EpochSeconds, "1795376700"), expected);
        assert_eq!(time(utc(), " 2026-11-22 19:45 "), expected);
        assert_eq!(time(TimeForm::Rfc3339, "2026-11-22T20:45:00"), None);
        assert_eq!(time(TimeForm::EpochMs, "9223372036854775807"), None);
        assert_eq!(time(TimeForm::EpochSeconds, "9223372036854775807"), None);
        assert_eq!(time(utc(), "2026-11-22"), None);
    }
}
