//! The fetcher against a scripted server on a free port.

use super::*;
use crate::source::tests as definitions;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Barrier,
    task::JoinSet,
};

/// Answers each request with what a script makes of its number, from 0, and its text. Gone when it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(usize, &str) -> String + Send + Sync + 'static) -> Self {
        Self::gated(script, 1).await
    }

    /// Answers only when so many requests wait for an answer.
    pub(crate) async fn gated(
        script: impl Fn(usize, &str) -> String + Send + Sync + 'static,
        together: usize,
    ) -> Self {
        oddswire_kit::tls::install_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let (script, gate) = (Arc::new(script), Arc::new(Barrier::new(together)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (script, gate, seen) = (Arc::clone(&script), Arc::clone(&gate), Arc::clone(&seen));
                connections.spawn(async move {
                    let request = read_request(&mut stream).await;
                    let number = {
                        let mut seen = lock(&seen);
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    gate.wait().await;
                    stream
                        .write_all(script(number, &request).as_bytes())
                        .await
                        .unwrap();
                });
            }
        });
        Self {
            url,
            requests,
            _tasks: tasks,
        }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }
}

/// The first line and the body of a request.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split_once("content-length: ").map_or(0, |(_, rest)| {
                rest.split("\r\n").next().unwrap_or_default().parse().unwrap()
            });
            if body.len() >= length {
                return format!("{}\n{body}", text.lines().next().unwrap_or_default());
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return String::new();
        }
    }
}

/// An answer that closes the connection, so that each request is one connection.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

fn site(url: &str, more: &str) -> Arc<Site> {
    let source = definitions::source(url, more);
    Fetcher::new().site(&source).unwrap()
}

fn get(url: &str, path: &str) -> Request {
    Request {
        post: false,
        url: Url::parse(&format!("{url}{path}")).unwrap(),
        json: None,
        missing_on: BTreeSet::from([410]),
    }
}

async fn fetch(site: &Site, request: &Request) -> (Result<Fetched, Error>, Vec<Error>) {
    let retried = Mutex::new(Vec::new());
    let on_retry = |error: &Error, _| lock(&retried).push(error.clone());
    let result = site.fetch(request, &CancellationToken::new(), &on_retry).await;
    let retried = std::mem::take(&mut *lock(&retried));
    (result, retried)
}

