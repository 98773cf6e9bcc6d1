use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// A moment in UTC with milliseconds, written `2026-02-06T01:30:00.123Z` and only so.
///
/// The fixed form makes text order equal to time order (years 0000 to 9999).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

/// A text is not a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UTC time of the form 2026-02-06T01:30:00.123Z")]
pub struct TimestampError;

impl Timestamp {
    /// The wall clock now. The one place in the product that reads it.
    pub fn now() -> Self {
        Self::from(Utc::now())
    }

    /// From milliseconds since 1970-01-01T00:00:00Z; `None` outside the years 0000 to 9999.
    pub fn from_unix_ms(ms: i64) -> Option<Self> {
        let at = DateTime::from_timestamp_millis(ms)?;
        (DateTime::<Utc>::from_timestamp_millis(-62_167_219_200_000)? <= at
            && at <= DateTime::<Utc>::from_timestamp_millis(253_402_300_799_999)?)
        .then_some(Self(at))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_ms(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Milliseconds from `earlier` to this moment; 0 when `earlier` is later (a clock went back).
    pub fn ms_since(self, earlier: Self) -> u64 {
        u64::try_from((self.0 - earlier.0).num_milliseconds()).unwrap_or(0)
    }

    /// This moment moved by `ms` milliseconds; saturates at the ends of the range.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        self.0
            .checked_add_signed(TimeDelta::milliseconds(ms))
            .and_then(|at| Self::from_unix_ms(at.timestamp_millis()))
            .unwrap_or(self)
    }

    /// The same moment for calendar arithmetic.
    pub fn to_utc(self) -> DateTime<Utc> {
        self.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// Drops what is finer than a millisecond.
    fn from(at: DateTime<Utc>) -> Self {
        Self::from_unix_ms(at.timestamp_millis()).unwrap_or(Self(DateTime::UNIX_EPOCH))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let at = DateTime::parse_from_rfc3339(text).map_err(|_| TimestampError)?;
        let at = Self::from_unix_ms(at.timestamp_millis()).ok_or(TimestampError)?;
        // One form only: leap seconds, offsets, finer fractions and small letters are other texts.
        (at.to_string() == text).then_some(at).ok_or(TimestampError)
    }
}

/// Whether a text is a [`Timestamp`], without making one.
pub(crate) fn is_timestamp(text: &str) -> bool {
    const FORM: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
    let text = text.as_bytes();
    let is_of_form = text.len() == FORM.len()
        && text.iter().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            sign => byte == sign,
        });
    if !is_of_form {
        return false;
    }
    let number = |from, to| {
        text[from..to]
            .iter()
            .fold(0, |n, digit| n * 10 + u32::from(digit - b'0'))
    };
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let is_leap_year = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year => 29,
        2 => 28,
        _ => 0,
    };
    (1..=days).contains(&day) && number(11, 13) < 24 && number(14, 16) < 60 && number(17, 19) < 60
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "format": "date-time",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
            "description": "UTC with milliseconds."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_form_is_read_and_all_others_are_refused() {
        assert!("2026-02-06T01:30:00.123Z".parse::<Timestamp>().is_ok());
        for text in [
            "2026-02-06T01:30:00Z",
            "2026-02-06T01:30:00.123+00:00",
            "2026-02-06t01:30:00.123z",
            "2026-02-06T01:30:00.1234Z",
            "2026-02-06T01:30:60.000Z",
            "2026-02-30T01:30:00.000Z",
            "",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_a_time_can_be_told_without_making_one(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{3}Z|.{0,30}"
        ) {
            prop_assert_eq!(is_timestamp(&text), text.parse::<Timestamp>().is_ok(), "{}", text);
        }
        #[test]
        fn text_round_trips_and_orders_like_time(a in -62_167_219_200_000i64..=253_402_300_799_999, b in -62_167_219_200_000i64..=253_402_300_799_999) {
            let (a, b) = (Timestamp::from_unix_ms(a).unwrap(), Timestamp::from_unix_ms(b).unwrap());
            prop_assert_eq!(a.to_string().parse::<Timestamp>().unwrap(), a);
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }
    }
}
