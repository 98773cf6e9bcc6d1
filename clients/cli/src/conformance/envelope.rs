//! The form of every message, and of the data of events.

use super::{
    check::{Check, Group, Judged, Miss, ensure, skip},
    judge::{
        event,
        message::{self, Message, judge_ids},
    },
    probe::{Probe, Transport},
};
use std::collections::HashMap;

const fn check(name: &'static str, says: &'static str, run: super::Run) -> Check {
    Check {
        group: Group::Envelope,
        name,
        says,
        run,
    }
}

const ENVELOPE: &str = "Every message is {\"type\",\"timestamp\",\"data\"}: exactly these keys in this order, compact; \
                        timestamp is UTC, ISO 8601, milliseconds, Z.";

pub(crate) const CHECKS: &[Check] = &[
    check("websocket-envelopes", ENVELOPE, |probe| {
        Box::pin(envelopes(probe, Transport::WebSocket))
    }),
    check("sse-envelopes", ENVELOPE, |probe| {
        Box::pin(envelopes(probe, Transport::Events))
    }),
    check("answers-are-envelopes", ENVELOPE, |probe| {
        Box::pin(answers(probe))
    }),
    check(
        "websocket-id",
        "A WebSocket client that sent since gets a fourth, last key on bus messages that have a position: \"id\".",
        |probe| Box::pin(ids(probe)),
    ),
    check(
        "same-bytes",
        "The envelope of an event is byte-identical live and replayed, on WebSocket and SSE.",
        |probe| Box::pin(same_bytes(probe)),
    ),
    check(
        "event-data",
        "data is the image of a run, the image of one market of one event at one source, or what was confirmed.",
        |probe| Box::pin(event_data(probe)),
    ),
];

async fn snapshot(probe: &Probe, transport: Transport) -> Result<Vec<Message>, Miss> {
    let mut stream = probe.stream(transport, "since=snapshot").await?;
    stream.until("caught_up").await
}

async fn envelopes(probe: Probe, transport: Transport) -> Judged {
    for message in snapshot(&probe, transport).await? {
        message::judge(&message)?;
    }
    Ok(())
}

async fn answers(probe: Probe) -> Judged {
    let mut socket = probe.socket("").await?;
    socket.next_of("connection_ack").await?;
    for (sent, kind) in [
        (r#"{"type":"ping"}"#, "pong"),
        (r#"{"type":"subscribe","topics":[]}"#, "subscription_ack"),
        (r#"{"type":"conformance"}"#, "error"),
    ] {
        socket.send(sent).await?;
        loop {
            let answer = socket.message().await?;
            message::judge(&answer)?;
            if answer.kind() == kind {
                break;
            }
            if !answer.is_event() && answer.kind() != "heartbeat" && answer.kind() != "caught_up" {
                return Err(Miss::Failed(format!(
                    "{kind} was awaited, and {} came",
                    answer.kind()
                )));
            }
        }
    }
    Ok(())
}

async fn ids(probe: Probe) -> Judged {
    let with = snapshot(&probe, Transport::WebSocket).await?;
    judge_ids(&with, true)?;
    if !with.iter().any(Message::is_event) {
        return skip("there is no event to look at");
    }
    // Without since nothing is asked for, so a subscription has to fetch events.
    let mut socket = probe.socket("").await?;
    socket.next_of("caught_up").await?;
    let topic = probe.target.known.topics.first();
    let topic = topic.map_or("odds_updates", String::as_str);
    let subscribe = format!(r#"{{"type":"subscribe","topics":["{topic}"],"since":"snapshot"}}"#);
    socket.send(&subscribe).await?;
    let mut without = Vec::new();
    loop {
        let message = socket.message().await?;
        let is_over = message.kind() == "caught_up";
        without.push(message);
        if is_over {
            return Ok(judge_ids(&without, false)?);
        }
    }
}

async fn same_bytes(probe: Probe) -> Judged {
    let first = snapshot(&probe, Transport::WebSocket).await?;
    let second = snapshot(&probe, Transport::Events).await?;
    match judge_same(&first, &second)? {
        0 => skip("there is no event that both streams had"),
        _ => Ok(()),
    }
}

/// What an event is about: with its time this is one event.
fn identity(message: &Message) -> Result<String, String> {
    let (data, timestamp) = (message.data(), message.parts()?.timestamp);
    let market = &data["market"];
    let about = [
        &data["run_id"],
        &data["seq"],
        &data["source"],
        &data["event_ids"],
        &market["key"],
        &market["period"],
    ];
    let about: Vec<String> = about.map(ToString::to_string).into();
    Ok(format!("{} {timestamp} {}", message.kind(), about.join(" ")))
}

/// Judges that what both have is the same to the byte; gives how much that is.
fn judge_same(first: &[Message], second: &[Message]) -> Result<usize, String> {
    let mut known = HashMap::new();
    for message in first.iter().filter(|message| message.is_event()) {
        known.insert(identity(message)?, message.everywhere()?);
    }
    let mut shared = 0;
    for message in second.iter().filter(|message| message.is_event()) {
        if let Some(text) = known.get(&identity(message)?) {
            shared += 1;
            ensure(*text == message.text, || {
                format!(
                    "one event is not the same on both transports: {text} and {}",
                    message.text
                )
            })?;
        }
    }
    Ok(shared)
}

async fn event_data(probe: Probe) -> Judged {
    let all = snapshot(&probe, Transport::Events).await?;
    let events: Vec<&Message> = all.iter().filter(|message| message.is_event()).collect();
    for message in &events {
        event::judge(message).map_err(|complaint| format!("{complaint}: {}", message.text))?;
    }
    if events.is_empty() {
        return skip("there is no event to look at");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_is_the_same_to_the_byte_whoever_shows_it() {
        let text = r#"{"type":"odds_confirmed","timestamp":"2026-02-06T01:30:00.123Z","data":{"source":"a","run_id":"r"}}"#;
        let message = |text: &str| Message::of_text(text.to_owned()).unwrap();
        let with_id = text.replace("\"}}", "\"},\"id\":\"AQN\"}");
        assert_eq!(judge_same(&[message(&with_id)], &[message(text)]), Ok(1));
        let other = text.replace("{\"source\"", "{\"x\":1,\"source\"");
        assert!(judge_same(&[message(text)], &[message(&other)]).is_err());
        let later = text.replace("30:00", "30:01");
        assert_eq!(judge_same(&[message(text)], &[message(&later)]), Ok(0));
    }
}
