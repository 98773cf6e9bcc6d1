//! Identifiers. Each is opaque text of one shape that is safe as one token of a bus subject and of a topic.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, sync::Arc};

/// The longest identifier in bytes.
pub const ID_MAX_BYTES: usize = 64;

/// A text is not an identifier: `[a-z0-9_-]`, 1 to 64 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of a-z, 0-9, _ and -")]
pub struct IdError;

/// Whether `text` is one token: 1 to 64 of `[a-z0-9_-]`.
pub fn is_token(text: &str) -> bool {
    (1..=ID_MAX_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text, 1 to 64 of `[a-z0-9_-]`.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                is_token(text).then(|| Self(text.into())).ok_or(IdError)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": "^[a-z0-9_-]{1,64}$" })
            }
        }
    };
}

id! {
    /// The key of a source, as its definition file gives it: `alpha`.
    SourceKey
}
id! {
    /// One run of one source: a UUIDv7, so that run ids sort by the time of their request.
    RunId
}
id! {
    /// The runs that one request started: a UUIDv7.
    BatchId
}
id! {
    /// One sporting event. Opaque: every worker computes the same one for the same event.
    EventId
}
id! {
    /// A sport, in the-odds-api's words: `soccer`.
    SportKey
}
id! {
    /// A kind of market, in the-odds-api's words: `h2h`, `totals`, `btts`.
    MarketKey
}
id! {
    /// The part of the event that a market is about: `ft` full time, `h1` first half.
    Period
}
id! {
    /// A market in topics and subjects: `<key>-<period>`, such as `totals-h1`.
    MarketToken
}

impl RunId {
    /// A new id, of now.
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }

    /// The trace of a run that nobody asked for within another one: its own UUID; any other id is spread over the 128
    /// bits.
    pub fn trace_id(&self) -> u128 {
        let id = uuid::Uuid::try_parse(self.as_str())
            .unwrap_or_else(|_| uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, self.as_str().as_bytes()));
        id.as_u128()
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchId {
    /// A new id, of now.
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }
}

impl Default for BatchId {
    fn default() -> Self {
        Self::new()
    }
}

/// The namespace of event ids: drawn once, fixed for good, since every stored event id hangs on it.
const EVENT_NAMESPACE: uuid::Uuid = uuid::uuid!("6a3f0d3c-4b0e-5c59-9d7d-0f5f1f6f7b11");

impl EventId {
    /// The id of the event whose natural key is `key`, such as `mc:match:4711`: a UUIDv5, the same in every worker
    /// without any of them asking another.
    pub fn of(key: &str) -> Self {
        Self(
            uuid::Uuid::new_v5(&EVENT_NAMESPACE, key.as_bytes())
                .to_string()
                .into(),
        )
    }
}

impl MarketToken {
    /// The token of a market's key and period. `None` when the two together are longer than one token may be, or
    /// the period holds a `-`, which would make the token ambiguous.
    pub fn of(key: &MarketKey, period: &Period) -> Option<Self> {
        if period.as_str().contains('-') {
            return None;
        }
        format!("{key}-{period}").parse().ok()
    }

    /// Market and period; `None` where it has not both.
    pub fn parts(&self) -> Option<(MarketKey, Period)> {
        let (market, period) = self.as_str().rsplit_once('-')?;
        Some((market.parse().ok()?, period.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whatever_could_break_a_subject_is_no_id() {
        for text in ["", "a.b", "*", ">", "a b", "A", "ä", "a\n", &"x".repeat(65)] {
            assert_eq!(text.parse::<SourceKey>(), Err(IdError), "{text:?}");
        }
        assert!("x".repeat(64).parse::<SourceKey>().is_ok());
    }

    #[test]
    fn event_ids_depend_on_the_key_alone() {
        assert_eq!(EventId::of("mc:match:1"), EventId::of("mc:match:1"));
        assert_ne!(EventId::of("mc:match:1"), EventId::of("mc:match:2"));
    }

    proptest! {
        #[test]
        fn ids_of_any_text_are_valid_or_refused(text in ".{0,80}") {
            prop_assert_eq!(text.parse::<RunId>().is_ok(), is_token(&text));
        }
        #[test]
        fn later_runs_have_greater_ids(_n in 0..10u8) {
            let (a, b) = (RunId::new(), RunId::new());
            prop_assert!(a < b);
        }
    }
}
