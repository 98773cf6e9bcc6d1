//! What was seen of two runs.

use crate::conformance::{
    check::{Miss, ensure, skip},
    judge::{
        answer::{Answer, judge_problem},
        event::is_terminal,
        message::Message,
        shape::{Kind, entries, shape},
    },
    probe::{Probe, Stream, Transport},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// Everything that was seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    pub(super) source: String,
    pub(super) run_id: String,
    /// The answer to the start.
    pub(super) started: Value,
    /// The answer to a second start while the first run went on; none when it was over by then.
    pub(super) again: Option<Answer>,
    /// What came on each transport from before the start to the end of the run, and a little after.
    pub(super) live: [Vec<Message>; 2],
    /// What the run's own stream had.
    pub(super) own: Vec<Message>,
    /// What came for the cursor of before.
    pub(super) replayed: Vec<Message>,
    /// The run afterwards.
    pub(super) image: Value,
    /// The board of the source afterwards.
    pub(super) board: Vec<Value>,
    pub(super) cancelled: Cancelled,
}

/// What was seen of the run that was cancelled.
#[derive(Debug, Default, Clone)]
pub(crate) struct Cancelled {
    pub(super) run_id: String,
    pub(super) answer: Value,
    /// Its own stream.
    pub(super) own: Vec<Message>,
    /// The answer to cancelling it once more.
    pub(super) again: Value,
    /// The run after that.
    pub(super) image: Value,
}

/// The longest run that is followed.
const RUN_WITHIN: Duration = Duration::from_secs(600);
/// Runs of others that are waited for before a source has room.
const BUSY_MAX: usize = 10;

impl Record {
    pub(crate) async fn make(probe: Probe) -> Result<Self, Miss> {
        let Some(source) = probe.target.start.clone() else {
            return skip("needs --start SOURCE");
        };
        probe.needs_topic("scrape_progress")?;
        probe.needs_topic("odds_updates")?;
        match timeout(RUN_WITHIN, Self::follow(&probe, source)).await {
            Ok(record) => record,
            Err(_) => skip(format!(
                "the runs were not over within {} s",
                RUN_WITHIN.as_secs()
            )),
        }
    }

    async fn follow(probe: &Probe, source: String) -> Result<Self, Miss> {
        // What others run is waited for before anything is listened to.
        wait_for_room(probe, &source).await?;
        let query = "since=now&topics=scrape_progress,odds_updates";
        let mut socket = probe.stream(Transport::WebSocket, query).await?;
        let mut events = probe.stream(Transport::Events, query).await?;
        socket.until("caught_up").await?;
        let before = events.until("caught_up").await?;
        let before = before
            .last()
            .and_then(Message::cursor)
            .unwrap_or_default()
            .to_owned();
        let started = start(probe, &source).await?;
        let run_id = run_of(&started)?;
        let (again, live_socket, live_events, own) = tokio::try_join!(
            again(probe, &source, &run_id),
            to_end(&mut socket, &run_id, probe.silence()),
            to_end(&mut events, &run_id, probe.silence()),
            own_stream(probe, &run_id),
        )?;
        let image = probe.read(&format!("api/scrapes/{run_id}")).await?;
        let board = board(probe, &source).await?;
        let query = format!("since={before}&topics=scrape_progress");
        let mut replay = probe.stream(Transport::Events, &query).await?;
        let replayed = replay.until("caught_up").await?;
        let cancelled = Cancelled::make(probe, &source).await?;
        Ok(Self {
            source,
            run_id,
            started,
            again,
            live: [live_socket, live_events],
            own,
            replayed,
            image,
            board,
            cancelled,
        })
    }
}

impl Cancelled {
    async fn make(probe: &Probe, source: &str) -> Result<Self, Miss> {
        let run_id = run_of(&start(probe, source).await?)?;
        let path = format!("api/scrapes/{run_id}/cancel");
        let cancel = probe.ask(Method::POST, &path, &[], "").await?;
        cancel.judgeable()?;
        let answer = cancel.json_of(202)?;
        let own = own_stream(probe, &run_id).await?;
        let again = probe.ask(Method::POST, &path, &[], "").await?.json_of(202)?;
        let image = probe.read(&format!("api/scrapes/{run_id}")).await?;
        Ok(Self {
            run_id,
            answer,
            own,
            again,
            image,
        })
    }
}

