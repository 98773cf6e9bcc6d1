//! The addresses that are no streams, and the streams of single runs.

mod refusals;

use super::{
    check::{Check, Group, Judged, Miss, ensure, skip},
    judge::{
        event::{self, is_terminal},
        message::Message,
        shape::{Kind, entries, shape},
    },
    probe::Probe,
};
use serde_json::Value;

const fn check(name: &'static str, says: &'static str, run: super::Run) -> Check {
    Check {
        group: Group::Http,
        name,
        says,
        run,
    }
}

pub(crate) const CHECKS: &[Check] = &[
    check(
        "sources",
        "GET /api/sources lists the sources, by key.",
        |probe| Box::pin(sources(probe)),
    ),
    check(
        "workers",
        "GET /api/workers lists the workers that are alive.",
        |probe| Box::pin(workers(probe)),
    ),
    check(
        "scrapes",
        "GET /api/scrapes?status=&source=&limit=&page= lists runs, newest first; next_page is the next page, null on the last.",
        |probe| Box::pin(scrapes(probe)),
    ),
    check(
        "scrape",
        "GET /api/scrapes/{run_id} is the newest image of the run.",
        |probe| Box::pin(scrape(probe)),
    ),
    check(
        "scrape-events",
        "GET /api/scrapes/{run_id}/events: ack, its last image, end of stream after the terminal one; a cursor past it gets 204.",
        |probe| Box::pin(scrape_events(probe)),
    ),
    check(
        "odds",
        "GET /api/odds: {\"cursor\",\"markets\",\"confirmed\",\"next_page\"}, in pages, narrowed by sport, event_id, source, market.",
        |probe| Box::pin(odds(probe)),
    ),
    check(
        "odds-cursor",
        "The board is to be continued by a stream with its cursor: the verdict is replayed.",
        |probe| Box::pin(odds_cursor(probe)),
    ),
    check(
        "history",
        "GET /api/odds/{event_id}/history: odds_update envelopes, oldest first; an event without a past has none.",
        |probe| Box::pin(history(probe)),
    ),
    check("unknown-run", "An unknown run is 404 unknown_run.", |probe| {
        Box::pin(refusals::unknown_run(probe))
    }),
    check(
        "unknown-address",
        "Where there is nothing: 404 not_found.",
        |probe| Box::pin(refusals::unknown_address(probe)),
    ),
    check(
        "methods",
        "An address that does not take a method: 405 method_not_allowed.",
        |probe| Box::pin(refusals::methods(probe)),
    ),
    check(
        "head",
        "HEAD is answered as GET, without a body (RFC 9110).",
        |probe| Box::pin(refusals::head(probe)),
    ),
    check(
        "bad-queries",
        "A query parameter with a value that it cannot have: 400 invalid_query.",
        |probe| Box::pin(refusals::bad_queries(probe)),
    ),
    check(
        "no-handshake",
        "/api/ws without a WebSocket handshake: 400 not_a_websocket.",
        |probe| Box::pin(refusals::no_handshake(probe)),
    ),
    check(
        "foreign-origin",
        "A stream asked for by a page of another origin: 403 origin_not_allowed; there is no Access-Control-Allow-Origin for it.",
        |probe| Box::pin(refusals::foreign_origin(probe)),
    ),
    check(
        "bad-starts",
        "POST /api/scrapes: 400 invalid_body, 413 body_too_large, 422 unknown_source with the known ones; nothing is started.",
        |probe| Box::pin(refusals::bad_starts(probe)),
    ),
];

async fn sources(probe: Probe) -> Judged {
    Ok(judge_sources(&probe.read("api/sources").await?)?)
}

fn judge_sources(answer: &Value) -> Result<(), String> {
    let all = entries(answer, "sources")?;
    for source in all {
        let fields = [
            ("source", Kind::Token),
            ("title", Kind::Text),
            ("enabled", Kind::Flag),
            ("interval_ms", Kind::OrNull(&Kind::Count)),
            ("stale_after_ms", Kind::Count),
            ("health", Kind::OneOf(&["unknown", "ok", "degraded", "down"])),
            ("last_run_id", Kind::OrNull(&Kind::Token)),
            ("updated_at", Kind::Time),
        ];
        shape(source, "a source", &fields)?;
    }
    let keys: Vec<&str> = all
        .iter()
        .filter_map(|source| source["source"].as_str())
        .collect();
    ensure(keys.is_sorted_by(|a, b| a < b), || {
        format!("not ordered by key: {keys:?}")
    })
}

