use crate::thousandths::{self, NumberError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// A decimal price: what one unit staked returns, the stake included. Held in thousandths.
///
/// From 1.001 to 1,000,000 inclusive. On the wire it is a plain JSON number with at most three decimals; inside it
/// is an integer, so that equality, ordering and hashing mean what they say (`1.80` and `1.8` are one price).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(u32);

impl Price {
    /// The lowest price: 1.001. A site's 0, 1 or blank is not a price but "not offered".
    pub const MIN: Self = Self(1_001);
    /// The highest price: 1,000,000.
    pub const MAX: Self = Self(1_000_000_000);

    /// Makes a price from thousandths: `1850` is 1.85.
    ///
    /// # Errors
    /// [`NumberError::Range`] outside [`Price::MIN`]`..=`[`Price::MAX`].
    pub fn from_thousandths(value: i64) -> Result<Self, NumberError> {
        match u32::try_from(value) {
            Ok(value) if (Self::MIN.0..=Self::MAX.0).contains(&value) => Ok(Self(value)),
            _ => Err(NumberError::Range),
        }
    }

    /// The price in thousandths.
    pub fn thousandths(self) -> u32 {
        self.0
    }
}

impl FromStr for Price {
    type Err = NumberError;
    /// Reads a decimal text such as `1.85`; places past the third are rounded half to even.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        thousandths::parse(text).and_then(Self::from_thousandths)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        thousandths::format(i64::from(self.0), f)
    }
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Price({self})")
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        thousandths::serialize(i64::from(self.0), serializer)
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        thousandths::deserialize(deserializer)
            .and_then(|v| Self::from_thousandths(v).map_err(D::Error::custom))
    }
}

impl schemars::JsonSchema for Price {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Price".into()
    }
    // No `multipleOf: 0.001`: validators compute it in floating point and refuse good prices.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "number", "minimum": 1.001, "maximum": 1_000_000,
            "description": "Decimal price with at most three decimals."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zero_one_and_the_absurd_are_not_prices() {
        for text in ["0", "1", "1.0004", "1000000.001", "-2"] {
            assert_eq!(text.parse::<Price>(), Err(NumberError::Range), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_price_survives_text_and_json(thousandths in 1_001u32..=1_000_000_000) {
            let price = Price(thousandths);
            prop_assert_eq!(price.to_string().parse::<Price>().unwrap(), price);
            let json = serde_json::to_string(&price).unwrap();
            prop_assert_eq!(&json, &price.to_string());
            prop_assert_eq!(serde_json::from_str::<Price>(&json).unwrap(), price);
        }
    }
}
