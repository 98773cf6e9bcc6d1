//! HTTP as browsers, proxies and libraries speak it: hosts and origins, both versions, paths, event streams.

use crate::{
    auth,
    harness::{Answer, GatewayProcess, Plain, World, until, within},
    tls::{Certificate, url},
};
use oddswire_protocol::{envelope::MessageType, server::ConnectionAck};
use serde_json::Value;
use std::path::Path;

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_out_of_the_folder_of_a_page() {
    let root = tempfile::tempdir().unwrap();
    let page = root.path().join("ui");
    write(&page.join("index.html"), "the page");
    write(&page.join("assets/a.js"), "the script");
    write(&root.path().join("secret.html"), "OUTSIDE");
    std::os::unix::fs::symlink("../secret.html", page.join("link.html")).unwrap();
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| options.ui_dir = Some(page.clone()))
        .await;
    let absolute = root.path().join("secret.html").display().to_string();
    let encoded = absolute.replace('/', "%2F");
    for path in [
        format!("/{encoded}"),
        format!("/assets/{encoded}"),
        absolute.clone(),
        format!("/{absolute}"),
        "/../secret.html".into(),
        "/..%2Fsecret.html".into(),
        "/%2e%2e%2fsecret.html".into(),
        "/%2e%2e/secret.html".into(),
        "/assets/..%2f..%2fsecret.html".into(),
        "/assets/../../secret.html".into(),
        "/assets%2f..%2f..%2fsecret.html".into(),
        "/..%5csecret.html".into(),
        "/..%255c..%252fsecret.html".into(),
        "/..%c0%afsecret.html".into(),
        "/link.html".into(),
        "/secret.html%00.html".into(),
        "/%00/secret.html".into(),
        "http://localhost/..%2fsecret.html".into(),
    ] {
        let answer = Plain::request(&gateway.address, &format!("GET {path}"), &[]).await;
        assert_eq!((answer.status, answer.has("OUTSIDE")), (404, false), "{path}");
    }
    for (path, text) in [
        ("/", "the page"),
        ("/index.html", "the page"),
        ("/assets/a.js", "the script"),
    ] {
        let answer = Plain::request(&gateway.address, &format!("GET {path}"), &[]).await;
        assert!(answer.status == 200 && answer.has(text), "{path}: {answer:?}");
    }
}

/// Every method and path of the route table, with ids filled in, from the document that is made of the same table.
fn routes(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = |path: &str, item: &Value| -> Vec<(String, String)> {
        let filled = path
            .replace("{run_id}", "01a20573-908c-7531-ab98-0a77d68efeef")
            .replace("{event_id}", "ce3dc1f4-fed7-5660-9b3e-9c44259ab12b")
            .replace("{name}", "problem");
        let known = item.as_object().unwrap().keys();
        known
            .filter(|method| matches!(method.as_str(), "get" | "post"))
            .map(|method| (method.to_uppercase(), filled.clone()))
            .collect()
    };
    let client_port = paths.iter().filter(|(path, _)| path.starts_with("/api/"));
    client_port.flat_map(|(path, item)| methods(path, item)).collect()
}

