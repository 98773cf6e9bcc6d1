//! What can be done with a text before it is a value: a closed list, without logic.

use super::{field, section::Section};
use regex::Regex;
use std::collections::BTreeMap;
use toml::{Spanned, de::DeValue};

const NAMES: [&str; 7] = [
    "trim",
    "lower",
    "upper",
    "decimal_comma",
    "decimal_point",
    "fractional_odds",
    "american_odds",
];

/// What can be done with a text.
#[derive(Debug, Clone)]
pub(crate) enum Transform {
    /// Takes white space away from both ends.
    Trim,
    /// Small letters.
    Lower,
    /// Capital letters.
    Upper,
    /// Makes `1234.5` of `1.234,5`.
    DecimalComma,
    /// Makes `1234.5` of `1,234.5`.
    DecimalPoint,
    /// Makes `3.5` of `5/2`.
    FractionalOdds,
    /// Makes `2.5` of `+150` and `1.5` of `-200`.
    AmericanOdds,
    /// Puts a text in the place of each match; `$1` in it is the first group.
    Replace(Regex, String),
    /// Multiplies a number, digit by digit.
    Scale(Factor),
    /// One text for another; a text that is not in it is no value.
    Map(BTreeMap<String, String>),
}

/// A decimal number: `digits` / 10^`decimals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Factor {
    /// All its digits, with its sign.
    pub(crate) digits: i128,
    /// How many of them stand behind the point.
    pub(crate) decimals: u32,
}

impl Factor {
    /// Reads `0.001`, `-1`, `100`: at most 18 digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sign, number) = match text.strip_prefix('-') {
            Some(number) => (-1, number),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{part}");
        let good = !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit());
        Some(Self {
            digits: sign * digits.parse::<i128>().ok().filter(|_| good)?,
            decimals: u32::try_from(part.len()).ok()?,
        })
    }
}

impl Transform {
    /// Reads one transform: a name, or a table with one of `replace`, `scale` and `map`.
    pub(super) fn decode<'t>(table: &Section<'t>, value: &'t Spanned<DeValue<'t>>) -> Option<Self> {
        if let DeValue::Table(_) = value.get_ref() {
            let name = format!("{}: transforms", table.name());
            return Self::of_table(table.as_section("transforms", value, name)?);
        }
        let text = table.as_text("transforms", value)?;
        Some(match text.text {
            "trim" => Self::Trim,
            "lower" => Self::Lower,
            "upper" => Self::Upper,
            "decimal_comma" => Self::DecimalComma,
            "decimal_point" => Self::DecimalPoint,
            "fractional_odds" => Self::FractionalOdds,
            "american_odds" => Self::AmericanOdds,
            other => {
                let known = format!(
                    "known: {}, and tables with replace, scale or map",
                    NAMES.join(", ")
                );
                let what = format_args!("unknown transform {other:?} ({known})");
                table.problem_at("transforms", &text.at, what);
                return None;
            }
        })
    }

    fn of_table(section: Section<'_>) -> Option<Self> {
        let replace = section.parsed("replace", field::regex);
        let with = section.text("with").map(|text| text.text.to_owned());
        let scale = section.parsed("scale", |text| {
            Factor::parse(text).ok_or_else(|| format!("{text:?} is no decimal number, as in \"0.001\""))
        });
        let map = Self::map(&section);
        if section.has("with") && !section.has("replace") {
            section.problem("with stands only beside replace");
        }
        let found = ["replace", "scale", "map"].map(|key| usize::from(section.has(key)));
        if found.iter().sum::<usize>() != 1 {
            section.problem("needs one of replace, scale and map");
        }
        section.finish();
        replace
            .map(|regex| Self::Replace(regex, with.unwrap_or_default()))
            .or(scale.map(Self::Scale))
            .or(map.map(Self::Map))
    }

    fn map(section: &Section<'_>) -> Option<BTreeMap<String, String>> {
        let table = section.section("map", &format!("{}: map", section.name()))?;
        let entries = table.entries().filter_map(|(from, to)| {
            let to = table.as_text(from.text, to)?;
            Some((from.text.to_owned(), to.text.to_owned()))
        });
        Some(entries.collect())
    }
}
