//! Decimal prices as integers of thousandths.

/// A decimal price inside 1.001 to 1000.000, kept in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Price(u32);

impl Price {
    pub(crate) const MIN_THOUSANDTHS: u32 = 1_001;
    pub(crate) const MAX_THOUSANDTHS: u32 = 1_000_000;

    /// Gives the price of a selection with this probability, margin included, before any rounding to ticks.
    /// The answer is limited to the legal range.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is limited to 1001 to 1000000 before the cast"
    )]
    pub(crate) fn thousandths_of(probability: f64) -> u32 {
        let exact = (1_000.0 / probability.max(1e-9)).round();
        exact.clamp(f64::from(Self::MIN_THOUSANDTHS), f64::from(Self::MAX_THOUSANDTHS)) as u32
    }

    /// Takes thousandths, limited to the legal range.
    pub(crate) fn from_thousandths(thousandths: u32) -> Self {
        Self(thousandths.clamp(Self::MIN_THOUSANDTHS, Self::MAX_THOUSANDTHS))
    }

    pub(crate) fn thousandths(self) -> u32 {
        self.0
    }

    /// Gives the number that prints with at most three decimals: the double nearest to the exact price.
    pub(crate) fn number(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    /// Writes at least two decimals, as in `1.80` and `1.285`.
    pub(crate) fn padded(self) -> String {
        let text = format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000);
        text.strip_suffix('0').map_or(text.clone(), str::to_owned)
    }

    /// Writes no needless digit, as in `1.8` and `3`.
    pub(crate) fn trimmed(self) -> String {
        let text = format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_exact() {
        assert_eq!(Price::from_thousandths(1_800).padded(), "1.80");
        assert_eq!(Price::from_thousandths(1_285).padded(), "1.285");
        assert_eq!(Price::from_thousandths(1_800).trimmed(), "1.8");
        assert_eq!(Price::from_thousandths(30_000).trimmed(), "30");
    }

    proptest! {
        #[test]
        fn every_price_has_at_most_three_decimals(thousandths in 1_001_u32..=1_000_000) {
            let price = Price::from_thousandths(thousandths);
            for text in [price.number().to_string(), price.padded(), price.trimmed()] {
                let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
                prop_assert!(decimals <= 3, "{text}");
                let read: f64 = text.parse().unwrap();
                prop_assert_eq!((read * 1_000.0).round().to_string(), thousandths.to_string());
            }
        }

        #[test]
        fn any_probability_gives_a_legal_price(probability in -1.0_f64..3.0) {
            let thousandths = Price::thousandths_of(probability);
            prop_assert!((Price::MIN_THOUSANDTHS..=Price::MAX_THOUSANDTHS).contains(&thousandths));
        }
    }
}
