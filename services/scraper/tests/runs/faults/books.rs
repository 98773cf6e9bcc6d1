//! The demo's four bookmakers, scraped as they are shipped but for the patience, and what the board makes of them.

use crate::world::{Scraper, World, options, until};
use oddswire_demo_site::{
    DemoOptions,
    truth::{MarketStatus, Truth},
};
use oddswire_protocol::{
    EventId, Line, Price, RunId, SourceKey, Timestamp,
    odds::{OddsConfirmed, QuoteStatus},
    progress::{ErrorType, Outcome, Status},
};
use oddswire_scraper::ScraperOptions;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub(super) const BOOKS: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];

/// What the definitions say, and what they say here: the same, with less patience.
const HASTE: &[(&str, &str)] = &[
    ("timeout = \"10s\"", "timeout = \"600ms\""),
    ("base = \"250ms\"", "base = \"5ms\""),
    // Four bookmakers share one host: when it is left alone has tests of its own.
    ("max = \"15s\"", "max = \"50ms\"\nbreaker = { failures = 0 }"),
    ("requests_per_second = 20", "requests_per_second = 1000"),
    ("burst = 4", "burst = 100"),
];

/// How a run ended.
#[derive(Debug)]
pub(super) struct Told {
    status: Status,
    outcome: Option<Outcome>,
    errors: BTreeSet<ErrorType>,
}

impl Told {
    /// Whether it ended so, and told this kind of error, or none at all.
    pub(super) fn is(&self, (status, outcome, error): (Status, Outcome, Option<ErrorType>)) -> bool {
        let told = match error {
            None => self.errors.is_empty(),
            Some(error) => self.errors.contains(&error),
        };
        (self.status, self.outcome) == (status, Some(outcome)) && told
    }
}

/// A quote's outcome: source, event, market, line, name.
type Cell = (String, EventId, String, Option<Line>, String);

/// What the board shows of an outcome.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    /// The price where it can be bet on.
    open: Option<Price>,
    /// Until when the board claims to have checked it.
    checked_at: Timestamp,
}

/// The world of these tests.
pub(super) struct Books {
    world: World,
    url: String,
    /// Since when the bookmakers show what they show.
    moved_at: std::sync::Mutex<Timestamp>,
    http: reqwest::Client,
    scraper: Scraper,
    _serving: JoinSet<()>,
    _sources: TempDir,
}

