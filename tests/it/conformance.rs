//! `oddswire conformance`: our gateway passes, and one with a fault in it fails exactly the check that the fault is for.

mod crooked;

use crate::{
    auth::{on, token},
    harness::{Gateway, PATIENCE},
    terminal::{Piped, options},
    truth::Pair,
};
use crooked::{Crooked, Fault};
use oddswire_cli::conformance::{self, ConformanceOptions};
use serde_json::Value;

/// What was told of each check.
struct Told {
    code: u8,
    checks: Vec<Value>,
}

impl Told {
    fn of(&self, result: &str) -> Vec<&str> {
        let checks = self.checks.iter().filter(|check| check["result"] == result);
        checks.map(|check| check["check"].as_str().unwrap()).collect()
    }

    fn failures(&self) -> String {
        let failed = self.checks.iter().filter(|check| check["result"] == "failed");
        failed
            .map(|check| format!("{check:#}\n"))
            .collect::<Vec<_>>()
            .concat()
    }

    fn reason(&self, name: &str) -> &str {
        let check = self.checks.iter().find(|check| check["check"] == name).unwrap();
        check["reason"].as_str().unwrap_or_default()
    }
}

async fn check(urls: &[&str], words: &[&str]) -> Told {
    let words = [&["--json"], words].concat();
    let options: ConformanceOptions = options(urls, &words);
    let mut command = Piped::start(|console, stop| conformance::run(options, console, stop));
    let ended = command.ended_within(4 * PATIENCE).await;
    let code = ended.unwrap_or_else(|error| panic!("{error}"));
    let checks = command
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    Told { code, checks }
}

