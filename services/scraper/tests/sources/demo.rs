//! A demo site of the test's own, and walks over it.

use oddswire_demo_site::{Book, DemoOptions};
use oddswire_protocol::progress::Outcome;
use oddswire_scraper::{
    fetch::Fetcher,
    reading::{Harvest, Pages},
    source::Source,
    walk::{Fault, Observer, Walk, WalkError},
};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// The folder of the definitions.
pub(crate) const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sources");

/// A demo site on a free port whose world stands still. Gone when it is dropped.
pub(crate) struct Demo {
    url: String,
    client: reqwest::Client,
    fetcher: Fetcher,
    _server: JoinSet<()>,
}

impl Demo {
    pub(crate) async fn start(seed: u64, events: u32) -> Self {
        oddswire_kit::tls::install_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let options = DemoOptions {
            seed,
            events,
            speed: 0.0,
            ..DemoOptions::default()
        };
        let mut server = JoinSet::new();
        server.spawn(async move {
            oddswire_demo_site::run(options, listener, CancellationToken::new())
                .await
                .unwrap();
        });
        Self {
            url,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            fetcher: Fetcher::default(),
            _server: server,
        }
    }

    pub(crate) async fn order(&self, what: &str, order: Value) -> Value {
        let url = format!("{}/__demo/{what}", self.url);
        let response = self.client.post(url).json(&order).send().await.unwrap();
        response.error_for_status().unwrap().json().await.unwrap()
    }

    pub(crate) async fn clock_at(&self, at: &str) {
        self.order("clock", json!({ "speed": 0, "at": at })).await;
    }

    pub(crate) async fn fault(
        &self,
        book: Book,
        fault: Value,
        count: Option<u32>,
        path_contains: Option<&str>,
    ) {
        let mut order = json!({ "book": book.key(), "fault": fault });
        if let Some(count) = count {
            order["count"] = count.into();
        }
        if let Some(path) = path_contains {
            order["path_contains"] = path.into();
        }
        self.order("faults", order).await;
    }

    pub(crate) async fn faults_hit(&self) -> u64 {
        let list: Value = self.get("faults").await;
        list["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["hits"].as_u64().unwrap())
            .sum()
    }

    pub(crate) async fn get<T: serde::de::DeserializeOwned>(&self, what: &str) -> T {
        let url = format!("{}/__demo/{what}", self.url);
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// The definition that users get, without its manners, which would only make the tests slow.
    pub(crate) fn source(&self, book: Book) -> Arc<Source> {
        let file = Path::new(SOURCES).join(format!("{book}.toml"));
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text
            .replace("requests_per_second = 20", "requests_per_second = 1000")
            .replace("burst = 4", "burst = 1000")
            .replace("base = \"250ms\"", "base = \"1ms\"")
            .replace("max = \"15s\"", "max = \"10ms\"");
        let lookup = |name: &str| (name == "DEMO_URL").then(|| self.url.clone());
        Arc::new(Source::parse(&file, &text, &lookup).unwrap())
    }

    pub(crate) fn walk(&self, book: Book, known: Pages) -> (Walk, Arc<Recorder>, CancellationToken) {
        let recorder = Arc::new(Recorder::default());
        let cancel = CancellationToken::new();
        let observer = Arc::clone(&recorder) as Arc<dyn Observer>;
        let walk = Walk::new(self.source(book), &self.fetcher, observer, cancel.clone(), known).unwrap();
        (walk, recorder, cancel)
    }

    pub(crate) async fn run(&self, book: Book, known: Pages) -> (Result<Harvest, WalkError>, Vec<Fault>) {
        let (walk, recorder, _cancel) = self.walk(book, known);
        let result = async {
            let targets = walk.discover().await?;
            recorder.end_phase();
            let scraped = walk.scrape(targets).await?;
            recorder.end_phase();
            let harvest = walk.map(scraped);
            recorder.end_phase();
            if harvest.outcome == Outcome::Complete {
                // Each event was read from one row, and no row was passed over.
                assert_eq!(recorder.state.lock().unwrap().events, harvest.events.len() as u64);
            }
            Ok(harvest)
        };
        let result = result.await;
        let faults = std::mem::take(&mut recorder.state.lock().unwrap().faults);
        (result, faults)
    }

    pub(crate) async fn harvest(&self, book: Book) -> (Harvest, Vec<Fault>) {
        let (result, faults) = self.run(book, Pages::new()).await;
        (result.unwrap(), faults)
    }
}

/// Remembers what a walk tells.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) state: Mutex<Recorded>,
}

#[derive(Default)]
pub(crate) struct Recorded {
    total: Option<u64>,
    advanced: u64,
    events: u64,
    pub(crate) faults: Vec<Fault>,
}

impl Recorder {
    /// All that was announced must be done, and nothing else.
    pub(crate) fn end_phase(&self) {
        let mut state = self.state.lock().unwrap();
        assert_eq!(state.total.unwrap_or(0), state.advanced);
        (state.total, state.advanced) = (None, 0);
    }
}

impl Observer for Recorder {
    fn total(&self, total: Option<u64>) {
        self.state.lock().unwrap().total = total;
    }
    fn advance(&self, units: u64) {
        self.state.lock().unwrap().advanced += units;
    }
    fn found_events(&self, events: u64) {
        self.state.lock().unwrap().events += events;
    }
    fn fault(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push(fault);
    }
}
