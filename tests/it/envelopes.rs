//! Every type of message is one envelope with the data of its type. `truth.rs` looks at a scraper's own events alike,
//! and every client of these tests at what a gateway says.

use crate::harness::{Quote, World, Ws, frames};
use oddswire_protocol::{RunId, envelope::MessageType, progress::Status};

async fn look_for(client: &mut Ws, wanted: MessageType) {
    while frames::check_whole(&client.text().await) != wanted {}
}

#[tokio::test]
async fn every_message_is_one_envelope_with_the_data_of_its_type() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let mut client = gateway.ws("since=now").await;
    look_for(&mut client, MessageType::ConnectionAck).await;
    look_for(&mut client, MessageType::CaughtUp).await;
    for (text, answer) in [
        (r#"{"type":"ping","ref":7}"#, MessageType::Pong),
        (
            r#"{"type":"subscribe","topics":["odds_updates.soccer"]}"#,
            MessageType::SubscriptionAck,
        ),
        (r#"{"type":"shout"}"#, MessageType::Error),
    ] {
        client.send(text).await;
        look_for(&mut client, answer).await;
    }
    let run_id = RunId::new();
    world.run_event("alpha", &run_id, 1, Status::Running).await;
    look_for(&mut client, MessageType::ScrapeProgress).await;
    let quote = Quote {
        event: "e1",
        source: "alpha",
        price: "1.85",
    };
    world.odds_event(&quote).await;
    look_for(&mut client, MessageType::OddsUpdate).await;
    look_for(&mut client, MessageType::Heartbeat).await;
    gateway.ask_to_stop();
    look_for(&mut client, MessageType::Reconnect).await;
}

#[test]
#[should_panic = "an envelope has these keys, in this order"]
fn control_a_field_beside_the_data_is_found() {
    frames::check(r#"{"type":"pong","data":{},"timestamp":"2026-02-06T01:30:00.123Z"}"#);
}

#[test]
#[should_panic = "Pong"]
fn control_a_field_of_no_schema_is_found() {
    frames::check(r#"{"type":"pong","timestamp":"2026-02-06T01:30:00.123Z","data":{"reference":7}}"#);
}
