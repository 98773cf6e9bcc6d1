//! What every message must be: one envelope, with the data of its type and nothing else. All clients here look at each
//! message that they get.

use oddswire_protocol::{
    envelope::{Data, MessageType, Received},
    odds::{OddsConfirmed, OddsUpdate},
    progress::ScrapeProgress,
    server::{
        CaughtUp, ConnectionAck, ErrorData, Heartbeat, Lagging, Pong, Reconnect, Resume, SubscriptionAck,
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Looks at a message. The data of the bus' events are their publishers' own, and a test may publish anything.
pub(crate) fn check(text: &str) -> &str {
    let message = envelope(text);
    if !message.message_type.is_of_the_bus() {
        check_data(&message);
    }
    text
}

/// Looks at a message whose data must be right too; tells its type.
pub(crate) fn check_whole(text: &str) -> MessageType {
    let message = envelope(text);
    check_data(&message);
    message.message_type
}

fn envelope(text: &str) -> Received {
    let message: Received = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let id = message.id.as_ref().map(|id| format!(",\"id\":\"{id}\""));
    let whole = format!(
        "{{\"type\":\"{}\",\"timestamp\":\"{}\",\"data\":{}{}}}",
        message.message_type.as_str(),
        message.timestamp,
        message.data.get(),
        id.unwrap_or_default()
    );
    assert_eq!(text, whole, "an envelope has these keys, in this order");
    message
}

fn check_data(message: &Received) {
    match message.message_type {
        MessageType::ConnectionAck => same::<ConnectionAck>(message),
        MessageType::CaughtUp => same::<CaughtUp>(message),
        MessageType::ScrapeProgress => same::<ScrapeProgress>(message),
        MessageType::OddsUpdate => same::<OddsUpdate>(message),
        MessageType::OddsConfirmed => same::<OddsConfirmed>(message),
        MessageType::SubscriptionAck => same::<SubscriptionAck>(message),
        MessageType::Resume => same::<Resume>(message),
        MessageType::Heartbeat => same::<Heartbeat>(message),
        MessageType::Lagging => same::<Lagging>(message),
        MessageType::Reconnect => same::<Reconnect>(message),
        MessageType::Pong => same::<Pong>(message),
        MessageType::Error => same::<ErrorData>(message),
    }
}

/// The data are of the type whose schema is in `protocol/schemas`, with no key more and none less.
fn same<D: Data + DeserializeOwned>(message: &Received) {
    let text = message.data.get();
    let data: D = message.data().unwrap_or_else(|error| panic!("{error}: {text}"));
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(&data).unwrap(), value, "{:?}", D::TYPE);
}