async fn workers(probe: Probe) -> Judged {
    Ok(judge_workers(&probe.read("api/workers").await?)?)
}

fn judge_workers(answer: &Value) -> Result<(), String> {
    for worker in entries(answer, "workers")? {
        let fields = [
            ("worker_id", Kind::Token),
            ("version", Kind::Text),
            ("started_at", Kind::Time),
            ("seen_at", Kind::Time),
            ("concurrency", Kind::Count),
            ("running", Kind::List),
            ("sources", Kind::Tokens),
        ];
        shape(worker, "a worker", &fields)?;
    }
    Ok(())
}

async fn scrapes(probe: Probe) -> Judged {
    let first = probe.read("api/scrapes?limit=2").await?;
    judge_runs(&first, Some(2))?;
    if let Some(page) = first["next_page"].as_str() {
        let second = probe.read(&format!("api/scrapes?limit=2&page={page}")).await?;
        judge_runs(&second, Some(2))?;
        judge_pages(&first, &second)?;
    }
    let Some(run) = entries(&first, "runs")?.first() else {
        return Ok(());
    };
    for name in ["status", "source", "batch_id"] {
        let wanted = run[name].as_str().unwrap_or_default();
        let some = probe.read(&format!("api/scrapes?{name}={wanted}")).await?;
        judge_narrowed(entries(&some, "runs")?, &format!("/{name}"), wanted)?;
    }
    Ok(())
}

/// Judges a page of runs. Queued ones come first, beyond the limit.
fn judge_runs(answer: &Value, limit: Option<usize>) -> Result<(), String> {
    shape(
        answer,
        "the answer",
        &[("runs", Kind::List), ("next_page", Kind::OrNull(&Kind::Text))],
    )?;
    let runs = entries(answer, "runs")?;
    runs.iter().try_for_each(event::run)?;
    let ids: Vec<&str> = runs
        .iter()
        .filter(|run| run["status"] != "queued")
        .filter_map(|run| run["run_id"].as_str())
        .collect();
    ensure(limit.is_none_or(|limit| ids.len() <= limit), || {
        format!("{} runs on a page of {limit:?}", ids.len())
    })?;
    ensure(ids.is_sorted_by(|a, b| a > b), || {
        format!("not newest first: {ids:?}")
    })
}

fn judge_pages(first: &Value, second: &Value) -> Result<(), String> {
    let ids = |page: &Value| -> Result<Vec<Value>, String> {
        let runs = entries(page, "runs")?
            .iter()
            .filter(|run| run["status"] != "queued");
        Ok(runs.map(|run| run["run_id"].clone()).collect())
    };
    let (first, second) = (ids(first)?, ids(second)?);
    let twice = first.iter().find(|id| second.contains(id));
    ensure(twice.is_none(), || format!("run {twice:?} is on two pages"))
}

/// Judges that all of these have what was asked for; a run may have moved on meanwhile.
fn judge_narrowed(all: &[Value], pointer: &str, wanted: &str) -> Result<(), String> {
    for entry in all {
        let found = entry.pointer(pointer).and_then(Value::as_str);
        ensure(found == Some(wanted), || {
            format!("an entry with {found:?} at {pointer}, where only {wanted:?} was asked for")
        })?;
    }
    Ok(())
}

/// A run that is over.
async fn a_run(probe: &Probe) -> Result<Value, Miss> {
    for status in ["completed", "failed", "cancelled"] {
        let answer = probe
            .read(&format!("api/scrapes?status={status}&limit=1"))
            .await?;
        if let Some(run) = entries(&answer, "runs")?.first() {
            return Ok(run.clone());
        }
    }
    skip("there is no run that is over")
}

fn id_of(run: &Value) -> &str {
    run["run_id"].as_str().unwrap_or_default()
}

async fn scrape(probe: Probe) -> Judged {
    let listed = a_run(&probe).await?;
    let run = probe.read(&format!("api/scrapes/{}", id_of(&listed))).await?;
    event::run(&run)?;
    Ok(ensure(run == listed, || {
        format!("the run differs from its entry in the list: {listed}")
    })?)
}

