//! How the two streams open, and what keeps them open.

use super::{
    check::{Check, Group, Judged, Miss, ensure, skip},
    judge::{
        message::Message,
        shape::{Kind, entries, shape},
        sse::judge_id,
    },
    probe::{Probe, Transport, is_unavailable},
    socket::{ACCEPT, Came, Closed, Socket},
};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;

const fn check(name: &'static str, says: &'static str, run: super::Run) -> Check {
    Check {
        group: Group::Transports,
        name,
        says,
        run,
    }
}

pub(crate) const CHECKS: &[Check] = &[
    check(
        "websocket-handshake",
        "GET /api/ws: RFC 6455, so 101 with Upgrade, Connection and the right Sec-WebSocket-Accept.",
        |probe| Box::pin(handshake(probe)),
    ),
    check(
        "websocket-compression",
        "permessage-deflate (RFC 7692, both no_context_takeover) when offered.",
        |probe| Box::pin(compression(probe)),
    ),
    check(
        "websocket-ack",
        "connection_ack is the first message: topics, connection_id, heartbeat_ms, conflate_ms, limits, cursor, resume; caught_up follows.",
        |probe| Box::pin(begins(probe, Transport::WebSocket)),
    ),
    check(
        "websocket-ping",
        "WebSocket's own ping frames are answered (RFC 6455: with the same payload).",
        |probe| Box::pin(ping(probe)),
    ),
    check(
        "websocket-goodbye",
        "A close frame is answered with a close frame (RFC 6455).",
        |probe| Box::pin(goodbye(probe)),
    ),
    check(
        "sse-head",
        "200 text/event-stream, Cache-Control: no-store, no-transform, X-Accel-Buffering: no.",
        |probe| Box::pin(sse_head(probe)),
    ),
    check(
        "sse-first-bytes",
        "An event stream begins with an event: no blank line comes before the first.",
        |probe| Box::pin(sse_first_bytes(probe)),
    ),
    check(
        "sse-ack",
        "connection_ack is the first message: topics, connection_id, heartbeat_ms, conflate_ms, limits, cursor, resume; caught_up follows.",
        |probe| Box::pin(begins(probe, Transport::Events)),
    ),
    check(
        "sse-lines",
        "event: the type, data: the envelope on one line, id: and retry:, and comments; nothing else.",
        |probe| Box::pin(sse_lines(probe)),
    ),
    check(
        "sse-ids",
        "id: on every message that has a position: events, connection_ack, caught_up, heartbeat, reconnect.",
        |probe| Box::pin(sse_ids(probe)),
    ),
    // Side by side: these two take the longest, and wait at the same time.
    check(
        "websocket-heartbeat",
        "heartbeat every heartbeat_ms: cursor, server_time, upstream (ok stale down), lag_ms.",
        |probe| Box::pin(heartbeat(probe, Transport::WebSocket)),
    ),
    check(
        "sse-heartbeat",
        "heartbeat every heartbeat_ms: cursor, server_time, upstream (ok stale down), lag_ms.",
        |probe| Box::pin(heartbeat(probe, Transport::Events)),
    ),
];

async fn handshake(probe: Probe) -> Judged {
    let (_, head) = Socket::open(&probe, &probe.target.address, "", &[]).await?;
    Ok(judge_handshake(&head)?)
}

fn header<'a>(head: &'a HeaderMap, name: &str) -> &'a str {
    head.get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn judge_handshake(head: &HeaderMap) -> Result<(), String> {
    for (name, wanted) in [("upgrade", "websocket"), ("connection", "upgrade")] {
        let value = header(head, name);
        let is_there = value
            .split(',')
            .any(|word| word.trim().eq_ignore_ascii_case(wanted));
        ensure(is_there, || format!("{name} is {value:?} in place of {wanted:?}"))?;
    }
    let accept = header(head, "sec-websocket-accept");
    ensure(accept == ACCEPT, || {
        format!("Sec-WebSocket-Accept is {accept:?} in place of {ACCEPT:?}")
    })?;
    ensure(!head.contains_key("sec-websocket-extensions"), || {
        "an extension was agreed on that was not offered".into()
    })
}

async fn compression(probe: Probe) -> Judged {
    let offer = [(
        "sec-websocket-extensions",
        "permessage-deflate; client_max_window_bits",
    )];
    let (_, head) = Socket::open(&probe, &probe.target.address, "", &offer).await?;
    Ok(judge_compression(header(&head, "sec-websocket-extensions"))?)
}

fn judge_compression(agreed: &str) -> Result<(), String> {
    let mut words = agreed.split(';').map(str::trim);
    ensure(words.next() == Some("permessage-deflate"), || {
        format!("permessage-deflate was offered, and the answer is {agreed:?}")
    })?;
    let words: Vec<&str> = words.collect();
    for word in ["server_no_context_takeover", "client_no_context_takeover"] {
        ensure(words.contains(&word), || format!("{word} is not in {agreed:?}"))?;
    }
    Ok(())
}