fn body(result: Result<Fetched, Error>) -> String {
    match result.unwrap() {
        Fetched::Page(page) => String::from_utf8(page.body.to_vec()).unwrap(),
        Fetched::Missing => panic!("missing"),
    }
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_and_told() {
    let server = Server::start(|number, _| match number {
        0 => answer(503, "", ""),
        1 => answer(429, "retry-after: 0\r\n", ""),
        _ => answer(200, "", "fine"),
    })
    .await;
    let (result, retried) = fetch(&site(&server.url, ""), &get(&server.url, "/a?token=secret")).await;
    assert_eq!(body(result), "fine");
    let statuses: Vec<_> = retried.iter().map(Error::http_status).collect();
    assert_eq!(statuses, [Some(503), Some(429)]);
    assert!(
        retried.iter().all(|error| !error.to_string().contains("secret")),
        "{retried:?}"
    );
}

#[tokio::test]
async fn a_failure_that_stays_is_told_once_and_not_tried_again() {
    let server = Server::start(|_, _| answer(404, "", "")).await;
    let (result, retried) = fetch(&site(&server.url, ""), &get(&server.url, "/a")).await;
    assert_eq!(
        result.unwrap_err().error_type(),
        oddswire_protocol::progress::ErrorType::HttpStatus
    );
    assert_eq!((retried, server.requests().len()), (Vec::new(), 1));
}

#[tokio::test]
async fn a_page_that_is_gone_is_no_failure() {
    let server = Server::start(|_, _| answer(410, "", "")).await;
    let (result, _) = fetch(&site(&server.url, ""), &get(&server.url, "/a")).await;
    assert!(matches!(result, Ok(Fetched::Missing)));
}

#[tokio::test]
async fn a_site_that_refuses_us_is_not_asked_again() {
    let server = Server::start(|_, _| answer(403, "", "")).await;
    let (result, _) = fetch(&site(&server.url, ""), &get(&server.url, "/a")).await;
    assert_eq!(
        result.unwrap_err().error_type(),
        oddswire_protocol::progress::ErrorType::Blocked
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = Server::start(|number, _| answer(200, "", &"x".repeat(1_024 + number))).await;
    let site = site(&server.url, "http = { max_body = \"1KiB\" }");
    let (result, _) = fetch(&site, &get(&server.url, "/a")).await;
    assert_eq!(body(result).len(), 1_024);
    let (result, _) = fetch(&site, &get(&server.url, "/a")).await;
    assert!(
        matches!(
            result,
            Err(Error::TooLarge {
                limit_bytes: 1_024,
                ..
            })
        ),
        "{result:?}"
    );
}

#[tokio::test]
async fn redirects_are_followed_on_the_host_and_nowhere_else() {
    let stranger = Server::start(|_, _| answer(200, "", "stolen")).await;
    let elsewhere = format!("location: {}/x\r\n", stranger.url);
    let server = Server::start(move |_, request| match request {
        _ if request.contains("/here") => answer(302, "location: /there\r\n", ""),
        _ if request.contains("/there") => answer(200, "", "found"),
        _ if request.contains("/loop") => answer(302, "location: /loop\r\n", ""),
        _ => answer(302, &elsewhere, ""),
    })
    .await;
    let site = site(&server.url, "");
    assert_eq!(body(fetch(&site, &get(&server.url, "/here")).await.0), "found");
    for path in ["/away", "/loop"] {
        let (result, _) = fetch(&site, &get(&server.url, path)).await;
        assert_eq!(result.unwrap_err().http_status(), Some(302), "{path}");
    }
    let (result, _) = fetch(&site, &get(&stranger.url, "/")).await;
    assert_eq!(result.unwrap_err(), Error::OtherHost);
    assert!(stranger.requests().is_empty());
}

#[tokio::test]
async fn no_more_requests_are_in_flight_than_the_limit() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    // Each answer waits for a second request, so two at a time must be possible.
    let answered = AtomicUsize::new(0);
    let script = move |number, _: &str| {
        let in_flight = number + 1 - answered.fetch_add(1, Ordering::SeqCst);
        seen.fetch_max(in_flight, Ordering::SeqCst);
        answer(200, "", "")
    };
    let server = Server::gated(script, 2).await;
    let site = site(
        &server.url,
        "limits = { concurrency = 2, requests_per_second = 1000, burst = 100 }",
    );
    let requests: Vec<_> = (0..8).map(|_| get(&server.url, "/")).collect();
    let all = futures_util::future::join_all(requests.iter().map(|request| fetch(&site, request))).await;
    assert!(all.iter().all(|(result, _)| result.is_ok()));
    assert!(most.load(Ordering::SeqCst) <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_site_asks_for_holds_all_requests_and_ends_with_a_cancel() {
    oddswire_kit::tls::install_provider();
    let site = site("http://127.0.0.1:1", "");
    let start = Instant::now();
    site.pause(Duration::from_secs(5));
    site.pause(Duration::from_secs(2));
    site.wait_for_pause().await;
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    site.pause(Duration::from_secs(3_600));
    let cancel = CancellationToken::new();
    cancel.cancel();
    let result = site
        .fetch(&get("http://127.0.0.1:1", "/"), &cancel, &|_, _| ())
        .await;
    assert_eq!(result.unwrap_err(), Error::Cancelled);
}

#[test]
fn a_definition_keeps_its_site_until_it_changes() {
    oddswire_kit::tls::install_provider();
    let fetcher = Fetcher::new();
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