impl Books {
    pub(super) async fn start() -> Self {
        let world = World::start(30_000, 0, "").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let demo = DemoOptions {
            speed: 0.0,
            events: 12,
            ..DemoOptions::default()
        };
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            oddswire_demo_site::run(demo, listener, CancellationToken::new())
                .await
                .unwrap();
        });
        let sources = hasty_sources();
        let options = ScraperOptions {
            no_schedule: true,
            sources: sources.path().to_owned(),
            ..options(&world.nats, "w-1")
        };
        let demo_url = url.clone();
        let scraper = Scraper::start(options, move |name| {
            (name == "DEMO_URL").then(|| demo_url.clone())
        })
        .await;
        let books = Self {
            world,
            url,
            moved_at: Timestamp::now().into(),
            http: reqwest::Client::new(),
            scraper,
            _serving: serving,
            _sources: sources,
        };
        // The same world in every run of the test.
        books
            .control("clock", r#"{"at":"2026-11-22T14:00:00.000Z"}"#)
            .await;
        books
    }

    async fn control(&self, what: &str, body: &str) {
        let answer = self
            .http
            .post(format!("{}/__demo/{what}", self.url))
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        assert!(
            status.is_success(),
            "{what} {body}: {}",
            answer.text().await.unwrap()
        );
    }

    /// Moves the bookmakers' clock on.
    pub(super) async fn advance(&self, minutes: u64) {
        self.control("clock", &format!(r#"{{"advance_ms":{}}}"#, minutes * 60_000))
            .await;
        *self.moved_at.lock().unwrap() = Timestamp::now();
    }

    /// Gives every book a fault.
    pub(super) async fn set_fault(&self, fault: &str, only: &str) {
        self.control("faults", &format!(r#"{{"book":"*","fault":{{{fault}}}{only}}}"#))
            .await;
    }

    pub(super) async fn clear_faults(&self) {
        self.control("faults", r#"{"book":"*","fault":null}"#).await;
    }

    /// Has each book scraped; tells how its run ended.
    pub(super) async fn run_all(&self) -> BTreeMap<&'static str, Told> {
        self.run(&BOOKS).await
    }

    /// Has some books scraped; tells how their runs ended.
    pub(super) async fn run(&self, books: &[&'static str]) -> BTreeMap<&'static str, Told> {
        let mut runs = BTreeMap::new();
        for book in books.iter().copied() {
            let source: SourceKey = book.parse().unwrap();
            let run_id = RunId::new();
            until("the source is free", async || {
                self.world.job_as(source.clone(), &run_id).await.ok()
            })
            .await;
            runs.insert(run_id, book);
        }
        let ends = async || {
            let mut ends = BTreeMap::new();
            for message in self.world.all_run_messages().await? {
                let image = message.image;
                if let (Some(book), true) = (runs.get(&image.run_id), image.status.is_terminal()) {
                    let told = Told {
                        status: image.status,
                        outcome: image.outcome,
                        errors: image.errors.iter().map(|error| error.error_type).collect(),
                    };
                    assert!(ends.insert(*book, told).is_none(), "{book} ended twice");
                }
            }
            (ends.len() == runs.len()).then_some(ends)
        };
        until("all runs end", ends).await
    }

    async fn truth(&self) -> BTreeMap<Cell, Option<Price>> {
        let answer = self
            .http
            .get(format!("{}/__demo/truth", self.url))
            .send()
            .await
            .unwrap();
        let truth: Truth = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let mut cells = BTreeMap::new();
        for (book, shown) in truth.books {
            for event in shown.events {
                let event_id = EventId::of(&format!("mc:match:{}", event.match_id));
                for market in event.markets {
                    for outcome in market.outcomes {
                        let token = format!("{}-{}", market.key, market.period);
                        let cell = (
                            book.key().to_owned(),
                            event_id.clone(),
                            token,
                            decimal(&market.line),
                            outcome.name,
                        );
                        let open = market.status == MarketStatus::Open;
                        cells.insert(cell, decimal::<Option<Price>>(&outcome.price).filter(|_| open));
                    }
                }
            }
        }
        cells
    }

    /// The board: what is not withdrawn.
    async fn board(&self) -> BTreeMap<Cell, Shown> {
        let confirmed = self.world.confirmations().await;
        let mut cells = BTreeMap::new();
        for (_, image) in self.world.odds().await {
            let event_id = &image.event_ids[0];
            let token = format!("{}-{}", image.market.key, image.market.period);
            for quote in &image.market.quotes {
                let holds = |confirmed: &&OddsConfirmed| {
                    !confirmed.all_unconfirmed && !confirmed.unconfirmed_event_ids.contains(event_id)
                };
                let by_source = confirmed.get(&image.source).filter(holds);
                let checked_at = quote
                    .confirmed_at
                    .max(by_source.map_or(quote.confirmed_at, |confirmed| confirmed.confirmed_at));
                for outcome in &quote.outcomes {
                    if quote.status == QuoteStatus::Withdrawn || outcome.status == QuoteStatus::Withdrawn {
                        continue;
                    }
                    let open = quote.status == QuoteStatus::Open && outcome.status == QuoteStatus::Open;
                    let cell = (
                        image.source.to_string(),
                        event_id.clone(),
                        token.clone(),
                        quote.line,
                        outcome.name.clone(),
                    );
                    let open = outcome.price.filter(|_| open);
                    cells.insert(cell, Shown { open, checked_at });
                }
            }
        }
        cells
    }

    /// What the scraper counts of its requests, by name and labels.
    pub(super) async fn fetch_metrics(&self) -> BTreeMap<String, String> {
        let (_, text) = self.scraper.ops("/metrics").await;
        let lines = text
            .lines()
            .filter(|line| line.starts_with("oddswire_scraper_fetch_"));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// How many pages the bookmakers have called unchanged.
    pub(super) async fn called_unchanged(&self) -> f64 {
        self.scraper
            .metric("oddswire_scraper_fetch_unchanged_total")
            .await
    }

    /// How much the board shows.
    pub(super) async fn shown(&self) -> usize {
        self.board().await.len()
    }

    /// Nothing is missing, nothing is too much, and each price is the one that the bookmaker shows.
    pub(super) async fn assert_board_is_the_truth(&self, when: &str) {
        let truth = self.truth().await;
        let board: BTreeMap<Cell, Option<Price>> = self
            .board()
            .await
            .into_iter()
            .map(|(cell, shown)| (cell, shown.open))
            .collect();
        assert!(truth.len() > 300, "a board worth comparing: {}", truth.len());
        let cells: BTreeSet<&Cell> = truth.keys().chain(board.keys()).collect();
        let wrong: Vec<_> = cells
            .into_iter()
            .filter(|cell| truth.get(*cell) != board.get(*cell))
            .map(|cell| {
                format!(
                    "{cell:?}: {:?}, and shown is {:?}",
                    truth.get(cell),
                    board.get(cell)
                )
            })
            .collect();
        assert!(
            wrong.is_empty(),
            "{when}: {} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    /// For a control: as if everything on the board had been checked since the bookmakers moved.
    pub(super) fn take_everything_for_checked(&self) {
        *self.moved_at.lock().unwrap() = Timestamp::from_unix_ms(0).unwrap();
    }

    /// Prices that can be bet on, that the board claims to have checked since the bookmakers moved, and that are not
    /// what the bookmaker shows. What is older says so, and a client shows it as stale.
    pub(super) async fn wrongly_checked(&self) -> Vec<String> {
        let moved_at = *self.moved_at.lock().unwrap();
        let truth = self.truth().await;
        let board = self.board().await;
        let checked = board
            .into_iter()
            .filter(|(_, shown)| shown.checked_at >= moved_at);
        checked
            .filter(|(cell, shown)| shown.open.is_some() && shown.open != truth.get(cell).copied().flatten())
            .map(|(cell, shown)| format!("{cell:?} {shown:?}"))
            .collect()
    }
}

fn hasty_sources() -> TempDir {
    let hasty = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sources");
    for book in BOOKS {
        let mut text = fs::read_to_string(shipped.join(format!("{book}.toml"))).unwrap();
        for (from, to) in HASTE {
            assert!(text.contains(from), "{book}: {from}");
            text = text.replace(from, to);
        }
        fs::write(hasty.path().join(format!("{book}.toml")), text).unwrap();
    }
    hasty
}

/// A number of the truth's own types, by its JSON.
fn decimal<T: serde::de::DeserializeOwned>(value: &impl serde::Serialize) -> T {
    serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap()
}
