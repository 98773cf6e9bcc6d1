//! What a WebSocket client may send, and what it must not.

use super::{
    check::{Check, Group, Judged, Miss, ensure, skip},
    judge::{
        message::Message,
        shape::{Kind, shape},
    },
    probe::{Probe, is_unavailable},
    socket::{Closed, Socket},
    topics::{judge_error, judge_granted},
    transports::judge_resume,
};
use serde_json::{Value, json};

const fn check(name: &'static str, says: &'static str, run: super::Run) -> Check {
    Check {
        group: Group::Commands,
        name,
        says,
        run,
    }
}

pub(crate) const CHECKS: &[Check] = &[
    check(
        "ping",
        "ping is answered with pong; an optional ref is echoed.",
        |probe| Box::pin(ping(probe)),
    ),
    check(
        "subscribe",
        "subscribe is answered with subscription_ack (topics now in force, resume, ref), then caught_up with the ref.",
        |probe| Box::pin(subscribe(probe)),
    ),
    check(
        "unsubscribe",
        "unsubscribe names granted topics exactly; subscription_ack has the topics now in force.",
        |probe| Box::pin(unsubscribe(probe)),
    ),
    check(
        "conflate",
        "subscribe may carry conflate_ms (0–60,000); out of range it gets error invalid_message, and nothing changes.",
        |probe| Box::pin(conflate(probe)),
    ),
    check(
        "bad-messages",
        "Anything else that is valid text gets error (invalid_json, unknown_type, invalid_message) and the connection lives.",
        |probe| Box::pin(bad_messages(probe)),
    ),
    check(
        "binary",
        "A binary message counts as text that is no JSON: error invalid_json, and the connection lives.",
        |probe| Box::pin(binary(probe)),
    ),
    check(
        "auth",
        "A gateway that asks for no tokens answers auth with error auth_disabled.",
        |probe| Box::pin(auth(probe)),
    ),
    check(
        "too-many-topics",
        "More topics than limits.topics in one message: error too_many_topics, and none of it is done.",
        |probe| Box::pin(too_many_topics(probe)),
    ),
    check(
        "too-fast",
        "More than twice limits.messages_per_s at once: one error rate_limited, and the connection lives.",
        |probe| Box::pin(too_fast(probe)),
    ),
    check(
        "close-1009",
        "A message larger than limits.message_bytes closes the connection with 1009.",
        |probe| Box::pin(too_big(probe)),
    ),
    check(
        "close-1007",
        "Invalid UTF-8 closes the connection with 1007.",
        |probe| {
            Box::pin(violation(
                probe,
                1007,
                "a text frame that is not UTF-8",
                &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe],
            ))
        },
    ),
    check(
        "close-1002",
        "A reserved opcode closes the connection with 1002.",
        |probe| {
            Box::pin(violation(
                probe,
                1002,
                "a frame with the reserved opcode 3",
                &[0x83, 0x80, 0, 0, 0, 0],
            ))
        },
    ),
    check(
        "close-1002-unmasked",
        "A frame that is not masked closes the connection with 1002.",
        |probe| {
            Box::pin(violation(
                probe,
                1002,
                "a text frame that is not masked",
                &[0x81, 0x02, b'{', b'}'],
            ))
        },
    ),
];

/// A connection that is caught up, and its acknowledgement.
async fn connected(probe: &Probe, query: &str) -> Result<(Socket, Message), Miss> {
    let mut socket = probe.socket(query).await?;
    let ack = socket.next_of("connection_ack").await?;
    if !is_unavailable(&ack) {
        socket.next_of("caught_up").await?;
    }
    Ok((socket, ack))
}

/// The answer to what is sent: of the types that are answers, the next.
async fn answer(socket: &mut Socket, sent: &str) -> Result<Message, Miss> {
    socket.send(sent).await?;
    next_answer(socket).await
}

async fn next_answer(socket: &mut Socket) -> Result<Message, Miss> {
    loop {
        let message = socket.message().await?;
        if ["pong", "subscription_ack", "error"].contains(&message.kind()) {
            return Ok(message);
        }
    }
}