fn run_of(started: &Value) -> Result<String, String> {
    let run = entries(started, "runs")?
        .first()
        .and_then(|run| run["run_id"].as_str());
    Ok(run.ok_or("no run was started")?.to_owned())
}

async fn post(probe: &Probe, source: &str) -> Result<Answer, Miss> {
    let body = json!({"sources": [source]}).to_string();
    let answer = probe.ask(Method::POST, "api/scrapes", &[], &body).await?;
    answer.judgeable()?;
    Ok(answer)
}

/// Starts a run, after those that others have started.
async fn start(probe: &Probe, source: &str) -> Result<Value, Miss> {
    for _ in 0..BUSY_MAX {
        let answer = post(probe, source).await?;
        match answer.status {
            409 => {
                let problem = judge_problem(&answer, 409, "busy")?;
                let run = entries(&problem, "busy")?
                    .first()
                    .and_then(|busy| busy["run_id"].as_str());
                if let Some(run) = run {
                    own_stream(probe, run).await?;
                }
            }
            422 => return skip(format!("the gateway knows no source {source}")),
            _ => {
                let started = answer.json_of(202)?;
                shape(&started, "the answer", &[("workers", Kind::Count)])?;
                if started["workers"] == 0 {
                    return skip("no worker is alive: the run that was started waits for one");
                }
                return Ok(started);
            }
        }
    }
    skip(format!("{source} had a run of somebody else at every try"))
}

/// Waits until no run of the source goes on.
async fn wait_for_room(probe: &Probe, source: &str) -> Result<(), Miss> {
    for status in ["running", "cancelling"] {
        let path = format!("api/scrapes?source={source}&status={status}");
        let answer = probe.get(&path).await?;
        if answer.status != 200 {
            // Without the right to read, starting tells as much.
            return Ok(());
        }
        for run in entries(&answer.json_of(200)?, "runs")? {
            own_stream(probe, run["run_id"].as_str().unwrap_or_default()).await?;
        }
    }
    Ok(())
}

/// Starts it once more, which must not be possible.
async fn again(probe: &Probe, source: &str, run_id: &str) -> Result<Option<Answer>, Miss> {
    let answer = post(probe, source).await?;
    if answer.status == 202 {
        // Was the first one over already?
        let image = probe.read(&format!("api/scrapes/{run_id}")).await?;
        if is_terminal(&image) {
            return Ok(None);
        }
    }
    Ok(Some(answer))
}

/// Everything to the end of the run and, where there is a way to know it, what was on its way behind it.
async fn to_end(stream: &mut Stream, run_id: &str, silence: Duration) -> Result<Vec<Message>, Miss> {
    let mut all = Vec::new();
    let is_end = |message: &Message| {
        message.kind() == "scrape_progress"
            && message.data()["run_id"] == run_id
            && is_terminal(message.data())
    };
    loop {
        let message = stream.message_within(silence).await?;
        if message.kind() == "lagging" {
            return skip("the gateway says that this client is too slow");
        }
        let is_over = is_end(&message);
        all.push(message);
        if is_over {
            break;
        }
    }
    if let Stream::Socket(socket) = stream {
        socket.send(r#"{"type":"ping"}"#).await?;
        all.extend(stream.until("pong").await?);
    }
    Ok(all)
}

/// The run's own stream, to its end.
async fn own_stream(probe: &Probe, run_id: &str) -> Result<Vec<Message>, Miss> {
    let path = format!("api/scrapes/{run_id}/events");
    let mut events = probe.events_of(&path, &[]).await?;
    let mut all = Vec::new();
    while let Some(message) = events.try_message_within(probe.silence()).await? {
        all.push(message);
    }
    Ok(all)
}

/// The whole board of a source.
async fn board(probe: &Probe, source: &str) -> Result<Vec<Value>, Miss> {
    let mut all = Vec::new();
    let mut page = String::new();
    loop {
        let answer = probe
            .read(&format!("api/odds?source={source}&limit=5000{page}"))
            .await?;
        all.extend(entries(&answer, "markets")?.iter().cloned());
        let Some(next) = answer["next_page"].as_str() else {
            return Ok(all);
        };
        ensure(!page.ends_with(&format!("={next}")), || {
            "the pages of the board do not end".into()
        })?;
        page = format!("&page={next}");
    }
}
