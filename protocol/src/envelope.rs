//! The envelope: `{"type":…,"timestamp":…,"data":…}`, compact, in this order, and nothing else.

use crate::{
    Cursor, Timestamp,
    odds::{OddsConfirmed, OddsUpdate},
    progress::ScrapeProgress,
    server::{
        CaughtUp, ConnectionAck, ErrorData, Heartbeat, Lagging, Pong, Reconnect, Resume, SubscriptionAck,
    },
};
use bytes::{BufMut, Bytes, BytesMut};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $word:literal carries $data:ty;)*) => {
        /// The types of messages to clients.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum MessageType {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl MessageType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }

        $(impl Data for $data { const TYPE: MessageType = MessageType::$name; })*

        /// The JSON Schema of the `data` of each type.
        pub(crate) fn data_schemas() -> Vec<(MessageType, Schema)> {
            vec![$((MessageType::$name, crate::schema::of::<$data>()),)*]
        }

        /// The JSON Schema of the whole message of each type, its parts among the generator's definitions.
        pub fn message_schemas(generator: &mut SchemaGenerator) -> Vec<(MessageType, Schema)> {
            vec![$((MessageType::$name, generator.subschema_for::<Received<$data>>()),)*]
        }
    };
}

/// What can stand under `data`: each such type belongs to one [`MessageType`].
pub trait Data: Serialize {
    /// The type of message that carries it.
    const TYPE: MessageType;
}

message_types! {
    /// First message on every connection.
    ConnectionAck = "connection_ack" carries ConnectionAck;
    /// What was asked for is delivered; live from here.
    CaughtUp = "caught_up" carries CaughtUp;
    /// A run moved.
    ScrapeProgress = "scrape_progress" carries ScrapeProgress;
    /// Quotes of a market changed.
    OddsUpdate = "odds_update" carries OddsUpdate;
    /// A source was checked completely.
    OddsConfirmed = "odds_confirmed" carries OddsConfirmed;
    /// Answer to subscribe and unsubscribe.
    SubscriptionAck = "subscription_ack" carries SubscriptionAck;
    /// Continuity changed in mid-connection.
    Resume = "resume" carries Resume;
    /// A sign of life with a safe cursor.
    Heartbeat = "heartbeat" carries Heartbeat;
    /// This client was too slow.
    Lagging = "lagging" carries Lagging;
    /// This replica will close this connection.
    Reconnect = "reconnect" carries Reconnect;
    /// Answer to ping.
    Pong = "pong" carries Pong;
    /// The client did something wrong, or something failed for it.
    Error = "error" carries ErrorData;
}

impl MessageType {
    /// Whether such messages come from the bus, and so can have a position; the others are a gateway's own.
    pub fn is_of_the_bus(self) -> bool {
        matches!(
            self,
            Self::ScrapeProgress | Self::OddsUpdate | Self::OddsConfirmed
        )
    }
}

/// One message, encoded: exactly the bytes that a WebSocket text frame or an SSE `data:` line carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    message_type: MessageType,
    bytes: Bytes,
}

impl Envelope {
    /// The message with this data, as of `at`.
    ///
    /// # Panics
    /// Never: the types under [`Data`] have string keys and no custom failing serialisers.
    pub fn of<D: Data>(at: Timestamp, data: &D) -> Self {
        let data = serde_json::to_vec(data).expect("data types serialise without failing");
        Self::from_bus(D::TYPE, &at.to_string(), &data)
    }

    /// The message of a bus event: the publisher's own time and the publisher's own bytes, spliced, not parsed.
    ///
    /// The event must have passed [`crate::event::check_event`].
    pub fn from_bus(message_type: MessageType, ce_time: &str, payload: &[u8]) -> Self {
        let mut bytes = BytesMut::with_capacity(payload.len() + 80);
        bytes.put_slice(b"{\"type\":\"");
        bytes.put_slice(message_type.as_str().as_bytes());
        bytes.put_slice(b"\",\"timestamp\":\"");
        bytes.put_slice(ce_time.as_bytes());
        bytes.put_slice(b"\",\"data\":");
        bytes.put_slice(payload);
        bytes.put_slice(b"}");
        Self {
            message_type,
            bytes: bytes.freeze(),
        }
    }

    /// Its type.
    pub fn message_type(&self) -> MessageType {
        self.message_type
    }

