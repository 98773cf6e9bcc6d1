//! Exact decimal numbers with at most three places, held as integers of thousandths.
//!
//! Prices and lines never pass through floating-point arithmetic: text is read digit by digit, and the only float
//! here is the last step of writing JSON, where the nearest double of `n / 1000` prints as the same decimal again.

use serde::{Deserializer, Serializer, de};

/// Why a text or a JSON number is not a price or a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not an optional sign, digits, and at most one point with digits behind it.
    #[error("not a decimal number")]
    Syntax,
    /// A number, but outside the range of the type.
    #[error("outside the allowed range")]
    Range,
    /// A JSON number with more than three decimals.
    #[error("more than three decimals")]
    Places,
}

/// Reads a decimal text as thousandths. Digits past the third place are rounded half to even.
pub(crate) fn parse(text: &str) -> Result<i64, NumberError> {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).as_bytes();
    let point = digits.iter().position(|b| *b == b'.');
    let (whole, fraction) = point.map_or((digits, &[][..]), |at| (&digits[..at], &digits[at + 1..]));
    let well_formed = !whole.is_empty()
        && (point.is_none() || !fraction.is_empty())
        && whole.iter().chain(fraction).all(u8::is_ascii_digit);
    if !well_formed {
        return Err(NumberError::Syntax);
    }
    let mut value: i64 = 0;
    for digit in whole.iter().chain(fraction.iter().chain(b"000").take(3)) {
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(i64::from(digit - b'0')))
            .ok_or(NumberError::Range)?;
    }
    // The three places are in; what is left decides the rounding.
    if let Some((first, rest)) = fraction.get(3..).and_then(<[u8]>::split_first) {
        let above_half = *first > b'5' || (*first == b'5' && rest.iter().any(|b| *b != b'0'));
        let half = *first == b'5' && !above_half;
        if above_half || (half && value % 2 == 1) {
            value += 1;
        }
    }
    Ok(if negative { -value } else { value })
}

/// Writes thousandths as the shortest decimal text: `1850` is `1.85`, `-750` is `-0.75`, `2000` is `2`.
pub(crate) fn format(value: i64, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let sign = if value < 0 { "-" } else { "" };
    let (whole, rest) = (value.unsigned_abs() / 1000, value.unsigned_abs() % 1000);
    if rest == 0 {
        return write!(f, "{sign}{whole}");
    }
    let fraction = format!("{rest:03}");
    write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

/// Serialises thousandths as a plain JSON number with at most three decimals.
#[expect(
    clippy::cast_precision_loss,
    reason = "prices and lines are below 2^53 by far"
)]
pub(crate) fn serialize<S: Serializer>(value: i64, serializer: S) -> Result<S::Ok, S::Error> {
    if value % 1000 == 0 {
        serializer.serialize_i64(value / 1000)
    } else {
        serializer.serialize_f64(value as f64 / 1000.0)
    }
}

/// How far a double is from a whole number of thousandths at most, when it stands for one of at most a million: less than
/// 2^-22 by rounding.
const ROUNDING: f64 = 1e-6;

/// Deserialises a JSON number of at most three decimals as thousandths.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Number;
    impl de::Visitor<'_> for Number {
        type Value = i64;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a number with at most three decimals")
        }
        fn visit_i64<E: de::Error>(self, v: i64) -> Result<i64, E> {
            v.checked_mul(1000).ok_or_else(|| E::custom(NumberError::Range))
        }
        fn visit_u64<E: de::Error>(self, v: u64) -> Result<i64, E> {
            i64::try_from(v)
                .map_err(E::custom)
                .and_then(|v| self.visit_i64(v))
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the range is checked on the line before"
        )]
        fn visit_f64<E: de::Error>(self, v: f64) -> Result<i64, E> {
            let scaled = (v * 1000.0).round();
            if scaled.abs() > 1e15 || scaled.is_nan() {
                return Err(E::custom(NumberError::Range));
            }
            if (v * 1000.0 - scaled).abs() > ROUNDING && scaled.abs() <= 1e9 {
                return Err(E::custom(NumberError::Places));
            }
            Ok(scaled as i64)
        }
    }
    deserializer.deserialize_any(Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_exactly_and_rounded_half_to_even() {
        for (text, expected) in [
            ("1.85", 1850),
            ("1.850", 1850),
            ("2", 2000),
            ("-0.75", -750),
            ("+0.5", 500),
            ("0", 0),
            ("1.0005", 1000),
            ("1.0015", 1002),
            ("1.00050001", 1001),
            ("1.2344999", 1234),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_decimal_is_refused() {
        for text in [
            "", "-", ".", "1.", ".5", "1,85", "1e3", " 1", "SP", "1.8.5", "--1", "0x1", "１",
        ] {
            assert_eq!(parse(text), Err(NumberError::Syntax), "{text:?}");
        }
        assert_eq!(parse("99999999999999999999"), Err(NumberError::Range));
    }
}
