//! Addresses that are not to be reached, and the proxy.

use super::*;

const GUARDED: &str = "allow_private = false";

#[tokio::test]
async fn private_addresses_are_not_reached_by_number_or_by_name() {
    let server = Server::start(|_, _| answer(200, "", "secret")).await;
    let by_name = server.url.replace("127.0.0.1", "localhost");
    let mapped = server.url.replace("127.0.0.1", "[::ffff:127.0.0.1]");
    let asks_first = format!("{GUARDED}\nrobots = \"obey\"");
    for (url, more) in [
        (&server.url, GUARDED),
        (&by_name, GUARDED),
        (&mapped, GUARDED),
        (&server.url, &asks_first),
        (&by_name, &asks_first),
    ] {
        let (result, retried) = fetch(&site(url, more), &get(url, "/a?token=x")).await;
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Private { .. }), "{url}: {error:?}");
        assert!(!error.recoverable() && retried.is_empty());
        let text = error.to_string();
        assert!(
            text.contains("allow_private = true") && !text.contains("token"),
            "{text}"
        );
    }
    assert!(server.requests().is_empty());
    assert_eq!(
        body(fetch(&site(&by_name, ""), &get(&by_name, "/a")).await.0),
        "secret"
    );
}

#[tokio::test]
async fn a_process_may_allow_them_for_all_sources() {
    let server = Server::start(|_, _| answer(200, "", "mine")).await;
    let fetcher = Fetcher::new(FetchOptions {
        allow_private: true,
        ..FetchOptions::default()
    });
    let site = site_of(&fetcher, "one", &server.url, GUARDED);
    assert_eq!(body(fetch_path(&site, "/a").await), "mine");
}

#[tokio::test]
async fn a_proxy_is_asked_for_all_but_what_is_private() {
    let proxy = Server::start(|_, _| answer(200, "", "by proxy")).await;
    let server = Server::start(|_, _| answer(200, "", "directly")).await;
    let fetcher = Fetcher::new(FetchOptions {
        proxy: Some(Url::parse(&proxy.url).unwrap()),
        ..FetchOptions::default()
    });
    let public = site_of(&fetcher, "one", "http://bookmaker.invalid", GUARDED);
    assert_eq!(body(fetch_path(&public, "/a").await), "by proxy");
    assert_eq!(proxy.requests(), ["GET http://bookmaker.invalid/a HTTP/1.1\n"]);
    let private = site_of(&fetcher, "two", &server.url, "allow_private = true");
    assert_eq!(body(fetch_path(&private, "/a").await), "directly");
    let literal = site_of(&fetcher, "three", &server.url, GUARDED);
    let result = fetch_path(&literal, "/a").await;
    assert!(matches!(result, Err(Error::Private { .. })), "{result:?}");
    assert_eq!((proxy.requests().len(), server.requests().len()), (1, 1));
}

#[tokio::test]
async fn redirects_to_other_hosts_and_schemes_are_not_followed_and_nothing_of_ours_goes_there() {
    let other = Server::start(|_, _| answer(200, "", "not ours")).await;
    let port = Url::parse(&other.url).unwrap().port().unwrap();
    for location in [
        other.url.clone(),
        format!("http://127.0.0.1@127.0.0.1:{port}/"),
        format!("//127.0.0.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".into(),
        "http://[64:ff9b::a9fe:a9fe]/".into(),
        "file:///etc/passwd".into(),
        "ftp://127.0.0.1/".into(),
        "data:text/plain,x".into(),
        "gopher://127.0.0.1:70/".into(),
    ] {
        let headers = format!("location: {location}\r\n");
        let server = Server::start(move |_, _| answer(302, &headers, "")).await;
        let secret = "http = { headers = { Authorization = \"Bearer ours\" } }";
        let result = fetch_path(&site(&server.url, secret), "/a").await;
        assert_eq!(result.unwrap_err().http_status(), Some(302), "{location}");
        assert_eq!(server.requests().len(), 1, "{location}");
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_page_puts_nobody_else_in_the_place_of_our_credentials_and_sets_no_cookie() {
    let server = Server::start(|_, request| match request.split("/to/").nth(1) {
        Some(rest) => {
            let host = rest.split(' ').next().unwrap();
            let headers = format!("set-cookie: a=b\r\nlocation: http://mallory:pw@{host}/b\r\n");
            answer(302, &headers, "")
        }
        None => answer(200, "set-cookie: a=b\r\n", "fine"),
    })
    .await;
    let site = site(
        &server.url,
        "http = { headers = { Authorization = \"Bearer ours\" } }",
    );
    let redirected = server.url.replace("http://", "/to/");
    assert_eq!(body(fetch_path(&site, &redirected).await), "fine");
    // As a link to the next page would say it.
    let by_page = server.url.replace("http://", "http://mallory:pw@");
    assert_eq!(body(fetch(&site, &get(&by_page, "/c")).await.0), "fine");
    for number in 0..3 {
        let sent = server.header(number, "authorization");
        assert_eq!(sent.as_deref(), Some("Bearer ours"), "{number}");
        assert_eq!(server.header(number, "cookie"), None, "{number}");
    }
}
