//! Bodies and where they are: limits, compression, redirects, pages that have not changed.

use super::*;
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use std::io::Write as _;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    let body = encoder.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 X\r\nconnection: close\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = Server::start(|number, _| answer(200, "", &"x".repeat(1_024 + number))).await;
    let site = site(&server.url, "http = { max_body = \"1KiB\" }");
    assert_eq!(body(fetch_path(&site, "/a").await).len(), 1_024);
    let result = fetch_path(&site, "/a").await;
    let limit_bytes = 1_024;
    assert!(
        matches!(result, Err(Error::TooLarge { limit_bytes: limit, .. }) if limit == limit_bytes),
        "{result:?}"
    );
}

#[tokio::test]
async fn the_limit_counts_what_comes_out_of_a_compressed_body() {
    let server = Server::start(|number, _| match number {
        0 => gzip(&[b'x'; 1_024]),
        _ => gzip(&vec![0; 16 << 20]),
    })
    .await;
    let site = site(&server.url, "http = { max_body = \"1MiB\" }");
    assert_eq!(body(fetch_path(&site, "/a").await).len(), 1_024);
    // Of these two no decoder's memory is the sender's to choose.
    assert_eq!(
        server.header(0, "accept-encoding").unwrap().replace(' ', ""),
        "gzip,br"
    );
    let result = fetch_path(&site, "/bomb").await;
    assert!(matches!(result, Err(Error::TooLarge { .. })), "{result:?}");
}

#[tokio::test]
async fn redirects_are_followed_on_the_host_and_nowhere_else() {
    let stranger = Server::start(|_, _| answer(200, "", "stolen")).await;
    let elsewhere = format!("location: {}/x\r\n", stranger.url);
    let server = Server::start(move |_, request| match request {
        _ if request.contains("/here") => answer(302, "location: /there\r\n", ""),
        _ if request.contains("/there") => answer(200, "", "found"),
        _ if request.contains("/loop") => answer(302, "location: /loop\r\n", ""),
        _ if request.contains("/tls") => {
            let host = request.split("/tls/").nth(1).unwrap().split(' ').next().unwrap();
            answer(302, &format!("location: https://{host}/there\r\n"), "")
        }
        _ => answer(302, &elsewhere, ""),
    })
    .await;
    let site = site(&server.url, "http = { max_redirects = 2 }");
    assert_eq!(body(fetch_path(&site, "/here").await), "found");
    let same_port_other_scheme = server.url.replace("http://", "/tls/");
    for path in ["/away", "/loop", &same_port_other_scheme] {
        let result = fetch_path(&site, path).await;
        assert_eq!(result.unwrap_err().http_status(), Some(302), "{path}");
    }
    let (result, _) = fetch(&site, &get(&stranger.url, "/")).await;
    assert_eq!(result.unwrap_err(), Error::OtherHost);
    assert!(stranger.requests().is_empty());
    let loops = server.requests();
    let loops = loops.iter().filter(|request| request.contains("/loop")).count();
    assert_eq!(loops, 3, "max_redirects = 2");
}

#[tokio::test]
async fn a_redirected_post_stays_one_only_where_the_status_says_so() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/307") => answer(307, "location: /end\r\n", ""),
        _ if request.contains("/303") => answer(303, "location: /end\r\n", ""),
        _ => answer(200, "", ""),
    })
    .await;
    let site = site(&server.url, "");
    for path in ["/307", "/303"] {
        let request = Request {
            post: true,
            json: Some(json!({ "a": 1 })),
            ..get(&server.url, path)
        };
        fetch(&site, &request).await.0.unwrap();
    }
    let requests = server.requests();
    assert_eq!(requests[1], "POST /end HTTP/1.1\n{\"a\":1}");
    assert_eq!(requests[3], "GET /end HTTP/1.1\n");
}

#[tokio::test]
async fn a_page_that_the_site_calls_unchanged_is_the_one_that_we_have() {
    let server = Server::start(|number, _| match number {
        0 => answer(200, "etag: \"1\"\r\nx-page: first\r\n", "one"),
        1 => answer(304, "etag: \"1\"\r\n", ""),
        2 => answer(200, "etag: \"2\"\r\n", "two"),
        _ => answer(304, "", ""),
    })
    .await;
    let site = site(&server.url, "");
    for (number, text) in ["one", "one", "two", "two"].into_iter().enumerate() {
        let result = fetch_path(&site, "/a").await;
        if number == 1 {
            let Ok(Fetched::Page(page)) = &result else {
                panic!("{result:?}")
            };
            assert_eq!(page.headers["x-page"], "first");
        }
        assert_eq!(body(result), text);
    }
    let asked = |number| server.header(number, "if-none-match");
    assert_eq!(
        (0..4).map(asked).collect::<Vec<_>>(),
        [
            None,
            Some("\"1\"".into()),
            Some("\"1\"".into()),
            Some("\"2\"".into())
        ]
    );
}

#[tokio::test]
async fn only_pages_of_their_own_url_and_source_are_asked_about() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/old") => answer(302, "location: /new\r\n", ""),
        _ => answer(200, "etag: \"1\"\r\n", ""),
    })
    .await;
    let fetcher = Fetcher::default();
    let one = site_of(&fetcher, "one", &server.url, "");
    let two = site_of(&fetcher, "two", &server.url, "");
    let never = site_of(&fetcher, "three", &server.url, "http = { conditional = false }");
    // Another source may be another user there.
    for site in [&one, &two, &never, &never] {
        fetch_path(site, "/a").await.unwrap();
    }
    fetch_path(&one, "/a?page=2").await.unwrap();
    let post = Request {
        post: true,
        ..get(&server.url, "/a")
    };
    fetch(&one, &post).await.0.unwrap();
    fetch_path(&one, "/old").await.unwrap();
    fetch_path(&one, "/old").await.unwrap();
    // Another definition of the same source may have other headers.
    let changed = site_of(
        &fetcher,
        "one",
        &server.url,
        "http = { headers = { accept-language = \"de\" } }",
    );
    fetch_path(&changed, "/a").await.unwrap();
    for number in 0..server.requests().len() {
        assert_eq!(server.header(number, "if-none-match"), None, "{number}");
    }
}