async fn begins(probe: Probe, transport: Transport) -> Judged {
    let mut stream = probe.stream(transport, "").await?;
    let ack = stream.message().await?;
    judge_ack(&ack)?;
    if is_unavailable(&ack) {
        return Ok(());
    }
    let verdict = ack.data()["resume"]["verdict"].as_str().unwrap_or_default();
    // Without since there is nothing but what happens meanwhile.
    let all = stream.until("caught_up").await?;
    Ok(judge_caught_up(&all, verdict)?)
}

/// Judges the first message of a stream.
pub(crate) fn judge_ack(ack: &Message) -> Result<(), String> {
    ensure(ack.kind() == "connection_ack", || {
        format!("the first message is {:?} in place of connection_ack", ack.kind())
    })?;
    let fields = [
        ("topics", Kind::Texts),
        ("connection_id", Kind::Text),
        ("heartbeat_ms", Kind::Count),
        ("conflate_ms", Kind::Count),
        ("limits", Kind::Object),
        ("cursor", Kind::Cursor),
        ("resume", Kind::Object),
    ];
    shape(ack.data(), "connection_ack", &fields)?;
    let limits = ["topics", "message_bytes", "messages_per_s"].map(|name| (name, Kind::Count));
    shape(&ack.data()["limits"], "limits", &limits)?;
    judge_resume(&ack.data()["resume"])?;
    ensure(ack.data()["heartbeat_ms"] != 0, || "heartbeat_ms is 0".into())?;
    let topics = entries(ack.data(), "topics")?;
    ensure(!topics.is_empty(), || "no topic is granted".into())
}

/// Judges how a stream is said to go on.
pub(crate) fn judge_resume(resume: &Value) -> Result<(), String> {
    const VERDICTS: &[&str] = &["live", "replayed", "snapshot", "gap", "unavailable"];
    let fields = [
        ("verdict", Kind::OneOf(VERDICTS)),
        ("oldest", Kind::Maybe(&Kind::Cursor)),
    ];
    shape(resume, "resume", &fields)
}

/// Judges what came up to `caught_up`.
fn judge_caught_up(all: &[Message], verdict: &str) -> Result<(), String> {
    let last = all.last().ok_or("nothing came")?;
    let fields = [("cursor", Kind::Cursor), ("replayed", Kind::Count)];
    shape(last.data(), "caught_up", &fields)?;
    let replayed = &last.data()["replayed"];
    ensure(verdict != "live" || replayed == 0, || {
        format!("replayed is {replayed} after the verdict live")
    })
}

async fn ping(probe: Probe) -> Judged {
    let mut socket = probe.socket("").await?;
    socket.send_ping(b"are you there").await?;
    loop {
        match socket.came().await? {
            Came::Pong(payload) => {
                return Ok(ensure(payload == b"are you there", || {
                    "the pong has another payload than the ping".into()
                })?);
            }
            Came::Text(_) => {}
            Came::Closed(_) => return Err(Miss::Failed("the connection was closed".into())),
        }
    }
}

async fn goodbye(probe: Probe) -> Judged {
    let mut socket = probe.socket("").await?;
    socket.next_of("connection_ack").await?;
    socket.send_close().await?;
    let Closed(code) = socket.closed().await?;
    Ok(ensure(code == Some(1000), || {
        format!("the answer to a close frame with 1000 is {code:?}")
    })?)
}

/// The longest heartbeat that is waited for.
const HEARTBEAT_MAX_MS: u64 = 60_000;

async fn heartbeat(probe: Probe, transport: Transport) -> Judged {
    let every = probe.target.known.heartbeat_ms;
    if every > HEARTBEAT_MAX_MS {
        return skip(format!("heartbeat_ms is {every}: too long to wait for"));
    }
    let mut stream = probe.stream(transport, "").await?;
    let wait = Duration::from_millis(every * 3 / 2) + probe.target.wait;
    let heartbeat = async {
        loop {
            let message = stream.message_within(wait).await?;
            if message.kind() == "heartbeat" {
                return Ok::<_, Miss>(message);
            }
        }
    };
    // Events that come meanwhile are no sign of it.
    let Ok(heartbeat) = tokio::time::timeout(wait, heartbeat).await else {
        let waited = wait.as_secs();
        return Err(Miss::Failed(format!(
            "no heartbeat within {waited} s, though heartbeat_ms is {every}"
        )));
    };
    Ok(judge_heartbeat(heartbeat?.data())?)
}

fn judge_heartbeat(data: &Value) -> Result<(), String> {
    let fields = [
        ("cursor", Kind::Cursor),
        ("server_time", Kind::Time),
        ("upstream", Kind::OneOf(&["ok", "stale", "down"])),
        ("lag_ms", Kind::Count),
    ];
    shape(data, "heartbeat", &fields)
}

