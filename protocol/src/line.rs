use crate::thousandths::{self, NumberError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// The line of a market: 2.5 goals, a handicap of -0.75. Held in thousandths.
///
/// From -1,000,000 to 1,000,000. A market without a line has `None`, which is never the same as line 0: a handicap
/// of 0 is a real bet. Handicaps are told from the home team's point of view.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(i32);

const MAX: i32 = 1_000_000_000;

impl Line {
    /// Makes a line from thousandths: `-750` is -0.75.
    ///
    /// # Errors
    /// [`NumberError::Range`] beyond plus or minus 1,000,000.
    pub fn from_thousandths(value: i64) -> Result<Self, NumberError> {
        match i32::try_from(value) {
            Ok(value) if (-MAX..=MAX).contains(&value) => Ok(Self(value)),
            _ => Err(NumberError::Range),
        }
    }

    /// The line in thousandths.
    pub fn thousandths(self) -> i32 {
        self.0
    }
}

impl FromStr for Line {
    type Err = NumberError;
    /// Reads a decimal text such as `-0.75` or `+1`.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        thousandths::parse(text).and_then(Self::from_thousandths)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        thousandths::format(i64::from(self.0), f)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({self})")
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        thousandths::serialize(i64::from(self.0), serializer)
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        thousandths::deserialize(deserializer)
            .and_then(|v| Self::from_thousandths(v).map_err(D::Error::custom))
    }
}

impl schemars::JsonSchema for Line {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Line".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "number", "minimum": -1_000_000, "maximum": 1_000_000,
            "description": "Line of a market with at most three decimals; null (no line) is not 0."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_line_and_line_zero_stay_apart_on_the_wire() {
        assert_eq!(serde_json::to_string(&None::<Line>).unwrap(), "null");
        assert_eq!(serde_json::to_string(&Some(Line(0))).unwrap(), "0");
        assert_eq!(serde_json::from_str::<Option<Line>>("0").unwrap(), Some(Line(0)));
        assert_eq!(serde_json::from_str::<Option<Line>>("null").unwrap(), None);
    }

    proptest! {
        #[test]
        fn every_line_survives_text_and_json(thousandths in -MAX..=MAX) {
            let line = Line(thousandths);
            prop_assert_eq!(line.to_string().parse::<Line>().unwrap(), line);
            let json = serde_json::to_string(&line).unwrap();
            prop_assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line);
        }
    }
}
