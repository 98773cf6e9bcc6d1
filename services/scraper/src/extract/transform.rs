//! Texts made other texts, as a field says. Numbers are calculated digit by digit, and none of them is rounded but
//! odds, to three decimals.

use crate::source::{Factor, Transform};

/// Does one thing with a text. `Err` is a text that the definition does not know; a number that cannot be read stays
/// as it is, so that it is found unreadable where it is used.
pub(super) fn apply(transform: &Transform, text: String) -> Result<String, String> {
    Ok(match transform {
        Transform::Trim => text.trim().to_owned(),
        Transform::Lower => text.to_lowercase(),
        Transform::Upper => text.to_uppercase(),
        Transform::DecimalComma => decimal_comma(&text),
        Transform::DecimalPoint => text.replace(',', ""),
        Transform::FractionalOdds => fractional(&text).unwrap_or(text),
        Transform::AmericanOdds => american(&text).unwrap_or(text),
        Transform::Replace(regex, with) => regex.replace_all(&text, with.as_str()).into_owned(),
        Transform::Scale(factor) => scaled(&text, *factor).unwrap_or(text),
        Transform::Map(map) => match map.get(text.trim()) {
            Some(to) => to.clone(),
            None => return Err(text),
        },
    })
}

/// Makes `1234.5` of `1.234,5`: points group, the comma is the decimal point. A text without a comma stays.
fn decimal_comma(text: &str) -> String {
    if text.contains(',') {
        text.replace('.', "").replace(',', ".")
    } else {
        text.to_owned()
    }
}

fn scaled(text: &str, factor: Factor) -> Option<String> {
    let number = Factor::parse(text.trim())?;
    let digits = number.digits * factor.digits;
    Some(written(digits, number.decimals + factor.decimals))
}

/// Decimal odds of `5/2`: 1 + 5/2. `evens` are 1/1.
fn fractional(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (over, under) = match text.as_str() {
        "evens" | "evs" | "even" => ("1", "1"),
        text => text.split_once('/')?,
    };
    let (over, under) = (natural(over)?, natural(under)?);
    Some(written(divided((over + under) * 1_000, under)?, 3))
}

/// Decimal odds of `+150`: 1 + 150/100, and of `-200`: 1 + 100/200.
fn american(text: &str) -> Option<String> {
    let text = text.trim().replace('\u{2212}', "-");
    let (favourite, number) = match text.strip_prefix('-') {
        Some(number) => (true, natural(number)?),
        None => (false, natural(text.strip_prefix('+').unwrap_or(&text))?),
    };
    // Nobody quotes less than 100 either way.
    let number = Some(number).filter(|number| *number >= 100)?;
    let (over, under) = if favourite { (100, number) } else { (number, 100) };
    Some(written(divided((over + under) * 1_000, under)?, 3))
}

fn natural(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Rounds half to even, as prices are.
fn divided(over: i128, under: i128) -> Option<i128> {
    let (whole, rest) = (over.checked_div(under)?, over.checked_rem(under)?);
    let up = match (2 * rest).cmp(&under) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => whole % 2 == 1,
    };
    Some(whole + i128::from(up))
}

