//! A bookmaker of one test's own: what it shows, and when it answers, is the test's to say.

use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

/// What stands on a page and no definition asks for.
pub(crate) const UNREAD: &str = "buy two, get a third";

/// The definition of the source that reads the site. `more` stands in `[source]`.
pub(crate) fn definition(more: &str) -> String {
    format!(
        r#"version = 1
[source]
key = "alpha"
title = "Alpha"
base_url = "${{SITE_URL}}"
sport = "soccer"
allow_private = true
robots = "ignore"
retry = {{ base = "1ms", max = "10ms" }}
limits = {{ requests_per_second = 1000, burst = 1000, concurrency = 8 }}
{more}
[[step]]
id = "list"
request = {{ url = "/list" }}
each = "$.events[*]"
vars = {{ id = "$.id" }}
[[step]]
id = "event"
for_each = "list"
request = {{ url = "/event/{{{{id}}}}" }}
missing_on = [404]
each = "$.events[*]"
[step.event]
external_id = {{ path = "$.id", prefix = "mc:match:" }}
home_team = "$.home"
away_team = "$.away"
league = "$.league"
commence_time = "$.start"
[[step.market]]
each = "$.markets[*]"
id = "$.id"
open_when = {{ path = "$.open", equals = true }}
[step.market.outcome]
each = "$.outcomes[*]"
id = "$.id"
label = "$.label"
price = "$.price"
[markets.1]
key = "h2h"
outcomes = {{ "1" = "home", "x" = "draw", "2" = "away" }}
"#
    )
}

/// The site. It is gone with this value.
pub(crate) struct Site {
    url: String,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

struct Shared {
    /// The price of the home team, by number of the event.
    events: Mutex<BTreeMap<u32, String>>,
    /// How long a page of an event takes, in milliseconds.
    takes_ms: AtomicU64,
    /// Whether every request is answered with 403.
    refuses: AtomicBool,
    /// Events whose pages are answered with 500.
    ill: Mutex<BTreeSet<u32>>,
    /// Paths of the requests that came so far.
    paths: Mutex<Vec<String>>,
    /// Whether pages of events are answered.
    open: watch::Sender<bool>,
    /// Requests that came so far.
    requests: watch::Sender<usize>,
    /// Requests that were answered so far.
    answers: watch::Sender<usize>,
}

impl Site {
    /// A site that shows these numbers of events and answers at once.
    pub(crate) async fn start(events: impl IntoIterator<Item = u32>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            events: Mutex::new(
                events
                    .into_iter()
                    .map(|event| (event, "1.85".to_owned()))
                    .collect(),
            ),
            takes_ms: AtomicU64::new(0),
            refuses: AtomicBool::new(false),
            ill: Mutex::default(),
            paths: Mutex::default(),
            open: watch::Sender::new(true),
            requests: watch::Sender::new(0),
            answers: watch::Sender::new(0),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&shared)));
        Self {
            url,
            shared,
            _serving: serving,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on pages of events are not answered, until [`Site::release`].
    pub(crate) fn hold(&self) {
        self.shared.open.send_replace(false);
    }

    pub(crate) fn release(&self) {
        self.shared.open.send_replace(true);
    }

    /// From now on a page of an event takes so long.
    pub(crate) fn slow_down(&self, takes_ms: u64) {
        self.shared.takes_ms.store(takes_ms, Ordering::Relaxed);
    }

    /// From now on every request is answered with 403.
    pub(crate) fn refuse(&self) {
        self.shared.refuses.store(true, Ordering::Relaxed);
    }

    /// From now on the pages of these events, and of no others, are answered with 500.
    pub(crate) fn fail_on(&self, events: impl IntoIterator<Item = u32>) {
        *self.shared.ill.lock().unwrap() = events.into_iter().collect();
    }

    /// The paths that were asked for since the last call, ordered, each once.
    pub(crate) fn take_paths(&self) -> Vec<String> {
        let mut paths = std::mem::take(&mut *self.shared.paths.lock().unwrap());
        paths.sort();
        paths.dedup();
        paths
    }

    /// Shows another price, or an event more.
    pub(crate) fn show(&self, event: u32, price: &str) {
        self.shared.events.lock().unwrap().insert(event, price.to_owned());
    }

    /// Shows the event no longer.
    pub(crate) fn remove(&self, event: u32) {
        self.shared.events.lock().unwrap().remove(&event);
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        *self.shared.requests.borrow()
    }

    /// Waits until so many requests were answered.
    pub(crate) async fn answered(&self, times: usize) {
        let mut answers = self.shared.answers.subscribe();
        answers.wait_for(|count| *count >= times).await.unwrap();
    }

    /// Waits until so many requests came.
    pub(crate) async fn asked(&self, times: usize) {
        let mut requests = self.shared.requests.subscribe();
        requests.wait_for(|count| *count >= times).await.unwrap();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A client that went away needs no answer.
            let _ = answer(stream, &shared).await;
        });
    }
}

async fn answer(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    shared.requests.send_modify(|count| *count += 1);
    let path = first.split(' ').nth(1).unwrap_or_default();
    shared.paths.lock().unwrap().push(path.to_owned());
    if path.starts_with("/event/") {
        let mut open = shared.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
        sleep(Duration::from_millis(shared.takes_ms.load(Ordering::Relaxed))).await;
    }
    let (status, body) = match page(path, &shared.events.lock().unwrap()) {
        _ if shared.refuses.load(Ordering::Relaxed) => ("403 Forbidden", String::new()),
        _ if shared
            .ill
            .lock()
            .unwrap()
            .iter()
            .any(|event| path == format!("/event/{event}")) =>
        {
            ("500 Internal Server Error", String::new())
        }
        Some(page) => ("200 OK", page.to_string()),
        None => ("404 Not Found", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    shared.answers.send_modify(|count| *count += 1);
    stream.shutdown().await
}

fn page(path: &str, events: &BTreeMap<u32, String>) -> Option<Value> {
    if path == "/list" {
        let ids: Vec<Value> = events.keys().map(|id| json!({ "id": id.to_string() })).collect();
        return Some(json!({ "events": ids }));
    }
    let id: u32 = path.strip_prefix("/event/")?.parse().ok()?;
    let price = events.get(&id)?;
    let outcome = |id, price: &str| json!({ "id": id, "label": id, "price": price });
    let outcomes = [outcome("1", price), outcome("x", "3.4"), outcome("2", "4.2")];
    Some(json!({ "events": [{
        "id": id.to_string(), "home": format!("Home {id}"), "away": "Away", "league": "First",
        "start": "2030-01-01T12:00:00Z", "advertisement": UNREAD,
        "markets": [{ "id": "1", "open": true, "outcomes": outcomes }],
    }] }))
}
