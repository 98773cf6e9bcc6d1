//! What the sources of one host share.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn all_sources_of_a_host_together_have_no_more_requests_in_flight_than_its_limit() {
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
    let fetcher = Fetcher::default();
    let two_at_once = HURRY.replace("concurrency = 8", "concurrency = 2");
    let sites = [
        site_of(&fetcher, "one", &server.url, HURRY),
        site_of(&fetcher, "two", &server.url, &two_at_once),
    ];
    let requests = (0..8).map(|number| fetch_path(&sites[number % 2], "/"));
    let all = futures_util::future::join_all(requests).await;
    assert!(all.iter().all(Result::is_ok));
    assert!(most.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn a_source_that_is_gone_or_has_moved_limits_its_host_no_longer() {
    // Four answers at once: the limit of the others would not do.
    let server = Server::gated(|_, _| answer(200, "", ""), 4).await;
    let fetcher = Fetcher::default();
    let one_at_once = HURRY.replace("concurrency = 8", "concurrency = 1");
    let site = site_of(&fetcher, "one", &server.url, HURRY);
    site_of(&fetcher, "gone", &server.url, &one_at_once);
    site_of(&fetcher, "moved", &server.url, &one_at_once);
    fetcher.forget(&"gone".parse().unwrap());
    site_of(&fetcher, "moved", "http://127.0.0.1:1", &one_at_once);
    let all = futures_util::future::join_all((0..4).map(|_| fetch_path(&site, "/"))).await;
    assert!(all.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_pause_that_the_site_asks_for_holds_all_sources_even_if_nobody_tries_again() {
    let server = Server::start(|number, _| match number {
        0 => answer(429, "retry-after: 3600\r\n", ""),
        _ => answer(200, "", ""),
    })
    .await;
    let fetcher = Fetcher::default();
    let text =
        definitions::text("").replace("base = \"1ms\", max = \"10ms\"", "attempts = 1, max = \"100ms\"");
    let source = definitions::parse_at(&server.url, &text).unwrap();
    let limited = fetcher.site(&source).unwrap();
    let other = site_of(&fetcher, "other", &server.url, "");
    let start = tokio::time::Instant::now();
    assert_eq!(
        fetch_path(&limited, "/").await.unwrap_err().http_status(),
        Some(429)
    );
    fetch_path(&other, "/").await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_host_that_fails_again_and_again_is_left_alone_by_all_its_sources() {
    let server = Server::start(|_, _| answer(500, "", "")).await;
    let fetcher = Fetcher::default();
    let careful =
        "[source.retry]\nattempts = 3\nbase = \"1ms\"\nbreaker = { failures = 3, open_for = \"1h\" }";
    let careful = format!("{HURRY}\n{careful}");
    let text = definitions::text(&careful).replace("retry = { base = \"1ms\", max = \"10ms\" }\n", "");
    let source = definitions::parse_at(&server.url, &text).unwrap();
    let careful = fetcher.site(&source).unwrap();
    let other = site_of(&fetcher, "other", &server.url, "");
    assert_eq!(
        fetch_path(&careful, "/").await.unwrap_err().http_status(),
        Some(500)
    );
    assert_eq!(server.requests().len(), 3);

    let cancel = CancellationToken::new();
    let told = Mutex::new(Vec::new());
    let on_retry = |error: &Error, pause: Duration| {
        lock(&told).push((error.clone(), pause));
        cancel.cancel();
    };
    let request = get(&server.url, "/");
    let result = other.fetch(&request, &budget(), &cancel, &on_retry).await;
    assert_eq!(result.unwrap_err(), Error::Cancelled);
    let told = lock(&told).clone();
    let [(error, pause)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert!(error.recoverable() && *pause > Duration::from_secs(3_500));
    assert_eq!(error.http_status(), Some(500));
    assert!(
        error.to_string().contains("left alone after 3 failures in a row"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn names_below_localhost_are_hosts_of_their_own_and_one_that_fails_is_left_alone_by_itself() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/down") => answer(503, "", ""),
        _ => answer(200, "", "fine"),
    })
    .await;
    let fetcher = Fetcher::default();
    let at = |name: &str| server.url.replace("127.0.0.1", &format!("{name}.localhost"));
    let careful =
        "[source.retry]\nattempts = 3\nbase = \"1ms\"\nbreaker = { failures = 3, open_for = \"1h\" }";
    let text = definitions::text(&format!("{HURRY}\n{careful}"))
        .replace("retry = { base = \"1ms\", max = \"10ms\" }\n", "");
    let alpha = definitions::parse_at(&at("alpha"), &text).unwrap();
    let alpha = fetcher.site(&alpha).unwrap();
    let bravo = site_of(&fetcher, "bravo", &at("bravo"), "");
    assert_eq!(
        fetch_path(&alpha, "/down").await.unwrap_err().http_status(),
        Some(503)
    );
    let (result, _) = fetch(&bravo, &get(&at("bravo"), "/")).await;
    assert_eq!(body(result), "fine");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_host_that_is_well_again_is_asked_again() {
    let server = Server::start(|number, _| match number {
        0..3 => answer(500, "", ""),
        _ => answer(200, "", "fine"),
    })
    .await;
    let text = definitions::text("").replace(
        "max = \"10ms\"",
        "max = \"10ms\", breaker = { failures = 3, open_for = \"1ms\" }",
    );
    let site = Fetcher::default()
        .site(&definitions::parse_at(&server.url, &text).unwrap())
        .unwrap();
    let (result, _) = fetch(&site, &get(&server.url, "/")).await;
    assert_eq!(body(result), "fine");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn an_open_breaker_and_the_pause_between_requests_are_shown_until_the_source_is_gone() {
    let server = Server::start(|_, _| answer(500, "", "")).await;
    let metrics = FetchMetrics::default();
    let mut book = oddswire_kit::metrics::Book::new("test");
    metrics.enter(&mut book);
    let registry = book.into_registry();
    let fetcher = Fetcher::counting(FetchOptions::default(), metrics);
    let text = definitions::text(HURRY).replace(
        "max = \"10ms\"",
        "max = \"10ms\", attempts = 3, breaker = { failures = 3, open_for = \"1h\" }",
    );
    let source = definitions::parse_at(&server.url, &text).unwrap();
    let shown = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let site = fetcher.site(&source).unwrap();
    fetch_path(&site, "/").await.unwrap_err();
    let label = format!("source=\"{}\"", source.key);
    for line in [
        format!("test_fetch_requests_total{{{label},outcome=\"server_error\"}} 3"),
        format!("test_fetch_retries_total{{{label},class=\"server_error\"}} 2"),
        format!("test_fetch_breaker{{{label}}} 2"),
    ] {
        assert!(shown().contains(&line), "{line}: {:#?}", shown());
    }
    fetcher.forget(&source.key);
    let left = shown();
    let gone = |line: &String| line.starts_with("test_fetch_breaker") || line.starts_with("test_fetch_delay");
    assert!(!left.iter().any(gone), "{left:#?}");
}