/// A pair whose runs take long enough to be met while they go on.
async fn slow() -> Pair {
    let pair = Pair::new().await;
    for book in ["alpha", "bravo"] {
        let latency = format!(r#"{{"book":"{book}","fault":{{"kind":"latency","ms":50}}}}"#);
        pair.control("faults", &latency).await;
    }
    pair
}

/// One with something on its board, and runs that are over.
async fn used() -> Pair {
    let pair = slow().await;
    let told = check(&[&pair.gateway.url("")], &["--only=runs", "--start=alpha"]).await;
    assert_eq!(told.code, 0, "{}", told.failures());
    assert_eq!(told.of("failed"), [""; 0]);
    pair
}

#[tokio::test]
async fn our_gateway_keeps_the_contract_whatever_is_on_its_board() {
    let pair = slow().await;
    let (url, ops) = (pair.gateway.url(""), format!("--ops={}", pair.gateway.ops));
    let other = pair.world.gateway().await;
    // With nothing on the board yet, and nothing that may be changed.
    let empty = check(&[&url], &[]).await;
    assert_eq!((empty.code, empty.failures()), (0, String::new()));
    assert_eq!(
        pair.gateway.get("/api/scrapes").await.1["runs"],
        serde_json::json!([]),
        "nothing was started"
    );
    // Then everything at once, the runs among it, through two gateways.
    let whole = check(&[&url, &other.url("")], &[&ops, "--start=alpha"]).await;
    assert_eq!((whole.code, whole.failures()), (0, String::new()));
    // And with runs behind it, nothing is left out but what belongs to tokens.
    let again = check(&[&url, &other.url("")], &[&ops, "--start=bravo"]).await;
    assert_eq!((again.code, again.failures()), (0, String::new()));
    let guards = [
        "no-token",
        "bad-token",
        "websocket-no-token",
        "websocket-bad-token",
    ];
    assert_eq!(again.of("skipped"), guards);
}

#[tokio::test]
async fn a_gateway_that_asks_for_tokens_keeps_the_contract_too() {
    let pair = Pair::new().await;
    let guarded = pair.world.gateway_with(on).await;
    guarded.wait_ready().await;
    let whole = token(
        &["scrape_progress", "odds_updates"],
        "read runs:start runs:cancel",
    );
    let told = check(&[&guarded.url("")], &["--token", &whole, "--start=alpha"]).await;
    assert_eq!((told.code, told.failures()), (0, String::new()));
    for name in ["no-token", "websocket-bad-token", "every-event", "cancel"] {
        assert!(told.of("ok").contains(&name), "{name}: {}", told.reason(name));
    }
    // What a token does not allow cannot be looked at, and is no failure.
    let little = token(&["odds_updates.soccer"], "");
    let told = check(&[&guarded.url("")], &["--token", &little, "--start=alpha"]).await;
    assert_eq!((told.code, told.failures()), (0, String::new()));
    assert_eq!(told.reason("odds"), "the token does not allow it");
    // Without one nothing can be looked at.
    let options: ConformanceOptions = options(&[&guarded.url("")], &[]);
    let refused = Piped::start(|console, stop| conformance::run(options, console, stop))
        .ended()
        .await;
    assert!(refused.unwrap_err().to_string().contains("token_missing"));
}

#[tokio::test]
async fn a_fault_fails_the_check_that_is_for_it_and_no_other() {
    let pair = used().await;
    for (faults, group, failed) in [
        (
            &[Fault::Answer("no-transform", "no-transforn")][..],
            "transports",
            &["sse-head"][..],
        ),
        (
            &[Fault::Answer("id: AQ", "xd: AQ")],
            "transports",
            &["sse-lines", "sse-ids"],
        ),
        (
            &[Fault::Answer(
                r#"{"type":"pong","timestamp""#,
                r#"{"type":"pong","timestamq""#,
            )],
            "envelope",
            &["answers-are-envelopes"],
        ),
        (
            &[Fault::Answer("\x11\u{94}", "\x11\u{95}")],
            "topics",
            &["none-left-websocket"],
        ),
        (
            &[Fault::Request("/api/ws?since=", "/api/ws?sinse=")],
            "resume",
            &[
                "since-snapshot",
                "websocket-cursor",
                "across-transports",
                "cursor-parameters",
                "garbage-cursor",
            ],
        ),
        (
            &[Fault::Answer("\x03\u{f1}", "\x03\u{f0}")],
            "commands",
            &["close-1009"],
        ),
        (
            &[Fault::Answer("HTTP/1.1 404", "HTTP/1.1 200")],
            "http",
            &["unknown-run", "unknown-address"],
        ),
    ] {
        let crooked = Crooked::start(&pair.gateway.address, faults).await;
        let told = check(&[&crooked.url()], &["--only", group]).await;
        assert_eq!(
            (told.of("failed"), told.code),
            (failed.to_vec(), 1),
            "{}",
            told.failures()
        );
        let whole = check(&[&crooked.url()], &[]).await;
        assert_eq!(whole.of("failed"), failed, "{}", whole.failures());
    }
}

#[tokio::test]
async fn faults_of_runs_of_the_operations_port_and_at_the_door_are_found_too() {
    let pair = used().await;
    for (fault, failed) in [
        (Fault::Answer("HTTP/1.1 409", "HTTP/1.1 202"), "busy"),
        (Fault::Answer("\"seq\":3,", "\"seq\":4,"), "every-event"),
    ] {
        let crooked = Crooked::start(&pair.gateway.address, &[fault]).await;
        let told = check(&[&crooked.url()], &["--only=runs", "--start=alpha"]).await;
        assert_eq!(told.of("failed"), [failed], "{}", told.failures());
    }
    let ops = pair.gateway.ops.trim_start_matches("http://");
    let fault = Fault::Answer("openmetrics-text", "openmetrics-tixt");
    let crooked = Crooked::start(ops, &[fault]).await;
    let ops = format!("--ops={}", crooked.url());
    let told = check(&[&pair.gateway.url("")], &["--only=health", &ops]).await;
    assert_eq!(told.of("failed"), ["metrics"], "{}", told.failures());
    let guarded = pair.world.gateway_with(on).await;
    guarded.wait_ready().await;
    let whole = token(&["scrape_progress", "odds_updates"], "read");
    let crooked = Crooked::start(
        &guarded.address,
        &[Fault::Answer("token_missing", "token_misling")],
    )
    .await;
    let told = check(&[&crooked.url()], &["--only=auth", "--token", &whole]).await;
    assert_eq!(
        told.of("failed"),
        ["no-token", "websocket-no-token"],
        "{}",
        told.failures()
    );
}

#[tokio::test]
async fn a_gateway_without_its_bus_breaks_no_promise() {
    let gateway = Gateway::start("nats://127.0.0.1:9", |_| {}).await;
    let ops = format!("--ops={}", gateway.ops);
    let told = check(&[&gateway.url("")], &["--only=commands,health", &ops]).await;
    assert_eq!((told.code, told.failures()), (0, String::new()));
    assert_eq!(told.of("skipped"), ["subscribe"], "all that needs the bus");
}