async fn scrape_events(probe: Probe) -> Judged {
    let run = a_run(&probe).await?;
    let path = format!("api/scrapes/{}/events", id_of(&run));
    let mut events = probe.events_of(&path, &[]).await?;
    let mut all = Vec::new();
    while let Some(message) = events.try_message().await? {
        all.push(message);
    }
    judge_ended_run(&all, &run)?;
    let cursor = all
        .last()
        .and_then(Message::cursor)
        .unwrap_or_default()
        .to_owned();
    let answer = probe.open(&path, &[("last-event-id", &cursor)]).await?;
    let answer_status = answer.status().as_u16();
    Ok(ensure(answer_status == 204, || {
        format!("the status is {answer_status} in place of 204, for a cursor from after the end")
    })?)
}

/// Judges the stream of a run that was over before.
fn judge_ended_run(all: &[Message], run: &Value) -> Result<(), String> {
    let kinds: Vec<&str> = all.iter().map(Message::kind).collect();
    ensure(
        kinds == ["connection_ack", "scrape_progress", "caught_up"],
        || format!("{kinds:?} came in place of ack, the last image, caught_up and the end"),
    )?;
    ensure(all[1].data() == run, || {
        format!("the image is another than that of GET: {}", all[1].text)
    })?;
    ensure(is_terminal(all[1].data()), || {
        "the last image is not terminal".into()
    })
}

async fn odds(probe: Probe) -> Judged {
    let first = probe.read("api/odds?limit=3").await?;
    judge_board(&first, 3)?;
    if let Some(page) = first["next_page"].as_str() {
        let second = probe.read(&format!("api/odds?limit=3&page={page}")).await?;
        judge_board(&second, 3)?;
    }
    let Some(image) = entries(&first, "markets")?.first() else {
        return skip("the board is empty");
    };
    for (name, pointer) in [
        ("source", "/source"),
        ("sport", "/event/sport_key"),
        ("event_id", "/event/event_id"),
    ] {
        let wanted = image.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let some = probe.read(&format!("api/odds?limit=100&{name}={wanted}")).await?;
        let markets = entries(&some, "markets")?;
        ensure(!markets.is_empty(), || {
            format!("no market with {name}={wanted}, which there is")
        })?;
        judge_narrowed(markets, pointer, wanted)?;
    }
    let key = image["market"]["key"].as_str().unwrap_or_default();
    let period = image["market"]["period"].as_str().unwrap_or_default();
    let some = probe
        .read(&format!("api/odds?limit=100&market={key}-{period}"))
        .await?;
    let markets = entries(&some, "markets")?;
    judge_narrowed(markets, "/market/key", key)?;
    Ok(judge_narrowed(markets, "/market/period", period)?)
}

fn judge_board(answer: &Value, limit: usize) -> Result<(), String> {
    let fields = [
        ("cursor", Kind::Cursor),
        ("markets", Kind::List),
        ("confirmed", Kind::Object),
        ("next_page", Kind::OrNull(&Kind::Text)),
    ];
    shape(answer, "the answer", &fields)?;
    let markets = entries(answer, "markets")?;
    ensure(markets.len() <= limit, || {
        format!("{} markets on a page of {limit}", markets.len())
    })?;
    markets.iter().try_for_each(event::odds)?;
    for (source, confirmed) in answer["confirmed"].as_object().into_iter().flatten() {
        event::confirmed(confirmed)?;
        ensure(confirmed["source"] == source.as_str(), || {
            format!("what {source} confirmed has the source {}", confirmed["source"])
        })?;
    }
    Ok(())
}

async fn odds_cursor(probe: Probe) -> Judged {
    probe.needs_topic("odds_updates")?;
    let board = probe.read("api/odds?limit=1").await?;
    let cursor = board["cursor"]
        .as_str()
        .ok_or_else(|| "the board has no cursor".to_owned())?;
    let query = format!("since={cursor}&topics=odds_updates");
    let ack = probe.events(&query, &[]).await?.message().await?;
    let verdict = ack.data()["resume"]["verdict"].as_str().unwrap_or("missing");
    if verdict == "unavailable" {
        return skip("its bus is down");
    }
    Ok(ensure(verdict == "replayed", || {
        format!("the verdict is {verdict} in place of replayed")
    })?)
}

async fn history(probe: Probe) -> Judged {
    let empty = probe.read("api/odds/no-such-event/history").await?;
    judge_history(&empty, "no-such-event")?;
    ensure(entries(&empty, "images")?.is_empty(), || {
        "an event that there is not has a past".into()
    })?;
    let board = probe.read("api/odds?limit=1").await?;
    let Some(image) = entries(&board, "markets")?.first() else {
        return skip("the board is empty");
    };
    let event = image["event"]["event_id"].as_str().unwrap_or_default();
    let answer = probe.read(&format!("api/odds/{event}/history?limit=50")).await?;
    Ok(judge_history(&answer, event)?)
}