async fn lives(socket: &mut Socket) -> Judged {
    let pong = answer(socket, r#"{"type":"ping","ref":"still here"}"#).await?;
    Ok(judge_answer(&pong, "pong", &json!("still here"))?)
}

/// Judges the type of an answer and that it gives back the `ref`.
fn judge_answer(message: &Message, kind: &str, reference: &Value) -> Result<(), String> {
    ensure(message.kind() == kind, || {
        format!("{} came in place of {kind}: {}", message.kind(), message.text)
    })?;
    let given_back = &message.data()["ref"];
    ensure(given_back == reference, || {
        format!("ref is {given_back} in place of {reference}")
    })
}

async fn ping(probe: Probe) -> Judged {
    let (mut socket, _) = connected(&probe, "").await?;
    let plain = answer(&mut socket, r#"{"type":"ping"}"#).await?;
    judge_answer(&plain, "pong", &Value::Null)?;
    ensure(*plain.data() == json!({}), || {
        format!("the data of pong is {}", plain.data())
    })?;
    for reference in [json!(7), json!("a"), json!("ü".repeat(64))] {
        let pong = answer(
            &mut socket,
            &json!({"type": "ping", "ref": reference}).to_string(),
        )
        .await?;
        judge_answer(&pong, "pong", &reference)?;
    }
    Ok(())
}

/// A topic below one that may be asked for, and nothing is at it.
fn quiet_topic(probe: &Probe) -> Result<String, Miss> {
    match probe.target.known.topics.first().map(String::as_str) {
        Some("odds_updates") => Ok("odds_updates.no-such-sport".into()),
        Some("scrape_progress") => Ok("scrape_progress.no-such-source".into()),
        _ => skip("the token allows too little of the topics"),
    }
}

async fn subscribe(probe: Probe) -> Judged {
    let quiet = quiet_topic(&probe)?;
    let (mut socket, _) = connected(&probe, &format!("topics={quiet}")).await?;
    let more = format!("{quiet}.more");
    for (since, verdict) in [("now", "live"), ("snapshot", "snapshot")] {
        let sent = json!({"type": "subscribe", "topics": [more], "since": since, "ref": since});
        let ack = answer(&mut socket, &sent.to_string()).await?;
        judge_answer(&ack, "subscription_ack", &json!(since))?;
        judge_granted(&ack, &[&quiet, &more])?;
        let resume = &ack.data()["resume"];
        judge_resume(resume)?;
        if resume["verdict"] == "unavailable" {
            return skip("its bus is down: the verdict is unavailable");
        }
        ensure(resume["verdict"] == verdict, || {
            format!("the verdict is {} in place of {verdict:?}", resume["verdict"])
        })?;
        let caught_up = socket.next_of("caught_up").await?;
        judge_answer(&caught_up, "caught_up", &json!(since))?;
        shape(
            caught_up.data(),
            "caught_up",
            &[("cursor", Kind::Cursor), ("replayed", Kind::Count)],
        )?;
    }
    // Bad topics are told, and the answer comes in any case.
    let sent = json!({"type": "subscribe", "topics": ["bogus"], "ref": 3});
    let error = answer(&mut socket, &sent.to_string()).await?;
    judge_error(&error, "invalid_topic")?;
    judge_answer(&error, "error", &json!(3))?;
    let ack = next_answer(&mut socket).await?;
    judge_answer(&ack, "subscription_ack", &json!(3))?;
    Ok(judge_granted(&ack, &[&quiet, &more])?)
}

async fn unsubscribe(probe: Probe) -> Judged {
    let quiet = quiet_topic(&probe)?;
    let (mut socket, _) = connected(&probe, &format!("topics={quiet}")).await?;
    // Not one of this connection's, though below one that is.
    let other = format!("{quiet}.other");
    let sent = json!({"type": "unsubscribe", "topics": [other], "ref": 1});
    let error = answer(&mut socket, &sent.to_string()).await?;
    judge_error(&error, "invalid_topic")?;
    judge_granted(&next_answer(&mut socket).await?, &[&quiet])?;
    let sent = json!({"type": "unsubscribe", "topics": [quiet], "ref": 2});
    let ack = answer(&mut socket, &sent.to_string()).await?;
    judge_answer(&ack, "subscription_ack", &json!(2))?;
    judge_granted(&ack, &[])?;
    lives(&mut socket).await
}

async fn conflate(probe: Probe) -> Judged {
    let quiet = quiet_topic(&probe)?;
    let (mut socket, _) = connected(&probe, &format!("topics={quiet}")).await?;
    let sent = json!({"type": "subscribe", "topics": [quiet], "conflate_ms": 250, "ref": 1});
    let ack = answer(&mut socket, &sent.to_string()).await?;
    judge_answer(&ack, "subscription_ack", &json!(1))?;
    let sent = json!({"type": "subscribe", "topics": [format!("{quiet}.x")], "conflate_ms": 60_001});
    judge_error(&answer(&mut socket, &sent.to_string()).await?, "invalid_message")?;
    let sent = json!({"type": "unsubscribe", "topics": [quiet]});
    let ack = answer(&mut socket, &sent.to_string()).await?;
    Ok(judge_granted(&ack, &[])?)
}

async fn bad_messages(probe: Probe) -> Judged {
    let (mut socket, _) = connected(&probe, "").await?;
    let long = format!(r#"{{"type":"ping","ref":"{}"}}"#, "x".repeat(129));
    for (sent, code) in [
        ("{", "invalid_json"),
        ("not json", "invalid_json"),
        (r#"{"type":"shout"}"#, "unknown_type"),
        (r#"{"type":"subscribe"}"#, "invalid_message"),
        (r#"{"type":"subscribe","topics":"all"}"#, "invalid_message"),
        (r#"{"type":7}"#, "invalid_message"),
        ("[]", "invalid_message"),
        (r#"{"type":"ping","ref":{}}"#, "invalid_message"),
        (&long, "invalid_message"),
    ] {
        let error = answer(&mut socket, sent).await?;
        judge_error(&error, code).map_err(|complaint| format!("{complaint}, in answer to {sent}"))?;
    }
    let error = answer(&mut socket, r#"{"type":"shout","ref":1}"#).await?;
    judge_answer(&error, "error", &json!(1))?;
    lives(&mut socket).await
}

async fn binary(probe: Probe) -> Judged {
    let (mut socket, _) = connected(&probe, "").await?;
    socket.send_binary(br#"{"type":"ping"}"#).await?;
    judge_error(&next_answer(&mut socket).await?, "invalid_json")?;
    lives(&mut socket).await
}

async fn auth(probe: Probe) -> Judged {
    if probe.target.known.is_guarded {
        return skip("this gateway asks for tokens");
    }
    let (mut socket, _) = connected(&probe, "").await?;
    let error = answer(&mut socket, r#"{"type":"auth","token":"x"}"#).await?;
    judge_error(&error, "auth_disabled")?;
    lives(&mut socket).await
}

async fn too_many_topics(probe: Probe) -> Judged {
    let quiet = quiet_topic(&probe)?;
    let (mut socket, ack) = connected(&probe, &format!("topics={quiet}")).await?;
    let limits = &ack.data()["limits"];
    let (topics, bytes) = (limits["topics"].as_u64(), limits["message_bytes"].as_u64());
    let (Some(topics), Some(bytes)) = (topics, bytes) else {
        return Err(Miss::Failed("connection_ack has no limits".into()));
    };
    let names: Vec<String> = (0..=topics).map(|number| format!("{quiet}.t{number}")).collect();
    let sent = json!({"type": "subscribe", "topics": names}).to_string();
    if sent.len() as u64 > bytes {
        return skip("so many topics do not fit into limits.message_bytes");
    }
    judge_error(&answer(&mut socket, &sent).await?, "too_many_topics")?;
    let sent = json!({"type": "unsubscribe", "topics": [quiet]});
    let ack = answer(&mut socket, &sent.to_string()).await?;
    Ok(judge_granted(&ack, &[])?)
}

/// Messages a second above which a flood would be a load.
const RATE_MAX: u64 = 200;

async fn too_fast(probe: Probe) -> Judged {
    let (mut socket, ack) = connected(&probe, "").await?;
    let Some(rate) = ack.data()["limits"]["messages_per_s"].as_u64() else {
        return Err(Miss::Failed("connection_ack has no limits".into()));
    };
    if rate > RATE_MAX {
        return skip(format!("messages_per_s is {rate}: trying it would be a load"));
    }
    // Far from the thousand in a row that close the connection.
    let count = rate * 3;
    for _ in 0..count {
        socket.send(r#"{"type":"ping"}"#).await?;
    }
    let mut pongs = 0;
    let error = loop {
        let message = next_answer(&mut socket).await?;
        if message.kind() == "error" {
            break message;
        }
        pongs += 1;
        ensure(pongs < count, || {
            format!("{count} messages at once were all answered")
        })?;
    };
    judge_error(&error, "rate_limited")?;
    // The next second it is heard again.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    lives(&mut socket).await
}

async fn too_big(probe: Probe) -> Judged {
    let (mut socket, ack) = connected(&probe, "").await?;
    let Some(most) = ack.data()["limits"]["message_bytes"].as_u64() else {
        return Err(Miss::Failed("connection_ack has no limits".into()));
    };
    // The head of a frame says how long it is; the gateway may close before it has taken all of it.
    let length = most + 1;
    let mut frame = vec![0x81, 0xff];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    let sent = usize::try_from(length).unwrap_or(1 << 20).min(1 << 20);
    frame.resize(frame.len() + sent, b'x');
    socket
        .send_raw(&format!("a text frame of {length} bytes"), &frame)
        .await;
    let closed = socket.closed().await?;
    Ok(judge_closed(closed, 1009)?)
}

async fn violation(probe: Probe, code: u16, what: &'static str, bytes: &'static [u8]) -> Judged {
    let (mut socket, _) = connected(&probe, "").await?;
    socket.send_raw(what, bytes).await;
    let closed = socket.closed().await?;
    Ok(judge_closed(closed, code)?)
}

fn judge_closed(Closed(code): Closed, wanted: u16) -> Result<(), String> {
    let told = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
    ensure(code == Some(wanted), || {
        format!("the close code is {told} in place of {wanted}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_back_the_ref_of_its_question() {
        let text = r#"{"type":"pong","timestamp":"2026-02-06T01:30:00.123Z","data":{"ref":7}}"#;
        let pong = Message::of_text(text.to_owned()).unwrap();
        assert_eq!(judge_answer(&pong, "pong", &json!(7)), Ok(()));
        assert!(judge_answer(&pong, "pong", &json!("7")).is_err());
        assert!(judge_answer(&pong, "pong", &Value::Null).is_err());
        assert!(judge_answer(&pong, "error", &json!(7)).is_err());
    }

    #[test]
    fn a_connection_ends_with_the_code_of_its_violation() {
        assert_eq!(judge_closed(Closed(Some(1009)), 1009), Ok(()));
        assert!(judge_closed(Closed(Some(1002)), 1009).is_err());
        assert!(judge_closed(Closed(None), 1009).is_err());
    }
}
