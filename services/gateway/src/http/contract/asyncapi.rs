//! `AsyncAPI` 3: what WebSocket and Server-Sent Events carry, and what other services hear on the bus.

use crate::http::query::StreamQuery;
use oddswire_protocol::{
    BatchId, Feed, Subjects, Timestamp,
    client::command_schemas,
    close::{CloseCode, comes_back},
    envelope::{MessageType, message_schemas},
    header,
    odds::{OddsConfirmed, OddsUpdate},
    progress::{ScrapeProgress, Status},
    schema,
    server::ErrorCode,
};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

const ABOUT: &str = "What a gateway sends and takes, and what other services hear on NATS. Every message to a client is \
    an envelope of type, timestamp and data. Addresses that answer once are described by /api/openapi.json. Ignore \
    types and keys that you do not know: later releases may add some.";

/// The document.
pub(super) fn document() -> Value {
    let mut generator = schema::components();
    let mut messages = Map::new();
    let (mut told, mut asked) = (Vec::new(), Vec::new());
    for (message_type, payload) in message_schemas(&mut generator) {
        let word = message_type.as_str();
        messages.insert(word.into(), told_message(message_type, &payload.to_value()));
        told.push(word);
    }
    for (word, payload) in command_schemas(&mut generator) {
        let title = format!("{word}, of the client");
        messages.insert(
            word.into(),
            json!({ "name": word, "title": title, "contentType": "application/json", "payload": payload }),
        );
        asked.push(word);
    }
    let bus = bus(&mut generator);
    for (name, channel) in &bus {
        messages.insert((*name).into(), channel.message.clone());
    }
    let mut channels = client_channels(&mut generator, &told, &asked);
    channels.extend(
        bus.iter()
            .map(|(name, channel)| ((*name).into(), channel.described(name))),
    );
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Oddswire",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": servers(),
        "channels": channels,
        "operations": operations(&told, &asked, &bus),
        "components": {
            "messages": messages,
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Where the gateway asks for tokens: in the header Authorization; over WebSocket also as the \
                        subprotocol bearer.<token>, or as first message.",
                },
                "ticket": {
                    "type": "httpApiKey",
                    "in": "query",
                    "name": "ticket",
                    "description": "Opens one stream, once: POST /api/tickets gives it.",
                },
            },
        },
    })
}

fn servers() -> Value {
    let security = json!([
        { "$ref": "#/components/securitySchemes/bearer" },
        { "$ref": "#/components/securitySchemes/ticket" },
    ]);
    json!({
        "websocket": {
            "host": "127.0.0.1:8080",
            "protocol": "ws",
            "description": "Any gateway: all are equal.",
            "security": security,
        },
        "http": {
            "host": "127.0.0.1:8080",
            "protocol": "http",
            "description": "Any gateway: all are equal.",
            "security": security,
        },
        "bus": { "host": "127.0.0.1:4222", "protocol": "nats", "description": "NATS; docs/nats.md." },
    })
}

fn told_message(message_type: MessageType, payload: &Value) -> Value {
    let word = message_type.as_str();
    // An event called error would fire EventSource's own handler.
    let event = if message_type == MessageType::Error {
        "fault"
    } else {
        word
    };
    json!({
        "name": word,
        "title": word,
        "contentType": "application/json",
        "payload": payload,
        "x-sse-event": event,
    })
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/{kind}/{name}") })
}

/// A channel's messages, each under its own name.
fn carried(words: &[&str]) -> Value {
    let all = words.iter();
    let all = all.map(|word| ((*word).to_owned(), reference("components/messages", word)));
    Value::Object(all.collect())
}

fn client_channels(generator: &mut SchemaGenerator, told: &[&str], asked: &[&str]) -> Map<String, Value> {
    let query = StreamQuery::json_schema(generator);
    let mut query = query.to_value();
    // All of it may be left out.
    if let Some(query) = query.as_object_mut() {
        query.remove("required");
    }
    let both: Vec<&str> = told.iter().chain(asked).copied().collect();
    let closes: Vec<Value> = CloseCode::ALL
        .into_iter()
        .map(|close| {
            json!({
                "code": close.code(),
                "reason": close.reason(),
                "comes_back": comes_back(close.code()),
            })
        })
        .collect();
    let codes = generator.subschema_for::<ErrorCode>();
    let websocket = json!({
        "address": "/api/ws",
        "title": "WebSocket",
        "description": "One message a text frame. permessage-deflate when offered. A message that came late or not at all \
            is never a guess: connection_ack and resume say how the stream continues.",
        "servers": [reference("servers", "websocket")],
        "messages": carried(&both),
        "bindings": { "ws": { "method": "GET", "query": query, "bindingVersion": "0.1.0" } },
        "x-close-codes": closes,
        "x-error-codes": codes,
    });
    let about = "Server-Sent Events: the type in event:, the envelope in data:, the cursor in id: on every message \
        that has a position. Last-Event-ID continues.";
    let events = json!({
        "address": "/api/events",
        "title": "Server-Sent Events",
        "description": about,
        "servers": [reference("servers", "http")],
        "messages": carried(told),
    });
    let run = json!({
        "address": "/api/scrapes/{run_id}/events",
        "title": "Server-Sent Events of one run",
        "description": "Its last image, or all after the cursor; then every event up to the terminal one, and the end.",
        "servers": [reference("servers", "http")],
        "parameters": { "run_id": { "description": "The run." } },
        "messages": carried(told),
    });
    Map::from_iter([
        ("websocket".into(), websocket),
        ("events".into(), events),
        ("run_events".into(), run),
    ])
}

