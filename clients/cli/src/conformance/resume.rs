//! Where a stream begins, and how it goes on.

use super::{
    check::{Check, Group, Judged, Miss, ensure, skip},
    judge::{answer::judge_problem, message::Message},
    probe::{Probe, Stream, Transport},
};

const fn check(name: &'static str, says: &'static str, run: super::Run) -> Check {
    Check {
        group: Group::Resume,
        name,
        says,
        run,
    }
}

pub(crate) const CHECKS: &[Check] = &[
    check(
        "since-now",
        "since: now is the default; the verdict is live (from now).",
        |probe| Box::pin(now(probe)),
    ),
    check(
        "since-snapshot",
        "snapshot: last image of each key, then live; caught_up counts what was delivered for it.",
        |probe| Box::pin(snapshot(probe)),
    ),
    check(
        "websocket-cursor",
        "since=<cursor> on WebSocket: the verdict is replayed.",
        |probe| Box::pin(cursor(probe, Transport::WebSocket)),
    ),
    check(
        "sse-cursor",
        "since=<cursor> on SSE: the verdict is replayed.",
        |probe| Box::pin(cursor(probe, Transport::Events)),
    ),
    check(
        "across-transports",
        "A cursor is the same on both transports, and tied to no topic list.",
        |probe| Box::pin(across(probe)),
    ),
    check(
        "last-event-id",
        "The Last-Event-ID header beats every query parameter.",
        |probe| Box::pin(last_event_id(probe)),
    ),
    check(
        "cursor-parameters",
        "since, last_event_id, lastEventId mean the same.",
        |probe| Box::pin(parameters(probe)),
    ),
    check(
        "garbage-cursor",
        "A malformed cursor: gap, and a snapshot follows; never silence, never a crash.",
        |probe| Box::pin(garbage(probe)),
    ),
    check(
        "other-gateway",
        "A cursor is continued by any replica (needs a second --url).",
        |probe| Box::pin(other_gateway(probe)),
    ),
    check(
        "conflation",
        "conflate_ms (0–60,000) is granted in connection_ack; out of range is 400 invalid_query.",
        |probe| Box::pin(conflation(probe)),
    ),
];

/// The first message of a stream opened like this.
async fn ack(probe: &Probe, transport: Transport, query: &str) -> Result<Message, Miss> {
    probe.stream(transport, query).await?.message().await
}

/// Judges the verdict; a bus that is down says nothing about it.
fn judge_verdict(ack: &Message, wanted: &str) -> Judged {
    let verdict = ack.data()["resume"]["verdict"].as_str().unwrap_or("missing");
    if verdict == "unavailable" && wanted != verdict {
        return skip("its bus is down: the verdict is unavailable");
    }
    Ok(ensure(verdict == wanted, || {
        format!("the verdict is {verdict} in place of {wanted}")
    })?)
}

async fn now(probe: Probe) -> Judged {
    for transport in Transport::BOTH {
        for query in ["", "since=now"] {
            judge_verdict(&ack(&probe, transport, query).await?, "live")?;
        }
    }
    Ok(())
}

async fn snapshot(probe: Probe) -> Judged {
    for transport in Transport::BOTH {
        let mut stream = probe.stream(transport, "since=snapshot").await?;
        let all = stream.until("caught_up").await?;
        judge_verdict(&all[0], "snapshot")?;
        judge_replayed(&all)?;
    }
    Ok(())
}

/// Judges that `caught_up` counts the events before it; what happened meanwhile may be among them.
fn judge_replayed(all: &[Message]) -> Result<(), String> {
    let came = all.iter().filter(|message| message.is_event()).count() as u64;
    let said = all.last().and_then(|last| last.data()["replayed"].as_u64());
    let said = said.ok_or("caught_up does not say how many were replayed")?;
    ensure(said == came, || {
        format!("caught_up says {said} were replayed, and {came} events came before it")
    })
}

/// A cursor that is good now.
async fn fresh(probe: &Probe, transport: Transport) -> Result<String, Miss> {
    let mut stream = probe.stream(transport, "").await?;
    let all = stream.until("caught_up").await?;
    judge_verdict(&all[0], "live")?;
    let cursor = all.last().and_then(Message::cursor);
    Ok(cursor.ok_or("caught_up has no cursor")?.to_owned())
}

async fn replays(stream: &mut Stream) -> Judged {
    let all = stream.until("caught_up").await?;
    judge_verdict(&all[0], "replayed")?;
    Ok(judge_replayed(&all)?)
}

async fn cursor(probe: Probe, transport: Transport) -> Judged {
    let cursor = fresh(&probe, transport).await?;
    replays(&mut probe.stream(transport, &format!("since={cursor}")).await?).await
}

async fn across(probe: Probe) -> Judged {
    let topic = probe.target.known.topics.first().cloned().unwrap_or_default();
    for (from, to) in [
        (Transport::WebSocket, Transport::Events),
        (Transport::Events, Transport::WebSocket),
    ] {
        let cursor = fresh(&probe, from).await?;
        let query = format!("since={cursor}&topics={topic}");
        replays(&mut probe.stream(to, &query).await?).await?;
    }
    Ok(())
}