async fn sse_head(probe: Probe) -> Judged {
    let answer = probe.open("api/events", &[]).await?;
    Ok(judge_sse_head(answer.status().as_u16(), answer.headers())?)
}

pub(crate) fn judge_sse_head(status: u16, head: &HeaderMap) -> Result<(), String> {
    ensure(status == 200, || {
        format!("the status is {status} in place of 200")
    })?;
    let kind = header(head, "content-type");
    ensure(kind.split(';').next() == Some("text/event-stream"), || {
        format!("Content-Type is {kind:?} in place of text/event-stream")
    })?;
    let cache = header(head, "cache-control");
    let words: Vec<&str> = cache.split(',').map(str::trim).collect();
    ensure(
        words.contains(&"no-store") && words.contains(&"no-transform"),
        || format!("Cache-Control is {cache:?} in place of \"no-store, no-transform\""),
    )?;
    let buffering = header(head, "x-accel-buffering");
    ensure(buffering == "no", || {
        format!("X-Accel-Buffering is {buffering:?} in place of \"no\"")
    })
}

async fn sse_first_bytes(probe: Probe) -> Judged {
    let mut events = probe.events("", &[]).await?;
    let first = events.block().await?;
    let is_event = first.as_ref().is_some_and(|block| !block.is_empty());
    Ok(ensure(is_event, || {
        format!("what comes first is no event: {first:?}")
    })?)
}

async fn sse_lines(probe: Probe) -> Judged {
    // A topic that is none, to see how an error is told.
    let topics = [&["bogus".to_owned()], probe.target.known.topics.as_slice()].concat();
    let query = format!("since=snapshot&topics={}", topics.join(","));
    let mut events = probe.events(&query, &[]).await?;
    for _ in 0..2_000 {
        let Some(block) = events.block().await? else {
            return Err(Miss::Failed("the stream ended".into()));
        };
        block.judge()?;
        let message = block.message()?;
        if message.is_some_and(|message| message.kind() == "caught_up" || is_unavailable(&message)) {
            break;
        }
    }
    Ok(())
}

async fn sse_ids(probe: Probe) -> Judged {
    let mut stream = probe.stream(Transport::Events, "since=snapshot").await?;
    for message in stream.until("caught_up").await? {
        judge_id(&message)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        lines.collect()
    }

    #[test]
    fn a_handshake_has_the_accept_key_of_what_was_sent() {
        let good = [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-accept", ACCEPT),
        ];
        assert_eq!(judge_handshake(&head(&good)), Ok(()));
        for (at, bad) in [
            (0, ("upgrade", "h2c")),
            (1, ("connection", "close")),
            (2, ("sec-websocket-accept", "x")),
        ] {
            let mut lines = good;
            lines[at] = bad;
            assert!(judge_handshake(&head(&lines)).is_err(), "{bad:?}");
        }
        let more = [&good[..], &[("sec-websocket-extensions", "permessage-deflate")]].concat();
        assert!(judge_handshake(&head(&more)).is_err());
    }

    #[test]
    fn compression_is_without_context_on_both_sides() {
        let good = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
        assert_eq!(judge_compression(good), Ok(()));
        for bad in [
            "",
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover",
        ] {
            assert!(judge_compression(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_event_stream_may_not_be_kept_or_changed_on_its_way() {
        let good = [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store, no-transform"),
            ("x-accel-buffering", "no"),
        ];
        assert_eq!(judge_sse_head(200, &head(&good)), Ok(()));
        assert!(judge_sse_head(204, &head(&good)).is_err());
        for (at, value) in [(0, "application/json"), (1, "no-cache"), (2, "yes")] {
            let mut lines = good;
            lines[at].1 = value;
            assert!(judge_sse_head(200, &head(&lines)).is_err(), "{value}");
        }
    }

    #[test]
    fn an_acknowledgement_says_what_was_granted_and_how_the_stream_goes_on() {
        let good = r#"{"type":"connection_ack","timestamp":"2026-11-22T22:49:48.356Z","data":{"topics":["scrape_progress"],"connection_id":"265d","heartbeat_ms":20000,"conflate_ms":0,"limits":{"topics":100,"message_bytes":65536,"messages_per_s":20},"cursor":"AQN","resume":{"verdict":"live"}}}"#;
        let judge = |text: String| judge_ack(&Message::of_text(text).unwrap());
        assert_eq!(judge(good.to_owned()), Ok(()));
        for (from, to) in [
            ("connection_ack", "hello"),
            ("\"cursor\":\"AQN\",", ""),
            ("\"live\"", "\"fine\""),
            ("20000", "0"),
            ("[\"scrape_progress\"]", "[]"),
            ("message_bytes", "bytes"),
        ] {
            assert!(judge(good.replace(from, to)).is_err(), "{from}");
        }
    }
}