fn judge_history(answer: &Value, event: &str) -> Result<(), String> {
    let fields = [
        ("event_id", Kind::Token),
        ("since", Kind::Time),
        ("images", Kind::List),
        ("next_page", Kind::OrNull(&Kind::Text)),
    ];
    shape(answer, "the answer", &fields)?;
    for image in entries(answer, "images")? {
        let fields = [
            ("type", Kind::OneOf(&["odds_update"])),
            ("timestamp", Kind::Time),
            ("data", Kind::Object),
        ];
        shape(image, "an image", &fields)?;
        event::odds(&image["data"])?;
        ensure(image["data"]["event"]["event_id"] == event, || {
            format!("an image of another event than {event}")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn runs_are_listed_newest_first_and_once() {
        let answer = |ids: &[&str]| {
            let runs: Vec<Value> = ids
                .iter()
                .map(|id| json!({"run_id": id, "status": "completed"}))
                .collect();
            json!({"runs": runs, "next_page": null})
        };
        assert_eq!(judge_pages(&answer(&["d", "c"]), &answer(&["b", "a"])), Ok(()));
        assert!(judge_pages(&answer(&["d", "c"]), &answer(&["c", "b"])).is_err());
        assert_eq!(judge_runs(&answer(&[]), None), Ok(()));
        assert!(judge_runs(&json!({"runs": []}), None).is_err(), "no next_page");
        assert!(judge_runs(&answer(&["a"]), None).is_err(), "no image of a run");
    }

    #[test]
    fn a_filter_lets_nothing_else_through() {
        let all = [json!({"source": "a"}), json!({"source": "b"})];
        assert_eq!(judge_narrowed(&all[..1], "/source", "a"), Ok(()));
        assert!(judge_narrowed(&all, "/source", "a").is_err());
    }

    #[test]
    fn sources_workers_board_and_past_are_shaped_as_documented() {
        let source = json!({"source": "alpha", "title": "A", "enabled": true, "interval_ms": null,
            "stale_after_ms": 1, "health": "ok", "last_run_id": null, "updated_at": "2026-11-22T22:46:42.350Z"});
        assert_eq!(judge_sources(&json!({"sources": [source]})), Ok(()));
        assert!(
            judge_sources(&json!({"sources": [source, source]})).is_err(),
            "one key twice"
        );
        assert!(judge_sources(&json!([])).is_err());
        assert_eq!(judge_workers(&json!({"workers": []})), Ok(()));
        assert!(judge_workers(&json!({"workers": [{}]})).is_err());
        let board = json!({"cursor": "AQN", "markets": [], "confirmed": {}, "next_page": null});
        assert_eq!(judge_board(&board, 1), Ok(()));
        assert!(judge_board(&json!({"markets": [], "confirmed": {}, "next_page": null}), 1).is_err());
        let past =
            json!({"event_id": "e1", "since": "2026-11-22T22:46:42.350Z", "images": [], "next_page": null});
        assert_eq!(judge_history(&past, "e1"), Ok(()));
        assert!(judge_history(&json!({"event_id": "e1", "images": [], "next_page": null}), "e1").is_err());
    }

    #[test]
    fn the_stream_of_a_run_that_is_over_is_its_last_image_and_the_end() {
        let message = |kind: &str, data: &Value| {
            let text =
                json!({"type": kind, "timestamp": "2026-02-06T01:30:00.123Z", "data": data}).to_string();
            Message::of_text(text).unwrap()
        };
        let run = json!({"run_id": "r", "status": "failed"});
        let all = [
            message("connection_ack", &json!({})),
            message("scrape_progress", &run),
            message("caught_up", &json!({})),
        ];
        assert_eq!(judge_ended_run(&all, &run), Ok(()));
        assert!(judge_ended_run(&all[..2], &run).is_err());
        assert!(judge_ended_run(&all, &json!({"run_id": "r"})).is_err());
        let running = json!({"run_id": "r", "status": "running"});
        let all = [
            all[0].clone(),
            message("scrape_progress", &running),
            all[2].clone(),
        ];
        assert!(judge_ended_run(&all, &running).is_err());
    }
}
