//! A bookmaker's margin.

/// What the prices of a whole market add up to above 100 %, as a percentage: `4.4 %`. Empty where a price is missing.
///
/// Prices stay exact everywhere else; here they are divided, for a figure of one decimal.
pub(super) fn margin(market: &str, prices: &[Option<oddswire_protocol::Price>]) -> String {
    // How many outcomes there must be, and how many of them win.
    let (outcomes, winners) = match market {
        "h2h" => (3, 1.0),
        "double_chance" => (3, 2.0),
        "totals" | "btts" | "spreads" => (2, 1.0),
        _ => return String::new(),
    };
    let sum: Option<f64> = prices
        .iter()
        .map(|price| price.map(|price| 1_000.0 / f64::from(price.thousandths())))
        .sum();
    match sum {
        Some(sum) if prices.len() == outcomes => {
            let percent = (sum / winners - 1.0) * 100.0;
            // No "-0.0".
            format!("{:.1} %", if percent.abs() < 0.05 { 0.0 } else { percent })
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_what_is_above_all_that_can_happen() {
        let prices = |texts: &[&str]| texts.iter().map(|text| text.parse().ok()).collect::<Vec<_>>();
        for (market, texts, told) in [
            ("totals", &["2", "2"][..], "0.0 %"),
            ("totals", &["1.9", "1.9"], "5.3 %"),
            ("totals", &["2.1", "2.1"], "-4.8 %"),
            ("h2h", &["3", "3", "3"], "0.0 %"),
            ("double_chance", &["1.5", "1.5", "1.5"], "0.0 %"),
            ("h2h", &["3", "3"], ""),
            ("h2h", &["3", "3", "none"], ""),
            ("corners", &["3", "3"], ""),
        ] {
            assert_eq!(margin(market, &prices(texts)), told, "{market} {texts:?}");
        }
    }
}