    /// The encoded message.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The `data` part of the encoded message.
    pub fn data(&self) -> &[u8] {
        let start = self
            .bytes
            .windows(8)
            .position(|w| w == b",\"data\":")
            .map_or(0, |at| at + 8);
        &self.bytes[start..self.bytes.len() - 1]
    }

    /// The encoded message with the position of this connection as a fourth, last key `id`.
    pub fn with_id(&self, cursor: &Cursor) -> Bytes {
        let cursor = cursor.to_string();
        let mut bytes = BytesMut::with_capacity(self.bytes.len() + cursor.len() + 10);
        bytes.put_slice(&self.bytes[..self.bytes.len() - 1]);
        bytes.put_slice(b",\"id\":\"");
        bytes.put_slice(cursor.as_bytes());
        bytes.put_slice(b"\"}");
        bytes.freeze()
    }
}

/// A message as a reader in Rust takes it apart: tests, the command line's clients.
#[derive(Debug, Clone, Deserialize)]
pub struct Received<D = Box<serde_json::value::RawValue>> {
    /// The type.
    #[serde(rename = "type")]
    pub message_type: MessageType,
    /// The event's own time.
    pub timestamp: Timestamp,
    /// The data.
    pub data: D,
    /// The position, where the message has one and the client takes part in resume.
    #[serde(default)]
    pub id: Option<Cursor>,
}

impl Received {
    /// Reads the data as the type that belongs to this message.
    ///
    /// # Errors
    /// What serde says when the data is not of that type.
    pub fn data<D: Data + DeserializeOwned>(&self) -> serde_json::Result<D> {
        serde_json::from_str(self.data.get())
    }
}

impl<D: Data + JsonSchema> JsonSchema for Received<D> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}Message", D::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let timestamp = generator.subschema_for::<Timestamp>();
        let data = generator.subschema_for::<D>();
        let cursor = generator.subschema_for::<Cursor>();
        let mut schema = json_schema!({
            "description": format!("A message of type {}.", D::TYPE.as_str()),
            "type": "object",
            "properties": { "type": { "const": D::TYPE.as_str() }, "timestamp": timestamp, "data": data },
            "required": ["type", "timestamp", "data"]
        });
        if D::TYPE.is_of_the_bus()
            && let Some(properties) = schema.get_mut("properties").and_then(|p| p.as_object_mut())
        {
            properties.insert("id".into(), cursor.to_value());
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_event_of_the_bus_keeps_the_publishers_bytes_and_time() {
        let payload = r#"{ "b":1 ,"a":  [2.50, "é"]}"#.as_bytes();
        let envelope = Envelope::from_bus(MessageType::OddsUpdate, "2026-02-06T01:30:00.123Z", payload);
        assert_eq!(
            envelope.bytes(),
            r#"{"type":"odds_update","timestamp":"2026-02-06T01:30:00.123Z","data":{ "b":1 ,"a":  [2.50, "é"]}}"#
                .as_bytes()
        );
        assert_eq!(envelope.data(), payload);
    }

    #[test]
    fn an_id_is_the_fourth_and_last_key() {
        let at: Timestamp = "2026-02-06T01:30:00.123Z".parse().unwrap();
        let cursor = Cursor::at(at);
        let text = Envelope::of(at, &Pong::default()).with_id(&cursor);
        let text = std::str::from_utf8(&text).unwrap().to_owned();
        assert_eq!(
            text,
            format!(
                r#"{{"type":"pong","timestamp":"2026-02-06T01:30:00.123Z","data":{{}},"id":"{cursor}"}}"#
            )
        );
        let received: Received = serde_json::from_str(&text).unwrap();
        assert_eq!(received.id, Some(cursor));
    }

    proptest! {
        #[test]
        fn any_checked_payload_comes_back_unchanged(keys in proptest::collection::btree_map("[a-z]{1,8}", ".{0,40}", 0..6)) {
            let payload = serde_json::to_vec(&keys).unwrap();
            let envelope = Envelope::from_bus(MessageType::ScrapeProgress, "2026-02-06T01:30:00.123Z", &payload);
            let received: Received = serde_json::from_slice(envelope.bytes()).unwrap();
            prop_assert_eq!(received.data.get().as_bytes(), &payload[..]);
            prop_assert_eq!(envelope.data(), &payload[..]);
        }
    }
}
