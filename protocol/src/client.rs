//! Messages from WebSocket clients.

use crate::server::{ErrorCode, ErrorData, Ref};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::json;

/// The longest `ref` that is given back, in bytes of its text.
pub const REF_MAX_BYTES: usize = 128;

/// The longest time, in milliseconds, in which a client gets at most one message a key.
pub const CONFLATE_MS_MAX: u64 = 60_000;

/// The shortest time between heartbeats, in milliseconds, that a client may ask for.
pub const HEARTBEAT_MS_MIN: u64 = 1_000;

/// The longest time between heartbeats, in milliseconds, that a client may ask for.
pub const HEARTBEAT_MS_MAX: u64 = 60_000;

/// A message from a client. Unknown keys are ignored, so that newer clients can speak to older replicas.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientMessage {
    /// Asks for a `pong`.
    Ping {
        /// Given back.
        reference: Option<Ref>,
    },
    /// Adds topics.
    Subscribe {
        /// As the client wrote them; each is judged by itself.
        topics: Vec<String>,
        /// From where.
        since: SubscribeSince,
        /// Asks for another conflation of the whole connection.
        conflate_ms: Option<u64>,
        /// Given back.
        reference: Option<Ref>,
    },
    /// Removes topics, named exactly as granted.
    Unsubscribe {
        /// As the client wrote them.
        topics: Vec<String>,
        /// Given back.
        reference: Option<Ref>,
    },
    /// Brings a token.
    Auth {
        /// The token.
        token: String,
        /// Given back.
        reference: Option<Ref>,
    },
}

/// From where a subscribe in mid-connection begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscribeSince {
    /// From now on.
    #[default]
    Now,
    /// The last image of each key, then live.
    Snapshot,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    message_type: Option<serde_json::Value>,
    #[serde(rename = "ref")]
    reference: Option<Ref>,
}

/// Asks for a `pong`.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PingCommand", transform = command("ping"))]
struct PingBody {}

/// Adds topics.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SubscribeCommand", transform = command("subscribe"))]
struct SubscribeBody {
    /// Each is judged by itself.
    topics: Vec<String>,
    /// From where.
    #[serde(default)]
    since: SubscribeSince,
    /// Milliseconds in which at most one message a key comes, from now on, on the whole connection.
    #[schemars(range(max = CONFLATE_MS_MAX))]
    conflate_ms: Option<u64>,
}

/// Removes topics.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "UnsubscribeCommand", transform = command("unsubscribe"))]
struct UnsubscribeBody {
    /// Named exactly as granted.
    topics: Vec<String>,
}

/// Brings a token.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AuthCommand", transform = command("auth"))]
struct AuthBody {
    /// A JSON Web Token.
    token: String,
}

/// What every command has besides.
fn command(word: &'static str) -> impl Fn(&mut Schema) {
    let reference = json!({
        "description": "Given back in the answer.",
        "type": ["string", "number", "null"],
        "maxLength": REF_MAX_BYTES
    });
    move |schema| {
        let schema = schema.ensure_object();
        let properties = schema.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert("type".into(), json!({ "const": word }));
            properties.insert("ref".into(), reference.clone());
        }
        let required = schema.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.insert(0, json!("type"));
        }
    }
}