fn written(digits: i128, decimals: u32) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let decimals = decimals as usize;
    let digits = format!("{:0>width$}", digits.unsigned_abs(), width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    match part.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        part => format!("{sign}{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn applied(transform: &Transform, text: &str) -> Result<String, String> {
        apply(transform, text.to_owned())
    }

    fn ok(transform: &Transform, text: &str) -> String {
        applied(transform, text).unwrap()
    }

    #[test]
    fn trim_takes_white_space_from_both_ends_alone() {
        assert_eq!(ok(&Transform::Trim, "\u{a0}\t a  b \n"), "a  b");
        assert_eq!(ok(&Transform::Trim, " "), "");
    }

    #[test]
    fn lower_makes_small_letters_in_every_script() {
        assert_eq!(ok(&Transform::Lower, "FC Ö\u{416} 1X"), "fc ö\u{436} 1x");
    }

    #[test]
    fn upper_makes_capital_letters_in_every_script() {
        assert_eq!(ok(&Transform::Upper, "1x ö\u{436} fc"), "1X Ö\u{416} FC");
    }

    #[test]
    fn decimal_point_takes_the_commas_that_group() {
        assert_eq!(ok(&Transform::DecimalPoint, "1,234.50"), "1234.50");
        assert_eq!(ok(&Transform::DecimalPoint, "1.85"), "1.85");
    }

    #[test]
    fn decimal_comma_fractional_and_american_odds_are_applied_by_name_and_leave_what_they_cannot_read() {
        assert_eq!(ok(&Transform::DecimalComma, "1.234,50"), "1234.50");
        assert_eq!(ok(&Transform::FractionalOdds, "5/2"), "3.5");
        assert_eq!(ok(&Transform::AmericanOdds, "-200"), "1.5");
        for transform in [Transform::FractionalOdds, Transform::AmericanOdds] {
            assert_eq!(ok(&transform, "SP"), "SP");
        }
    }

    #[test]
    fn replace_changes_each_match_and_knows_its_groups() {
        let regex = regex::Regex::new(r"(\d+)-(\d+)").unwrap();
        let replace = Transform::Replace(regex, "$2:$1".into());
        assert_eq!(ok(&replace, "1-2, 3-4"), "2:1, 4:3");
        assert_eq!(ok(&replace, "none"), "none");
    }

    #[test]
    fn scale_multiplies_and_leaves_what_is_no_number() {
        let scale = Transform::Scale(Factor::parse("0.001").unwrap());
        assert_eq!(ok(&scale, " 1850 "), "1.85");
        assert_eq!(ok(&scale, "SP"), "SP");
    }

    #[test]
    fn map_knows_its_texts_without_the_white_space_around_and_tells_every_other_one() {
        let map = Transform::Map([("1".to_owned(), "home".to_owned())].into());
        assert_eq!(ok(&map, " 1 "), "home");
        assert_eq!(applied(&map, "3"), Err("3".into()));
    }

    #[test]
    fn a_decimal_comma_is_read_and_points_group() {
        assert_eq!(decimal_comma("1.234,50"), "1234.50");
        assert_eq!(decimal_comma("1,85"), "1.85");
        assert_eq!(decimal_comma("1.85"), "1.85");
    }

    #[test]
    fn odds_of_other_kinds_become_decimal_ones() {
        for (text, expected) in [
            ("5/2", "3.5"),
            ("evens", "2"),
            ("1/3", "1.333"),
            (" 2/ 3 ", "1.667"),
        ] {
            assert_eq!(fractional(text).as_deref(), Some(expected), "{text}");
        }
        for (text, expected) in [
            ("+150", "2.5"),
            ("-200", "1.5"),
            ("100", "2"),
            ("\u{2212}110", "1.909"),
        ] {
            assert_eq!(american(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "SP", "1.85", "5/0", "-", "5/-2", "99999999999/1"] {
            assert_eq!(fractional(text), None, "{text}");
        }
        for text in ["", "SP", "1.85", "-0", "+0", "50", "-50"] {
            assert_eq!(american(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_scaled_without_losing_a_digit() {
        let scale = |text: &str, factor| scaled(text, Factor::parse(factor).unwrap());
        assert_eq!(scale("1850", "0.001").as_deref(), Some("1.85"));
        assert_eq!(scale("-1.5", "-1").as_deref(), Some("1.5"));
        assert_eq!(scale("0.1", "0.1").as_deref(), Some("0.01"));
        assert_eq!(scale("7", "0").as_deref(), Some("0"));
        assert_eq!(scale("SP", "0.001"), None);
    }

    proptest! {
        #[test]
        fn a_scaled_number_is_the_product_and_no_text_makes_it_panic(a in -1_000_000_i64..1_000_000, text in ".{0,40}") {
            let factor = Factor::parse("0.01").unwrap();
            let scaled_text = scaled(&a.to_string(), factor).unwrap();
            let back = scaled(&scaled_text, Factor::parse("100").unwrap()).unwrap();
            prop_assert_eq!(back, a.to_string());
            let _ = (scaled(&text, factor), fractional(&text), american(&text));
        }
    }
}
