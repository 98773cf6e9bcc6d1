//! A running demo site for one test.

use std::time::Duration;

use chrono::{DateTime, Utc};
use oddswire_demo_site::clock::{ClockOrder, ClockReport};
use oddswire_demo_site::truth::{BookTruth, Truth};
use oddswire_demo_site::{Book, DemoOptions, Error, run};
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The moment at which a paused site stands.
pub(crate) const NOON: &str = "2026-11-22T12:00:00Z";

/// A site on a port of its own. It ends when this is dropped.
pub(crate) struct Site {
    pub(crate) base: String,
    pub(crate) client: Client,
    pub(crate) stop: CancellationToken,
    tasks: JoinSet<Result<(), Error>>,
}

impl Site {
    /// Starts a site whose world stands still at [`NOON`].
    pub(crate) async fn paused() -> Self {
        let site = Self::start(DemoOptions {
            speed: 0.0,
            ..DemoOptions::default()
        })
        .await;
        site.set_clock(NOON.parse().unwrap()).await;
        site
    }

    pub(crate) async fn start(options: DemoOptions) -> Self {
        // A second test in this process finds the provider installed; both mean the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(run(options, listener, stop.clone()));
        let client = Client::builder()
            .timeout(Duration::from_secs(20))
            // What came over the wire is what the tests are about.
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            base,
            client,
            stop,
            tasks,
        }
    }

    /// Tells the site to stop, and gives what `run` returned, within ten seconds.
    pub(crate) async fn ended(&mut self) -> Result<(), Error> {
        self.stop.cancel();
        let joined = tokio::time::timeout(Duration::from_secs(10), self.tasks.join_next()).await;
        joined.expect("the site did not stop").unwrap().unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client
            .get(format!("{}{path}", self.base))
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn get_with(&self, path: &str, header: &str, value: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.base));
        request.header(header, value).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "application/json");
        response.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.client
            .post(format!("{}{path}", self.base))
            .body(body)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn set_clock(&self, at: DateTime<Utc>) -> ClockReport {
        let order = ClockOrder {
            at: Some(at),
            ..ClockOrder::default()
        };
        self.post("/__demo/clock", serde_json::to_string(&order).unwrap())
            .await
            .json()
            .await
            .unwrap()
    }

    /// Sets a fault; `fault` is JSON.
    pub(crate) async fn set_fault(&self, book: &str, fault: &str) {
        let response = self
            .post(
                "/__demo/faults",
                format!(r#"{{"book":"{book}","fault":{fault}}}"#),
            )
            .await;
        assert_eq!(response.status(), 200);
    }

    /// Gives the truth about one book, at a moment or now.
    pub(crate) async fn truth(&self, book: Book, at: Option<&str>) -> BookTruth {
        let at = at.map(|at| format!("&at={at}")).unwrap_or_default();
        let truth: Truth = self
            .get(&format!("/__demo/truth?book={book}{at}"))
            .await
            .json()
            .await
            .unwrap();
        assert_eq!(truth.books.len(), 1);
        truth.books[&book].clone()
    }
}
