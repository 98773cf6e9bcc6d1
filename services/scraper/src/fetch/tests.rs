//! The fetcher against a scripted server on a free port.

mod bodies;
mod hosts;
mod manners;
mod private;
mod tries;

use super::*;
use crate::source::{Limits, tests as definitions};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Barrier,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Answers each request with what a script makes of its number, from 0, and its text. Gone when it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    /// The first line and the body of each request.
    requests: Arc<Mutex<Vec<String>>>,
    /// All of each request.
    whole: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start<A: Into<Vec<u8>>>(
        script: impl Fn(usize, &str) -> A + Send + Sync + 'static,
    ) -> Self {
        Self::gated(script, 1).await
    }

    /// Answers only when so many requests wait for an answer.
    pub(crate) async fn gated<A: Into<Vec<u8>>>(
        script: impl Fn(usize, &str) -> A + Send + Sync + 'static,
        together: usize,
    ) -> Self {
        oddswire_kit::tls::install_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let whole = Arc::new(Mutex::new(Vec::new()));
        let (seen, seen_whole) = (Arc::clone(&requests), Arc::clone(&whole));
        let (script, gate) = (Arc::new(script), Arc::new(Barrier::new(together)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (script, gate) = (Arc::clone(&script), Arc::clone(&gate));
                let (seen, seen_whole) = (Arc::clone(&seen), Arc::clone(&seen_whole));
                connections.spawn(async move {
                    let (text, request) = read_request(&mut stream).await;
                    lock(&seen_whole).push(text);
                    let number = {
                        let mut seen = lock(&seen);
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    gate.wait().await;
                    let answer = script(number, &request).into();
                    // Whoever asked may not want to hear all of it.
                    let _ = stream.write_all(&answer).await;
                });
            }
        });
        Self {
            url,
            requests,
            whole,
            _tasks: tasks,
        }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }

    /// The value of a header of a request.
    pub(crate) fn header(&self, number: usize, name: &str) -> Option<String> {
        let whole = lock(&self.whole)[number].clone();
        let lines = whole.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    }
}

/// A request, and its first line with its body.
async fn read_request(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split_once("content-length: ").map_or(0, |(_, rest)| {
                rest.split("\r\n").next().unwrap_or_default().parse().unwrap()
            });
            if body.len() >= length {
                let request = format!("{}\n{body}", text.lines().next().unwrap_or_default());
                return (text.into_owned(), request);
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return Default::default();
        }
    }
}

/// An answer that closes the connection, so that each request is one connection.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

const HURRY: &str = "limits = { requests_per_second = 1000, burst = 1000, concurrency = 8 }";

fn site(url: &str, more: &str) -> Arc<Site> {
    let source = definitions::source(url, more);
    Fetcher::default().site(&source).unwrap()
}

/// The site of a source with this key.
fn site_of(fetcher: &Fetcher, key: &str, url: &str, more: &str) -> Arc<Site> {
    let text = definitions::text(more).replace("key = \"test\"", &format!("key = \"{key}\""));
    fetcher.site(&definitions::parse_at(url, &text).unwrap()).unwrap()
}

fn get(url: &str, path: &str) -> Request {
    Request {
        post: false,
        url: Url::parse(&format!("{url}{path}")).unwrap(),
        json: None,
        missing_on: BTreeSet::from([410]),
    }
}

fn budget() -> Budget {
    Budget::new(&Limits::default())
}

async fn fetch(site: &Site, request: &Request) -> (Result<Fetched, Error>, Vec<Error>) {
    let retried = Mutex::new(Vec::new());
    let on_retry = |error: &Error, _| lock(&retried).push(error.clone());
    let cancel = CancellationToken::new();
    let result = site.fetch(request, &budget(), &cancel, &on_retry).await;
    let retried = std::mem::take(&mut *lock(&retried));
    (result, retried)
}

async fn fetch_path(site: &Site, path: &str) -> Result<Fetched, Error> {
    let url = site.base_url.as_str().trim_end_matches('/').to_owned();
    fetch(site, &get(&url, path)).await.0
}

fn body(result: Result<Fetched, Error>) -> String {
    match result.unwrap() {
        Fetched::Page(page) => String::from_utf8(page.body.to_vec()).unwrap(),
        Fetched::Missing => panic!("missing"),
    }
}

#[tokio::test]
async fn a_page_that_is_gone_is_no_failure() {
    let server = Server::start(|_, _| answer(410, "", "")).await;
    let (result, _) = fetch(&site(&server.url, ""), &get(&server.url, "/a")).await;
    assert!(matches!(result, Ok(Fetched::Missing)));
}

#[tokio::test]
async fn we_say_who_we_are_unless_the_source_says_it() {
    let server = Server::start(|_, _| answer(200, "", "")).await;
    let fetcher = Fetcher::new(FetchOptions {
        contact: Some("https://example.org/bot".into()),
        ..FetchOptions::default()
    });
    let ours = site_of(&fetcher, "one", &server.url, "");
    let its = site_of(&fetcher, "two", &server.url, "http = { user_agent = \"mine/1\" }");
    fetch_path(&ours, "/").await.unwrap();
    fetch_path(&its, "/").await.unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        server.header(0, "user-agent").unwrap(),
        format!("oddswire/{version} (+https://example.org/bot)")
    );
    assert_eq!(server.header(1, "user-agent").unwrap(), "mine/1");
}

#[tokio::test]
async fn a_cancel_ends_a_request_that_waits() {
    let server = Server::gated(|_, _| answer(200, "", ""), 2).await;
    let cancel = CancellationToken::new();
    let site = site(&server.url, "");
    let (request, budget) = (get(&server.url, "/"), budget());
    let fetching = site.fetch(&request, &budget, &cancel, &|_, _| ());
    let cancelling = async {
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(fetching, cancelling);
    assert_eq!(result.unwrap_err(), Error::Cancelled);
}

#[tokio::test]
async fn a_run_asks_for_no_more_pages_than_its_limit() {
    let server = Server::start(|_, _| answer(200, "", "")).await;
    let site = site(&server.url, "");
    let budget = Budget::new(&Limits {
        max_pages: 2,
        ..Limits::default()
    });
    let request = get(&server.url, "/");
    let cancel = CancellationToken::new();
    let mut results = Vec::new();
    for _ in 0..3 {
        results.push(site.fetch(&request, &budget, &cancel, &|_, _| ()).await.err());
    }
    assert_eq!(results, [None, None, Some(Error::OutOfPages { limit: 2 })]);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_fetches_no_longer_than_its_limit() {
    let server = Server::gated(|_, _| answer(200, "", ""), 2).await;
    let site = site(&server.url, "");
    let limit = Duration::from_secs(1);
    let budget = Budget::new(&Limits {
        max_duration: limit,
        ..Limits::default()
    });
    let request = get(&server.url, "/");
    let result = site
        .fetch(&request, &budget, &CancellationToken::new(), &|_, _| ())
        .await;
    let error = result.unwrap_err();
    assert_eq!(error, Error::OutOfTime { limit });
    assert!(error.recoverable());
}

#[test]
fn a_definition_keeps_its_site_until_it_changes() {
    oddswire_kit::tls::install_provider();
    let fetcher = Fetcher::default();
    let site = |more: &str| {
        fetcher
            .site(&definitions::source("http://127.0.0.1:1", more))
            .unwrap()
    };
    let first = site("");
    assert!(Arc::ptr_eq(&first, &site("")));
    let second = site("limits = { concurrency = 2 }");
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&first.host, &second.host));
}
