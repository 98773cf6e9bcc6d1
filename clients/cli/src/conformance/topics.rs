//! What is delivered for which topics, and which are refused.

use super::{
    check::{Check, Group, Judged, Miss, ensure, skip},
    judge::{
        answer::judge_problem,
        message::Message,
        shape::{entries, is_token},
    },
    probe::{Probe, Transport},
    socket::Closed,
};
use serde_json::{Value, json};
use std::collections::HashSet;

const fn check(name: &'static str, says: &'static str, run: super::Run) -> Check {
    Check {
        group: Group::Topics,
        name,
        says,
        run,
    }
}

pub(crate) const CHECKS: &[Check] = &[
    check("default-topics", "topics: comma list; default all.", |probe| {
        Box::pin(default_topics(probe))
    }),
    check(
        "prefix",
        "A topic is a prefix: odds_updates.<sport> is all of that sport, and nothing else.",
        |probe| Box::pin(prefix(probe)),
    ),
    check(
        "wildcard",
        "* stands for one token: odds_updates.*.*.<source> is all odds at that source, and nothing else.",
        |probe| Box::pin(wildcard(probe)),
    ),
    check(
        "confirmations",
        "odds_confirmed goes to every odds_updates topic whose source token admits it.",
        |probe| Box::pin(confirmations(probe)),
    ),
    check(
        "delivered-once",
        "An event is delivered once however many topics match.",
        |probe| Box::pin(once(probe)),
    ),
    check(
        "bad-topic",
        "Unknown or bad topic: error invalid_topic, the others are granted; over SSE the event is called fault.",
        |probe| Box::pin(bad_topic(probe)),
    ),
    check(
        "none-left-websocket",
        "No topic left: WebSocket is accepted, gets error invalid_topic, and is closed with 4500.",
        |probe| Box::pin(none_left_websocket(probe)),
    ),
    check(
        "none-left-sse",
        "No topic left: SSE gets a 400 problem document, invalid_topic.",
        |probe| Box::pin(none_left_sse(probe)),
    ),
];

async fn default_topics(probe: Probe) -> Judged {
    probe.needs_topic("scrape_progress")?;
    for transport in Transport::BOTH {
        let ack = probe.stream(transport, "").await?.message().await?;
        judge_granted(&ack, &["scrape_progress", "odds_updates"])?;
    }
    Ok(())
}

/// Judges that exactly these are granted, in whatever order.
pub(crate) fn judge_granted(ack: &Message, wanted: &[&str]) -> Result<(), String> {
    let granted: HashSet<&str> = entries(ack.data(), "topics")?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    ensure(granted == wanted.iter().copied().collect(), || {
        format!("{} has topics {granted:?} in place of {wanted:?}", ack.kind())
    })
}

async fn delivered(probe: &Probe, topics: &str) -> Result<Vec<Message>, Miss> {
    let query = format!("since=snapshot&topics={topics}");
    let mut stream = probe.stream(Transport::Events, &query).await?;
    let all = stream.until("caught_up").await?;
    Ok(all.into_iter().filter(Message::is_event).collect())
}

/// An image of the board, to ask for its neighbours.
async fn an_image(probe: &Probe) -> Result<Value, Miss> {
    probe.needs_topic("odds_updates")?;
    let board = probe.read("api/odds?limit=1").await?;
    let image = entries(&board, "markets")?.first();
    match image {
        Some(image) => Ok(image.clone()),
        None => skip("the board is empty"),
    }
}

async fn prefix(probe: Probe) -> Judged {
    let image = an_image(&probe).await?;
    let sport = word(&image["event"]["sport_key"])?;
    let of_sport = delivered(&probe, &format!("odds_updates.{sport}")).await?;
    judge_all(&of_sport, "/event/sport_key", &sport)?;
    let event = word(&image["event"]["event_id"])?;
    let of_event = delivered(&probe, &format!("odds_updates.{sport}.{event}")).await?;
    judge_all(&of_event, "/event/event_id", &event)?;
    let runs = delivered(&probe, "scrape_progress").await;
    if probe.needs_topic("scrape_progress").is_ok() {
        let stranger = runs?
            .into_iter()
            .find(|message| message.kind() != "scrape_progress");
        ensure(stranger.is_none(), || {
            format!(
                "{:?} came for scrape_progress",
                stranger.map(|message| message.text)
            )
        })?;
    }
    Ok(())
}

async fn wildcard(probe: Probe) -> Judged {
    let image = an_image(&probe).await?;
    let source = word(&image["source"])?;
    let of_source = delivered(&probe, &format!("odds_updates.*.*.{source}")).await?;
    judge_all(&of_source, "/source", &source)?;
    let (key, period) = (word(&image["market"]["key"])?, word(&image["market"]["period"])?);
    let of_market = delivered(&probe, &format!("odds_updates.*.*.*.{key}-{period}")).await?;
    judge_all(&of_market, "/market/key", &key)?;
    Ok(judge_all(&of_market, "/market/period", &period)?)
}

fn word(value: &Value) -> Result<String, String> {
    let word = value.as_str().filter(|word| is_token(word));
    word.map(str::to_owned)
        .ok_or_else(|| format!("{value} in an odds image is no token"))
}

/// Judges that odds images came, and that all of them have this.
fn judge_all(messages: &[Message], pointer: &str, wanted: &str) -> Result<(), String> {
    let odds: Vec<&Message> = messages
        .iter()
        .filter(|message| message.kind() == "odds_update")
        .collect();
    ensure(!odds.is_empty(), || {
        format!("no odds_update came, though the board has one with {wanted} at {pointer}")
    })?;
    for message in odds {
        let found = message.data().pointer(pointer).unwrap_or(&Value::Null);
        ensure(*found == json!(wanted), || {
            format!("an odds_update with {found} at {pointer} came, where only {wanted:?} was asked for")
        })?;
    }
    Ok(())
}

