//! Names and kinds of the fields of an object, written down here a second time on purpose.

use super::message::{is_cursor, is_timestamp};
use crate::conformance::check::{ensure, shortened};
use serde_json::Value;

/// What a field may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// A time in UTC with milliseconds.
    Time,
    /// An integer that is not negative.
    Count,
    /// A number that is not negative.
    Number,
    /// `[a-z0-9_-]{1,64}`.
    Token,
    Cursor,
    Flag,
    Object,
    List,
    /// A list of tokens.
    Tokens,
    /// A list of texts.
    Texts,
    OneOf(&'static [&'static str]),
    /// Decimal odds: 1.001 to 1,000,000, at most three decimals.
    Price,
    /// A line: at most three decimals, and a sign.
    Line,
    /// This, or null; but there.
    OrNull(&'static Kind),
    /// This, or not there.
    Maybe(&'static Kind),
}

impl Kind {
    fn holds(self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Self::Text => text.is_some(),
            Self::Time => text.is_some_and(is_timestamp),
            Self::Count => value.is_u64(),
            Self::Number => value.as_f64().is_some_and(|number| number >= 0.0),
            Self::Token => text.is_some_and(is_token),
            Self::Cursor => text.is_some_and(is_cursor),
            Self::Flag => value.is_boolean(),
            Self::Object => value.is_object(),
            Self::List => value.is_array(),
            Self::Tokens => all(value, |value| value.as_str().is_some_and(is_token)),
            Self::Texts => all(value, Value::is_string),
            Self::OneOf(words) => text.is_some_and(|text| words.contains(&text)),
            Self::Price => {
                value.as_f64().is_some_and(|price| (1.001..=1e6).contains(&price)) && is_short(value)
            }
            Self::Line => value.as_f64().is_some_and(|line| (-1e6..=1e6).contains(&line)) && is_short(value),
            Self::OrNull(kind) | Self::Maybe(kind) => value.is_null() || kind.holds(value),
        }
    }

    fn told(self) -> String {
        match self {
            Self::Text => "a text".into(),
            Self::Time => "a time like 2026-02-06T01:30:00.123Z".into(),
            Self::Count => "an integer from 0 on".into(),
            Self::Number => "a number from 0 on".into(),
            Self::Token => "1 to 64 of a-z, 0-9, _ and -".into(),
            Self::Cursor => "a cursor".into(),
            Self::Flag => "true or false".into(),
            Self::Object => "an object".into(),
            Self::List => "a list".into(),
            Self::Tokens => "a list of ids".into(),
            Self::Texts => "a list of texts".into(),
            Self::OneOf(words) => format!("one of {}", words.join(" ")),
            Self::Price => "decimal odds with at most three decimals".into(),
            Self::Line => "a number with at most three decimals".into(),
            Self::OrNull(kind) => format!("{}, or null", kind.told()),
            Self::Maybe(kind) => format!("{}, or left out", kind.told()),
        }
    }
}

fn all(value: &Value, holds: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|values| values.iter().all(holds))
}

/// Whether the number is written with at most three decimals, and without an exponent.
fn is_short(value: &Value) -> bool {
    let text = value.to_string();
    !text.contains(['e', 'E'])
        && text
            .split_once('.')
            .is_none_or(|(_, decimals)| decimals.len() <= 3)
}

pub(crate) fn is_token(text: &str) -> bool {
    let is_of_one = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(is_of_one)
}

/// Judges the fields of an object; others may be there too.
pub(crate) fn shape(value: &Value, what: &str, fields: &[(&str, Kind)]) -> Result<(), String> {
    let object = value
        .as_object()
        .ok_or_else(|| format!("{what} is no object: {}", shortened(&value.to_string(), 100)))?;
    for (name, kind) in fields {
        let Some(value) = object.get(*name) else {
            ensure(matches!(kind, Kind::Maybe(_)), || {
                format!("{what} has no {name:?}")
            })?;
            continue;
        };
        ensure(kind.holds(value), || {
            let value = shortened(&value.to_string(), 100);
            format!("{name:?} of {what} is {value}, which is not {}", kind.told())
        })?;
    }
    Ok(())
}

/// The entries of a list.
pub(crate) fn entries<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>, String> {
    let list = value[name].as_array();
    list.ok_or_else(|| format!("there is no list {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_there_and_of_its_kind() {
        let fields = [
            ("a", Kind::Count),
            ("b", Kind::OrNull(&Kind::Time)),
            ("c", Kind::Maybe(&Kind::Token)),
        ];
        let judge = |value| shape(&value, "x", &fields);
        assert_eq!(judge(json!({"a": 1, "b": null, "more": 1})), Ok(()));
        assert_eq!(
            judge(json!({"a": 1, "b": "2026-02-06T01:30:00.123Z", "c": "h2h-ft"})),
            Ok(())
        );
        for bad in [
            json!({"a": -1, "b": null}),
            json!({"a": 1}),
            json!({"a": 1, "b": 2}),
            json!({"a": 1, "b": "2026-02-06 01:30:00"}),
            json!({"a": 1, "b": null, "c": "Ä"}),
            json!([]),
        ] {
            assert!(judge(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn prices_have_three_decimals_at_most() {
        let judge = |text: &str| Kind::Price.holds(&serde_json::from_str(text).unwrap());
        for good in ["1.85", "2", "1.001", "1000000"] {
            assert!(judge(good), "{good}");
        }
        for bad in ["1", "0", "-2.5", "1.8501", "\"1.85\"", "null"] {
            assert!(!judge(bad), "{bad}");
        }
    }
}
