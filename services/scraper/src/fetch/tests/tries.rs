//! What is tried again, and what is not.

use super::*;
use oddswire_protocol::progress::ErrorType;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpSocket;

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

/// How often a page is asked for that never comes, and what its loss is called. `more` stands in `[source]`.
async fn tries(url: &str, more: &str) -> (usize, ErrorType) {
    let site = site(url, more);
    let (result, retried) = fetch(&site, &get(url, "/")).await;
    let error = result.unwrap_err().error_type();
    assert!(retried.iter().all(|retry| retry.error_type() == error));
    (retried.len() + 1, error)
}

/// Says the same to every connection, whatever it asks, and then closes it or holds it open.
async fn blurt(what: &'static str, hold: bool) -> (String, Arc<AtomicUsize>, JoinSet<()>) {
    oddswire_kit::tls::install_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read_buf(&mut Vec::new()).await;
            let _ = stream.write_all(what.as_bytes()).await;
            held.extend(hold.then_some(stream));
        }
    });
    (authority, connections, tasks)
}

/// O9: the original wrapped what its client threw and retried the names of the unwrapped: no timeout and no cut
/// connection was ever tried again, and refusals were.
#[tokio::test]
async fn o9_what_the_network_does_is_tried_again_by_its_class() {
    // Held and not listened to, so that nobody else gets the port.
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = held.local_addr().unwrap();
    oddswire_kit::tls::install_provider();
    assert_eq!(
        tries(&format!("http://{nobody}"), "").await,
        (4, ErrorType::Connect),
        "refused"
    );
    let half = "HTTP/1.1 200 X\r\ncontent-length: 10\r\n\r\nhalf";
    for (scheme, what, hold, error) in [
        ("http", "", false, ErrorType::Connect),
        ("http", "", true, ErrorType::Timeout),
        ("http", half, false, ErrorType::Connect),
        ("http", half, true, ErrorType::Timeout),
        ("http", "no HTTP\r\n\r\n", false, ErrorType::Connect),
        ("https", "no TLS\r\n\r\n", false, ErrorType::Connect),
    ] {
        let (authority, connections, _tasks) = blurt(what, hold).await;
        let impatient = if hold { "http = { timeout = \"50ms\" }" } else { "" };
        assert_eq!(
            tries(&format!("{scheme}://{authority}"), impatient).await,
            (4, error),
            "{scheme} {what:?} {hold}"
        );
        // Who did not wait may not have been accepted yet.
        assert!(
            hold || connections.load(Ordering::SeqCst) == 4,
            "{scheme} {what:?}"
        );
    }
}

/// O9, the other half.
#[tokio::test]
async fn o9_statuses_are_tried_again_by_their_class() {
    for status in 400..600 {
        let (times, error) = match status {
            429 => (4, ErrorType::RateLimited),
            408 | 425 | 500 | 502 | 503 | 504 => (4, ErrorType::HttpStatus),
            401 | 403 | 451 => (1, ErrorType::Blocked),
            410 => continue,
            _ => (1, ErrorType::HttpStatus),
        };
        let server = Server::start(move |_, _| answer(status, "", "")).await;
        assert_eq!(tries(&server.url, "").await, (times, error), "{status}");
        assert_eq!(server.requests().len(), times, "{status}");
    }
}