/// The JSON Schema of each command, its parts among the generator's definitions.
pub fn command_schemas(generator: &mut SchemaGenerator) -> [(&'static str, Schema); 4] {
    [
        ("ping", generator.subschema_for::<PingBody>()),
        ("subscribe", generator.subschema_for::<SubscribeBody>()),
        ("unsubscribe", generator.subschema_for::<UnsubscribeBody>()),
        ("auth", generator.subschema_for::<AuthBody>()),
    ]
}

/// The JSON Schema of each command.
pub(crate) fn schemas() -> [(&'static str, Schema); 4] {
    [
        ("ping", crate::schema::of::<PingBody>()),
        ("subscribe", crate::schema::of::<SubscribeBody>()),
        ("unsubscribe", crate::schema::of::<UnsubscribeBody>()),
        ("auth", crate::schema::of::<AuthBody>()),
    ]
}

impl ClientMessage {
    /// Reads one text message.
    ///
    /// # Errors
    /// The `error` to send back: `invalid_json`, `unknown_type` or `invalid_message`, with the message's `ref` where
    /// that could be read.
    pub fn parse(text: &str) -> Result<Self, ErrorData> {
        let fault = |code, detail: String, reference| ErrorData {
            code,
            detail,
            reference,
        };
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|e| fault(ErrorCode::InvalidJson, format!("not JSON: {e}"), None))?;
        let not_a_message = || {
            fault(
                ErrorCode::InvalidMessage,
                "a message is an object with a \"type\"".into(),
                None,
            )
        };
        if !value.is_object() {
            return Err(not_a_message());
        }
        let head: Head = serde_json::from_value(value.clone()).map_err(|_| not_a_message())?;
        let reference = checked_ref(head.reference)?;
        let Some(serde_json::Value::String(message_type)) = head.message_type else {
            return Err(ErrorData {
                reference,
                ..not_a_message()
            });
        };
        let invalid = |e: serde_json::Error| {
            fault(
                ErrorCode::InvalidMessage,
                format!("{message_type}: {e}"),
                reference.clone(),
            )
        };
        match message_type.as_str() {
            "ping" => {
                let PingBody {} = serde_json::from_value(value).map_err(invalid)?;
                Ok(Self::Ping { reference })
            }
            "subscribe" => {
                let SubscribeBody {
                    topics,
                    since,
                    conflate_ms,
                } = serde_json::from_value(value).map_err(invalid)?;
                if conflate_ms.is_some_and(|ms| ms > CONFLATE_MS_MAX) {
                    let detail = format!("subscribe: conflate_ms must be 0 to {CONFLATE_MS_MAX}");
                    return Err(fault(ErrorCode::InvalidMessage, detail, reference));
                }
                Ok(Self::Subscribe {
                    topics,
                    since,
                    conflate_ms,
                    reference,
                })
            }
            "unsubscribe" => {
                let UnsubscribeBody { topics } = serde_json::from_value(value).map_err(invalid)?;
                Ok(Self::Unsubscribe { topics, reference })
            }
            "auth" => {
                let AuthBody { token } = serde_json::from_value(value).map_err(invalid)?;
                Ok(Self::Auth { token, reference })
            }
            other => {
                let shown: String = other.chars().take(40).collect();
                let detail =
                    format!("unknown type {shown:?}: clients send ping, subscribe, unsubscribe and auth");
                Err(fault(ErrorCode::UnknownType, detail, reference))
            }
        }
    }
}

fn checked_ref(reference: Option<Ref>) -> Result<Option<Ref>, ErrorData> {
    let good = match &reference {
        None | Some(Ref::Null | Ref::Number(_)) => true,
        Some(Ref::String(text)) => text.len() <= REF_MAX_BYTES,
        Some(_) => false,
    };
    if !good {
        return Err(ErrorData {
            code: ErrorCode::InvalidMessage,
            detail: format!("ref must be a number or a text of at most {REF_MAX_BYTES} bytes"),
            reference: None,
        });
    }
    Ok(reference.filter(|r| !r.is_null()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> ErrorCode {
        ClientMessage::parse(text).unwrap_err().code
    }

    #[test]
    fn good_messages_are_read() {
        assert_eq!(
            ClientMessage::parse(r#"{"type":"ping"}"#),
            Ok(ClientMessage::Ping { reference: None })
        );
        assert_eq!(
            ClientMessage::parse(r#"{"type":"ping","ref":7,"later":true}"#),
            Ok(ClientMessage::Ping {
                reference: Some(7.into())
            })
        );
        assert_eq!(
            ClientMessage::parse(
                r#"{"type":"subscribe","topics":["odds_updates"],"since":"snapshot","conflate_ms":250,"ref":"a"}"#
            ),
            Ok(ClientMessage::Subscribe {
                topics: vec!["odds_updates".into()],
                since: SubscribeSince::Snapshot,
                conflate_ms: Some(250),
                reference: Some("a".into()),
            })
        );
    }

    #[test]
    fn each_kind_of_bad_message_has_its_code() {
        assert_eq!(code("{"), ErrorCode::InvalidJson);
        assert_eq!(code(""), ErrorCode::InvalidJson);
        for text in [
            "[]",
            "1",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":null}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","topics":"odds_updates"}"#,
            r#"{"type":"subscribe","topics":[],"since":"yesterday"}"#,
            r#"{"type":"subscribe","topics":[],"conflate_ms":-1}"#,
            r#"{"type":"subscribe","topics":[],"conflate_ms":60001}"#,
            r#"{"type":"unsubscribe","topics":[1]}"#,
            r#"{"type":"auth"}"#,
            r#"{"type":"ping","ref":{}}"#,
        ] {
            assert_eq!(code(text), ErrorCode::InvalidMessage, "{text}");
        }
        assert_eq!(code(r#"{"type":"shout"}"#), ErrorCode::UnknownType);
    }

    #[test]
    fn an_error_carries_the_ref_of_its_message() {
        let error = ClientMessage::parse(r#"{"type":"shout","ref":"r-1"}"#).unwrap_err();
        assert_eq!(error.reference, Some("r-1".into()));
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(text in ".{0,200}") {
            let _ = ClientMessage::parse(&text);
        }
        #[test]
        fn deep_nesting_is_an_error_not_a_stack_overflow(depth in 200..5000usize) {
            prop_assert!(ClientMessage::parse(&"[".repeat(depth)).is_err());
        }
    }
}