/// What the bus carries, as other services hear it.
struct OnBus {
    address: String,
    about: &'static str,
    message: Value,
}

impl OnBus {
    fn described(&self, name: &str) -> Value {
        let parameters: Map<String, Value> = self
            .address
            .split('.')
            .filter_map(|token| token.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| (name.to_owned(), json!({ "description": format!("The {name}.") })))
            .collect();
        json!({
            "address": self.address,
            "title": name,
            "description": self.about,
            "servers": [reference("servers", "bus")],
            "parameters": parameters,
            "messages": carried(&[name]),
        })
    }
}

fn bus(generator: &mut SchemaGenerator) -> [(&'static str, OnBus); 3] {
    let subjects = Subjects::default();
    let live = |feed, rest: &str| subjects.live_all(feed).replace('>', rest);
    let run = [
        (header::STATUS, generator.subschema_for::<Status>()),
        (header::BATCH, generator.subschema_for::<BatchId>()),
    ];
    let run = run.map(|(name, schema)| (name, schema.to_value()));
    [
        (
            "bus_run",
            OnBus {
                address: live(Feed::Run, "{source}.{run_id}"),
                about: "Every event of every run, in order.",
                message: heard::<ScrapeProgress>(generator, MessageType::ScrapeProgress, run.to_vec()),
            },
        ),
        (
            "bus_quote",
            OnBus {
                address: live(Feed::Odds, "quote.{sport}.{event_id}.{source}.{market}"),
                about: "The image of a market, whenever it changed.",
                message: heard::<OddsUpdate>(generator, MessageType::OddsUpdate, Vec::new()),
            },
        ),
        (
            "bus_confirmed",
            OnBus {
                address: live(Feed::Odds, "confirmed.{source}"),
                about: "A source was checked completely.",
                message: heard::<OddsConfirmed>(generator, MessageType::OddsConfirmed, Vec::new()),
            },
        ),
    ]
}

/// A message of the bus: the data alone, with the envelope in its headers.
fn heard<T: JsonSchema>(
    generator: &mut SchemaGenerator,
    message_type: MessageType,
    more: Vec<(&str, Value)>,
) -> Value {
    let mut headers: Map<String, Value> = [
        (header::CE_SPECVERSION, json!({ "const": "1.0" })),
        (header::CE_ID, json!({ "type": "string" })),
        (header::CE_SOURCE, json!({ "type": "string" })),
        (header::CE_TYPE, json!({ "const": message_type.as_str() })),
        (header::CE_TIME, generator.subschema_for::<Timestamp>().to_value()),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect();
    let required: Vec<String> = headers.keys().cloned().collect();
    headers.extend(more.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    json!({
        "name": message_type.as_str(),
        "title": format!("{} on the bus", message_type.as_str()),
        "contentType": "application/json",
        "headers": { "type": "object", "properties": headers, "required": required },
        "payload": generator.subschema_for::<T>(),
    })
}

/// From the gateway's side, as `AsyncAPI` has it: it sends what it tells, and receives what clients ask.
fn operations(told: &[&str], asked: &[&str], bus: &[(&'static str, OnBus)]) -> Value {
    let of = |channel: &str, words: &[&str]| -> Vec<Value> {
        words
            .iter()
            .map(|word| reference(&format!("channels/{channel}/messages"), word))
            .collect()
    };
    let mut all = Map::new();
    for channel in ["websocket", "events", "run_events"] {
        let name = format!("tell_{channel}");
        all.insert(
            name,
            json!({ "action": "send", "channel": reference("channels", channel), "messages": of(channel, told) }),
        );
    }
    for word in asked {
        let answer = if *word == "ping" {
            MessageType::Pong
        } else {
            MessageType::SubscriptionAck
        };
        let answers = [answer.as_str(), MessageType::Error.as_str()];
        all.insert(
            format!("take_{word}"),
            json!({
                "action": "receive",
                "channel": reference("channels", "websocket"),
                "messages": of("websocket", &[word]),
                "reply": { "channel": reference("channels", "websocket"), "messages": of("websocket", &answers) },
            }),
        );
    }
    for (channel, _) in bus {
        all.insert(
            format!("hear_{channel}"),
            json!({ "action": "receive", "channel": reference("channels", channel), "messages": of(channel, &[channel]) }),
        );
    }
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_is_one_that_a_gateway_reads() {
        let document = document();
        for channel in ["bus_run", "bus_quote", "bus_confirmed"] {
            let address = document["channels"][channel]["address"].as_str().unwrap();
            let subject = address.replace(['{', '}'], "");
            assert!(Subjects::default().parse(&subject).is_some(), "{subject}");
        }
    }

    #[test]
    fn every_message_and_every_close_code_is_there() {
        let document = document();
        let websocket = &document["channels"]["websocket"];
        for message_type in MessageType::ALL {
            let word = message_type.as_str();
            assert!(websocket["messages"][word].is_object(), "{word}");
            let name = document["components"]["messages"][word]["payload"]["$ref"]
                .as_str()
                .unwrap();
            let schema = document.pointer(name.trim_start_matches('#')).unwrap();
            assert_eq!(schema["properties"]["type"]["const"], word);
        }
        assert_eq!(
            websocket["x-close-codes"].as_array().unwrap().len(),
            CloseCode::ALL.len()
        );
    }
}