#[tokio::test]
async fn no_spelling_of_a_route_gets_round_its_token() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let (_, document) = gateway.get("/api/openapi.json").await;
    let routes = routes(&document);
    assert!(routes.len() > 10, "{routes:?}");
    for (method, path) in &routes {
        let rest = path.strip_prefix("/api/").unwrap();
        if rest.starts_with("openapi") || rest.starts_with("asyncapi") || rest.starts_with("schemas") {
            continue;
        }
        let first = rest
            .chars()
            .next()
            .map_or_else(String::new, |c| format!("%{:02x}", u32::from(c)));
        for spelling in [
            path.clone(),
            format!("/{path}"),
            format!("{path}/"),
            format!("//api//{rest}"),
            format!("/api/./{rest}"),
            format!("/x/../api/{rest}"),
            format!("/api/schemas/../{rest}"),
            format!("/api/schemas/%2e%2e/{rest}"),
            format!("/API/{rest}"),
            format!("/api/{first}{}", &rest[1..]),
            format!("/%61pi/{rest}"),
            format!("/api%2f{rest}"),
            format!("{path};x"),
            format!("{path}%00"),
            format!("http://localhost{path}"),
        ] {
            let answer = Plain::request(&gateway.address, &format!("{method} {spelling}"), &[]).await;
            assert!(
                (400..500).contains(&answer.status),
                "{method} {spelling}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn every_route_answers_over_http2_as_over_http1() {
    let world = World::new().await;
    let certificate = Certificate::new();
    let gateway = world.gateway_with(|options| certificate.put_in(options)).await;
    let http1 = certificate.client_of(reqwest::Client::builder().http1_only());
    let http2 = certificate.client_of(reqwest::Client::builder());
    let document: Value = http1
        .get(url(&gateway, "/api/openapi.json"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let mut walked = routes(&document);
    walked.extend(["/", "/none.js", "/assets/none.js", "/api/none"].map(|path| ("GET".into(), path.into())));
    for (method, path) in walked {
        let mut answers = Vec::new();
        for client in [&http1, &http2] {
            let request = client
                .request(method.parse().unwrap(), url(&gateway, &path))
                .header("origin", url(&gateway, "").trim_end_matches('/'))
                .body(if method == "POST" {
                    "{\"sources\":[\"nobody\"]}"
                } else {
                    ""
                });
            let mut answer = within(&path, request.send()).await.unwrap();
            let version = answer.version();
            let media = answer.headers().get("content-type").cloned();
            // A stream has no end: its first bytes are enough.
            let begins = within(&path, answer.chunk()).await.unwrap().unwrap_or_default();
            let problem: Value = serde_json::from_slice(&begins).unwrap_or_default();
            answers.push((answer.status(), media, problem["code"].clone()));
            let expected = answers.len() == 1;
            assert_eq!(
                version == reqwest::Version::HTTP_11,
                expected,
                "{path} over {version:?}"
            );
        }
        assert_eq!(answers[0], answers[1], "{method} {path}");
    }
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn a_cookie_counts_for_the_own_page_over_both_versions_and_behind_a_proxy() {
    let world = World::new().await;
    let certificate = Certificate::new();
    let guarded = |options: &mut oddswire_gateway::GatewayOptions| {
        auth::on(options);
        options.auth.auth_cookie = Some("odds".into());
    };
    let gateway = world
        .gateway_with(|options| {
            guarded(options);
            certificate.put_in(options);
        })
        .await;
    let cookie = format!("odds={}", auth::token(&["odds_updates"], "read"));
    let own = url(&gateway, "").trim_end_matches('/').to_owned();
    for builder in [
        reqwest::Client::builder().http1_only(),
        reqwest::Client::builder(),
    ] {
        let client = certificate.client_of(builder);
        for (origin, status) in [(own.as_str(), 200), ("https://evil.example", 403)] {
            let request = client
                .post(url(&gateway, "/api/tickets"))
                .header("origin", origin)
                .header("cookie", &cookie);
            let answer = within("an answer", request.send()).await.unwrap();
            assert_eq!(answer.status(), status, "{origin} over {:?}", answer.version());
        }
        // Without Origin, and what may be asked across origins: a cookie does not count.
        let request = client.get(url(&gateway, "/api/odds")).header("cookie", &cookie);
        let answer = within("an answer", request.send()).await.unwrap();
        assert_eq!(answer.status(), 401);
    }
    let behind = world
        .gateway_with(|options| {
            guarded(options);
            options.front.trust_proxy = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .await;
    let cookie = format!("cookie: {cookie}");
    for (host, status) in [
        ("odds.example.org", 200),
        ("odds.example.org:443", 200),
        ("other.example.org", 403),
    ] {
        let headers = [
            "host: backend:8080".to_owned(),
            format!("x-forwarded-host: {host}"),
            "origin: https://odds.example.org".into(),
            cookie.clone(),
        ];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = Plain::request(&behind.address, "POST /api/tickets", &headers).await;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
    }
}

#[tokio::test]
async fn a_default_port_that_is_written_out_is_the_same_host() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| options.front.allow_host = vec!["odds.example.org".into()])
        .await;
    for (host, origin, status) in [
        ("odds.example.org", "https://odds.example.org", 200),
        ("odds.example.org:443", "https://odds.example.org", 200),
        ("odds.example.org:80", "http://odds.example.org", 200),
        ("odds.example.org", "https://odds.example.org:443", 200),
        ("ODDS.example.org:443", "https://odds.example.org", 200),
        ("odds.example.org:8443", "https://odds.example.org", 403),
        ("odds.example.org", "https://odds.example.org:8443", 403),
        ("odds.example.org:443", "https://evil.example:443", 403),
    ] {
        let mut plain = Plain::connect(&gateway.address).await;
        let head = format!("GET /api/events HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\n\r\n");
        plain.send(&head).await;
        let answer = Answer::parse(&plain.until("\r\n\r\n").await);
        assert_eq!(answer.status, status, "{host} from {origin}");
    }
}

#[tokio::test]
async fn a_request_has_one_host() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for path in ["/api/events", "/api/scrapes", "/", "/api/ws"] {
        for (head, status) in [
            (format!("GET {path} HTTP/1.1\r\n"), 400),
            (
                format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n"),
                400,
            ),
            (format!("GET {path} HTTP/1.1\r\nhost: localhost/x\r\n"), 400),
            (format!("GET {path} HTTP/1.1\r\nhost: u@localhost\r\n"), 400),
            (format!("GET {path} HTTP/1.1\r\nhost:\r\n"), 400),
        ] {
            let answer = Plain::ask(&gateway.address, &format!("{head}connection: close\r\n\r\n")).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (status, "bad_request"),
                "{head}"
            );
        }
    }
    // HTTP/1.0 has none: what checks a balancer's servers speaks it.
    let answer = Plain::ask(&gateway.address, "GET /api/scrapes HTTP/1.0\r\n\r\n").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn an_allowed_page_may_send_what_its_libraries_send() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| {
            options.front.allow_origin = vec!["https://odds.example.org".parse().unwrap()];
        })
        .await;
    let method = "access-control-request-method: GET";
    let wanted = "authorization,cache-control,if-none-match,last-event-id,traceparent,x-some-monitor";
    let asked = format!("access-control-request-headers: {wanted}");
    for path in ["/api/events", "/api/odds", "/api/scrapes/x/cancel"] {
        let line = format!("OPTIONS {path}");
        let page = "origin: https://odds.example.org";
        let answer = Plain::request(&gateway.address, &line, &[page, method, &asked]).await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-headers"), Some(wanted));
        assert_eq!(answer.header("access-control-max-age"), Some("7200"));
        let foreign = Plain::request(
            &gateway.address,
            &line,
            &["origin: https://evil.example", method, &asked],
        )
        .await;
        assert_eq!(
            (foreign.status, foreign.header("access-control-allow-headers")),
            (403, None)
        );
    }
    let page = "origin: https://odds.example.org";
    let answer = Plain::request(&gateway.address, "GET /api/openapi.json", &[page]).await;
    let exposed = answer.header("access-control-expose-headers").unwrap();
    assert!(
        ["etag", "location", "retry-after"]
            .iter()
            .all(|name| exposed.contains(name)),
        "{exposed}"
    );
}

#[tokio::test]
async fn an_event_stream_begins_at_once_and_without_an_empty_event() {
    let world = World::new().await;
    let certificate = Certificate::new();
    let plain = world.gateway().await;
    let guarded = world.gateway_with(|options| certificate.put_in(options)).await;
    let http2 = certificate.client_of(reqwest::Client::builder());
    for (client, address) in [
        (reqwest::Client::new(), plain.url("/api/events?since=snapshot")),
        (http2, url(&guarded, "/api/events?since=snapshot")),
    ] {
        let mut answer = within("a stream", client.get(address).send()).await.unwrap();
        let mut said = String::new();
        while !said.contains("event: heartbeat") {
            let chunk = within("an event", answer.chunk()).await.unwrap().unwrap();
            said.push_str(&String::from_utf8_lossy(&chunk));
        }
        let blocks: Vec<&str> = said
            .split_inclusive("\n\n")
            .filter(|block| block.ends_with("\n\n"))
            .collect();
        assert!(blocks.iter().all(|block| block.contains("\ndata: ")), "{said}");
        // How long an EventSource waits before it comes back: neither at once, nor all at the same moment.
        let retry = said
            .strip_prefix("retry: ")
            .and_then(|rest| rest.split('\n').next());
        let retry: u64 = retry.unwrap().parse().unwrap();
        assert!((1_000..3_000).contains(&retry), "{retry}");
    }
}

#[tokio::test]
async fn a_client_says_how_often_it_wants_to_hear_a_heartbeat() {
    let world = World::new().await;
    // Nobody would wait for its own.
    let gateway = world.gateway_with(|options| options.heartbeat_ms = 60_000).await;
    let query = "topics=odds_updates&heartbeat_ms=1000";
    let mut socket = gateway.ws(query).await;
    let ack = socket.next_of(MessageType::ConnectionAck).await;
    assert_eq!(ack.data::<ConnectionAck>().unwrap().heartbeat_ms, 1_000);
    let mut stream = gateway.sse(query).await;
    let (_, ack) = stream.until(MessageType::ConnectionAck).await;
    assert_eq!(ack.message().data::<ConnectionAck>().unwrap().heartbeat_ms, 1_000);
    // The second comes from the shard that the client is parked at.
    for _ in 0..2 {
        socket.next_of(MessageType::Heartbeat).await;
        while stream.next().await.event != MessageType::Heartbeat.as_str() {}
    }
    // By a loop of its own: a client without a topic, over a connection that is shared.
    let certificate = Certificate::new();
    let shared = world
        .gateway_with(|options| {
            certificate.put_in(options);
            options.heartbeat_ms = 60_000;
        })
        .await;
    let client = certificate.client_of(reqwest::Client::builder());
    let request = client.get(url(&shared, &format!("/api/events?{query}"))).send();
    let mut answer = within("a stream", request).await.unwrap();
    let mut said = String::new();
    while said.matches("event: heartbeat").count() < 2 {
        let chunk = within("a heartbeat", answer.chunk()).await.unwrap().unwrap();
        said.push_str(&String::from_utf8_lossy(&chunk));
    }
    for bad in ["0", "999", "60001", "x"] {
        let (status, problem) = gateway.get(&format!("/api/events?heartbeat_ms={bad}")).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &Value::from("invalid_query")),
            "{bad}"
        );
        let (_, answer) =
            Plain::handshake_at(&gateway.address, &format!("/api/ws?heartbeat_ms={bad}"), &[]).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_refusal_is_logged_with_its_reason_once_and_not_a_thousand_times() {
    let world = World::new().await;
    let gateway = GatewayProcess::start(&world.nats_url(), &["--log=info".into()]);
    gateway.wait_ready().await;
    for _ in 0..50 {
        let answer = Plain::request(
            &gateway.address(),
            "GET /api/events?ticket=planted-secret-ticket",
            &["origin: http://localhost:5173"],
        )
        .await;
        assert_eq!(answer.status, 403);
    }
    until("the log", async || {
        gateway.said().contains("a client was refused")
    })
    .await;
    let said = gateway.said();
    let told: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("a client was refused"))
        .collect();
    assert!((1..=3).contains(&told.len()), "{said}");
    for part in ["http://localhost:5173", "--allow-origin", "origin", "127.0.0.1"] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
    assert!(
        !said.contains("planted-secret"),
        "a query may have a ticket in it"
    );
}
