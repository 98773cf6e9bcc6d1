//! robots.txt on the wire.

use super::*;
use oddswire_protocol::progress::ErrorType;

const OBEY: &str = "robots = \"obey\"";

fn robots_requests(server: &Server) -> usize {
    let requests = server.requests();
    requests
        .iter()
        .filter(|request| request.contains("/robots.txt"))
        .count()
}

#[tokio::test]
async fn what_robots_txt_forbids_is_not_asked_for_and_one_look_serves_all_sources() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/robots.txt") => answer(200, "", "user-agent: *\ndisallow: /private\n"),
        _ if request.contains("/way") => answer(302, "location: /private/b\r\n", ""),
        _ => answer(200, "", "page"),
    })
    .await;
    let fetcher = Fetcher::default();
    let one = site_of(&fetcher, "one", &format!("{}/base", server.url), OBEY);
    let two = site_of(&fetcher, "two", &server.url, OBEY);
    let page = get(&server.url, "/public");
    let (first, second) = tokio::join!(fetch(&one, &page), fetch(&two, &page));
    assert_eq!((body(first.0), body(second.0)), ("page".into(), "page".into()));
    for path in ["/private/a", "/way"] {
        let error = fetch_path(&two, path).await.unwrap_err();
        assert_eq!(
            (error.error_type(), error.recoverable()),
            (ErrorType::Robots, false)
        );
    }
    assert_eq!(robots_requests(&server), 1);
    assert!(
        server
            .requests()
            .iter()
            .all(|request| !request.contains("/private"))
    );
    let rude = site_of(&fetcher, "three", &server.url, "robots = \"ignore\"");
    assert_eq!(body(fetch_path(&rude, "/private/a").await), "page");
}

#[tokio::test]
async fn while_robots_txt_cannot_be_had_nothing_else_is_asked_for() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/robots.txt") => answer(503, "", ""),
        _ => answer(200, "", "page"),
    })
    .await;
    let site = site(&server.url, OBEY);
    for _ in 0..2 {
        let error = fetch_path(&site, "/a").await.unwrap_err();
        assert_eq!(
            (error.error_type(), error.recoverable()),
            (ErrorType::Robots, true)
        );
    }
    // With its four tries, and not again for a minute.
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_site_without_robots_txt_allows_everything() {
    for status in [404, 403, 302] {
        let server = Server::start(move |_, request| match request {
            _ if request.contains("/robots.txt") => {
                answer(status, "location: http://other.invalid/robots.txt\r\n", "")
            }
            _ => answer(200, "", "page"),
        })
        .await;
        let site = site(&server.url, OBEY);
        assert_eq!(body(fetch_path(&site, "/a").await), "page", "{status}");
        assert_eq!(robots_requests(&server), 1);
    }
}

#[tokio::test]
async fn a_long_robots_txt_is_read_as_far_as_500_kib() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/robots.txt") => {
            let text = format!("user-agent: *\ndisallow: /private\n{}", "#\n".repeat(400_000));
            answer(200, "", &text)
        }
        _ => answer(200, "", "page"),
    })
    .await;
    let site = site(&server.url, &format!("{OBEY}\nhttp = {{ max_body = \"1KiB\" }}"));
    assert_eq!(body(fetch_path(&site, "/a").await), "page");
    assert!(fetch_path(&site, "/private").await.is_err());
}

#[tokio::test]
async fn the_crawl_delay_of_robots_txt_is_kept() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/robots.txt") => answer(200, "", "user-agent: oddswire\ncrawl-delay: 0.1\n"),
        _ => answer(200, "", "page"),
    })
    .await;
    let site = site(&server.url, OBEY);
    let start = tokio::time::Instant::now();
    fetch_path(&site, "/a").await.unwrap();
    fetch_path(&site, "/b").await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
}