async fn last_event_id(probe: Probe) -> Judged {
    let cursor = fresh(&probe, Transport::Events).await?;
    for (query, header, verdict) in [
        ("", cursor.as_str(), "replayed"),
        ("since=now", &cursor, "replayed"),
        ("since=garbage&last_event_id=garbage", &cursor, "replayed"),
        (&format!("since={cursor}"), "garbage", "gap"),
    ] {
        let mut events = probe.events(query, &[("last-event-id", header)]).await?;
        judge_verdict(&events.message().await?, verdict)?;
    }
    Ok(())
}

async fn parameters(probe: Probe) -> Judged {
    for transport in Transport::BOTH {
        let cursor = fresh(&probe, transport).await?;
        for name in ["since", "last_event_id", "lastEventId"] {
            let ack = ack(&probe, transport, &format!("{name}={cursor}")).await?;
            judge_verdict(&ack, "replayed").map_err(|miss| match miss {
                Miss::Failed(complaint) => Miss::Failed(format!("{name}: {complaint}")),
                skipped @ Miss::Skipped(_) => skipped,
            })?;
        }
    }
    Ok(())
}

/// What is no cursor, from near to far.
fn spoilt(cursor: &str) -> Vec<String> {
    let half: String = cursor.chars().take(cursor.len() / 2).collect();
    let mut characters: Vec<char> = cursor.chars().collect();
    if let Some(last) = characters.last_mut() {
        *last = if *last == 'A' { 'Q' } else { 'A' };
    }
    vec![
        characters.into_iter().collect(),
        half,
        format!("{cursor}{cursor}"),
        "garbage".to_owned(),
        "-1".to_owned(),
        "99999999999999999999999999".to_owned(),
        "%00%F0%9F%92%A9".to_owned(),
        "x".repeat(2_000),
    ]
}

async fn garbage(probe: Probe) -> Judged {
    let cursor = fresh(&probe, Transport::Events).await?;
    for (number, garbage) in spoilt(&cursor).into_iter().enumerate() {
        let transport = Transport::BOTH[number % 2];
        let query = format!("since={garbage}");
        let mut stream = probe.stream(transport, &query).await?;
        let ack = stream.message().await?;
        judge_verdict(&ack, "gap")?;
        // The state follows; that it comes whole is looked at once.
        if number < 2 {
            let mut all = vec![ack];
            all.extend(stream.until("caught_up").await?);
            judge_replayed(&all)?;
        }
    }
    Ok(())
}

async fn other_gateway(probe: Probe) -> Judged {
    let others = probe.target.others.clone();
    if others.is_empty() {
        return skip("needs a second --url");
    }
    for other in &others {
        let cursor = fresh(&probe, Transport::WebSocket).await?;
        let mut socket = probe.socket_at(other, &format!("since={cursor}")).await?;
        judge_verdict(&socket.message().await?, "replayed")?;
    }
    Ok(())
}

async fn conflation(probe: Probe) -> Judged {
    for transport in Transport::BOTH {
        let ack = ack(&probe, transport, "conflate_ms=500").await?;
        let granted = &ack.data()["conflate_ms"];
        ensure(granted == 500, || {
            format!("conflate_ms is {granted} where 500 was asked for")
        })?;
    }
    for query in ["conflate_ms=60001", "conflate_ms=soon"] {
        let answer = probe.get(&format!("api/events?{query}")).await?;
        judge_problem(&answer, 400, "invalid_query")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn message(kind: &str, data: Value) -> Message {
        Message::made(kind, &data)
    }

    #[test]
    fn a_verdict_is_the_one_that_the_question_has() {
        let ack = |verdict: &str| message("connection_ack", json!({"resume": {"verdict": verdict}}));
        assert_eq!(judge_verdict(&ack("gap"), "gap"), Ok(()));
        assert!(matches!(judge_verdict(&ack("live"), "gap"), Err(Miss::Failed(_))));
        assert!(matches!(
            judge_verdict(&ack("unavailable"), "gap"),
            Err(Miss::Skipped(_))
        ));
        assert!(matches!(
            judge_verdict(&message("connection_ack", json!({})), "live"),
            Err(Miss::Failed(_))
        ));
    }

    #[test]
    fn what_was_replayed_is_counted() {
        let odds = || message("odds_update", json!({}));
        let caught_up = |replayed| message("caught_up", json!({"replayed": replayed}));
        assert_eq!(judge_replayed(&[odds(), odds(), caught_up(2)]), Ok(()));
        assert!(judge_replayed(&[odds(), caught_up(0)]).is_err());
        assert!(judge_replayed(&[message("caught_up", json!({}))]).is_err());
    }

    #[test]
    fn nothing_that_is_spoilt_is_the_cursor() {
        for cursor in ["AQNAywTcaG3q7ZO6", "A"] {
            assert!(spoilt(cursor).iter().all(|garbage| garbage != cursor));
        }
    }
}