async fn confirmations(probe: Probe) -> Judged {
    probe.needs_topic("odds_updates")?;
    let board = probe.read("api/odds?limit=1").await?;
    let sources: Vec<&String> = board["confirmed"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
        .collect();
    let Some(source) = sources.first() else {
        return skip("no source was confirmed yet");
    };
    let came = delivered(&probe, &format!("odds_updates.no-such-sport.*.{source}")).await?;
    Ok(judge_confirmations(&came, source)?)
}

fn judge_confirmations(came: &[Message], source: &str) -> Result<(), String> {
    let stranger = came
        .iter()
        .find(|message| message.kind() != "odds_confirmed" || message.data()["source"] != source);
    ensure(stranger.is_none(), || {
        format!(
            "{:?} does not match the topic",
            stranger.map(|message| &message.text)
        )
    })?;
    ensure(!came.is_empty(), || format!("no odds_confirmed of {source} came"))
}

async fn once(probe: Probe) -> Judged {
    let image = an_image(&probe).await?;
    let sport = word(&image["event"]["sport_key"])?;
    let came = delivered(
        &probe,
        &format!("odds_updates,odds_updates.{sport},odds_updates.*.*"),
    )
    .await?;
    Ok(judge_once(&came)?)
}

fn judge_once(came: &[Message]) -> Result<(), String> {
    let mut seen = HashSet::new();
    for message in came {
        ensure(seen.insert(&message.text), || {
            format!("came twice: {}", message.text)
        })?;
    }
    Ok(())
}

async fn bad_topic(probe: Probe) -> Judged {
    let Some(good) = probe.target.known.topics.first() else {
        return skip("no topic is known to be granted");
    };
    for transport in Transport::BOTH {
        let mut stream = probe.stream(transport, &format!("topics=bogus,{good}")).await?;
        let before = stream.until("caught_up").await?;
        judge_granted(&before[0], &[good])?;
        let errors: Vec<&Message> = before
            .iter()
            .filter(|message| message.kind() == "error")
            .collect();
        ensure(errors.len() == 1, || {
            format!("{} errors came for one bad topic", errors.len())
        })?;
        judge_error(errors[0], "invalid_topic")?;
        let name = errors[0].event.as_deref();
        ensure(transport == Transport::WebSocket || name == Some("fault"), || {
            format!("an error over SSE is called {name:?} in place of fault")
        })?;
    }
    Ok(())
}

/// Judges a message of type `error`.
pub(crate) fn judge_error(message: &Message, code: &str) -> Result<(), String> {
    ensure(message.kind() == "error", || {
        format!("{} came in place of error {code}", message.kind())
    })?;
    let data = message.data();
    ensure(data["code"] == code, || {
        format!("code is {} in place of {code:?}", data["code"])
    })?;
    ensure(
        data["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
        || format!("detail is {}, no sentence for a person", data["detail"]),
    )
}

async fn none_left_websocket(probe: Probe) -> Judged {
    let mut socket = probe.socket("topics=bogus").await?;
    judge_error(&socket.message().await?, "invalid_topic")?;
    let Closed(code) = socket.closed().await?;
    Ok(ensure(code == Some(4500), || {
        format!("the close code is {code:?} in place of 4500")
    })?)
}

async fn none_left_sse(probe: Probe) -> Judged {
    let answer = probe.get("api/events?topics=bogus").await?;
    judge_problem(&answer, 400, "invalid_topic").map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, data: Value) -> Message {
        Message::made(kind, &data)
    }

    #[test]
    fn only_what_was_asked_for_may_come() {
        let odds = |sport: &str| message("odds_update", json!({"event": {"sport_key": sport}}));
        let judge = |came: &[Message]| judge_all(came, "/event/sport_key", "soccer");
        assert_eq!(
            judge(&[odds("soccer"), message("odds_confirmed", json!({}))]),
            Ok(())
        );
        assert!(judge(&[odds("soccer"), odds("tennis")]).is_err());
        assert!(judge(&[]).is_err());
        let confirmed = |source: &str| message("odds_confirmed", json!({"source": source}));
        assert_eq!(judge_confirmations(&[confirmed("alpha")], "alpha"), Ok(()));
        assert!(judge_confirmations(&[], "alpha").is_err());
        assert!(judge_confirmations(&[confirmed("alpha"), confirmed("bravo")], "alpha").is_err());
        assert!(judge_once(&[odds("soccer"), odds("soccer")]).is_err());
    }

    #[test]
    fn what_is_granted_is_told_and_what_is_not_is_an_error() {
        let ack = message("connection_ack", json!({"topics": ["a", "b"]}));
        assert_eq!(judge_granted(&ack, &["b", "a"]), Ok(()));
        assert!(judge_granted(&ack, &["a"]).is_err());
        let error = message("error", json!({"code": "invalid_topic", "detail": "No topic."}));
        assert_eq!(judge_error(&error, "invalid_topic"), Ok(()));
        assert!(judge_error(&error, "invalid_json").is_err());
        assert!(
            judge_error(
                &message("error", json!({"code": "invalid_topic"})),
                "invalid_topic"
            )
            .is_err()
        );
        assert!(judge_error(&ack, "invalid_topic").is_err());
    }
}
