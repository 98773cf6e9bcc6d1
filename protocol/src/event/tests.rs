mod differential;

use super::*;
use crate::{
    BatchId, Price, RunId, Timestamp,
    header::cloud_event,
    odds::{Event, Market, Outcome, Quote, QuoteStatus},
    progress::{ErrorGroup, ErrorType, Phase, PhaseProgress, Status, Unit},
    validator::DEPTH_MAX,
};
use serde_json::{Value, json};

/// An event as a scraper publishes it.
#[derive(Debug, Clone)]
struct Published {
    key: EventKey,
    headers: Vec<(&'static str, String)>,
    data: Value,
}

impl Published {
    fn new(key: EventKey, data: Value, further: &[(&'static str, &str)]) -> Self {
        let mut headers = cloud_event(
            &key,
            "id-1",
            "scraper/w1",
            "2026-02-06T01:30:00.123Z".parse().unwrap(),
        );
        headers.extend(further.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Self { key, headers, data }
    }

    fn set(mut self, header: &str, value: Option<&str>) -> Self {
        self.headers.retain(|(name, _)| *name != header);
        let names = [
            CE_SPECVERSION,
            CE_ID,
            CE_SOURCE,
            CE_TYPE,
            CE_TIME,
            STATUS,
            ATTEMPT,
            BATCH,
        ];
        let name = names.into_iter().find(|name| *name == header).unwrap();
        self.headers.extend(value.map(|value| (name, value.to_owned())));
        self
    }

    fn with(mut self, pointer: &str, value: Value) -> Self {
        *self.data.pointer_mut(pointer).unwrap() = value;
        self
    }

    fn check(&self) -> Result<MessageType, EventFault> {
        self.check_text(self.data.to_string().as_bytes())
    }

    fn check_text(&self, payload: &[u8]) -> Result<MessageType, EventFault> {
        let header = |wanted: &str| {
            self.headers
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value.as_str())
        };
        check_event(&self.key, header, payload)
    }

    fn fault(&self) -> (&'static str, String) {
        let fault = self.check().expect_err("refused");
        (fault.reason(), fault.to_string())
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn quote() -> Published {
    let outcome = |name: &str, price: Option<&str>| Outcome {
        name: name.into(),
        label: "\u{2028}é\"".into(),
        price: price.map(|text| text.parse::<Price>().unwrap()),
        previous_price: None,
        status: QuoteStatus::Open,
    };
    let quote = |line: Option<&str>| Quote {
        line: line.map(|text| text.parse().unwrap()),
        status: QuoteStatus::Suspended,
        outcomes: vec![
            outcome("over", Some("1.85")),
            outcome("under", Some("2")),
            outcome("yes", None),
        ],
        changed_at: at("2026-02-06T01:30:00.123Z"),
        confirmed_at: at("2026-02-06T01:30:00.123Z"),
        source_updated_at: line.map(|_| at("2024-02-29T23:59:59.999Z")),
    };
    let data = OddsUpdate {
        event_ids: ["e1".parse().unwrap()],
        source: "alpha".parse().unwrap(),
        snapshot_count: 2,
        run_id: "r1".parse().unwrap(),
        event: Event {
            event_id: "e1".parse().unwrap(),
            sport_key: "soccer".parse().unwrap(),
            league: "League".into(),
            country: None,
            commence_time: at("2026-02-06T01:30:00.123Z"),
            home_team: "Home".into(),
            away_team: "Away".into(),
        },
        market: Market {
            key: "totals".parse().unwrap(),
            period: "h1".parse().unwrap(),
            quotes: vec![quote(None), quote(Some("-0.75"))],
        },
    };
    let key = EventKey::Quote {
        sport: "soccer".parse().unwrap(),
        event_id: "e1".parse().unwrap(),
        source: "alpha".parse().unwrap(),
        market: "totals-h1".parse().unwrap(),
    };
    Published::new(key, serde_json::to_value(data).unwrap(), &[])
}

fn run() -> Published {
    let group = ErrorGroup {
        error_type: ErrorType::Timeout,
        message: "no answer".into(),
        recoverable: true,
        http_status: Some(503),
        retry_in_ms: None,
        count: 3,
        first_at: at("2026-02-06T01:30:00.123Z"),
        last_at: at("2026-02-06T01:30:00.123Z"),
    };
    let (run_id, batch_id): (RunId, BatchId) = ("r1".parse().unwrap(), "b1".parse().unwrap());
    let data = ScrapeProgress {
        seq: 7,
        attempt: 2,
        status: Status::Running,
        phase: Phase::Scraping,
        rate_per_s: Some(19.861),
        total: Some(20),
        phases: vec![PhaseProgress {
            phase: Phase::Scraping,
            current: 2,
            total: None,
            unit: Unit::Pages,
            elapsed_ms: 5,
        }],
        errors: vec![group.clone()],
        error: Some(group),
        ..ScrapeProgress::queued(run_id.clone(), batch_id, "alpha".parse().unwrap())
    };
    let key = EventKey::Run {
        source: "alpha".parse().unwrap(),
        run_id,
    };
    Published::new(
        key,
        serde_json::to_value(data).unwrap(),
        &[(STATUS, "running"), (ATTEMPT, "2"), (BATCH, "b1")],
    )
}

fn confirmed() -> Published {
    let data = OddsConfirmed {
        source: "alpha".parse().unwrap(),
        run_id: "r1".parse().unwrap(),
        confirmed_at: at("2026-02-06T01:30:00.123Z"),
        unconfirmed_event_ids: vec!["e1".parse().unwrap(), "e2".parse().unwrap()],
        all_unconfirmed: true,
    };
    let key = EventKey::Confirmed {
        source: "alpha".parse().unwrap(),
    };
    Published::new(key, serde_json::to_value(data).unwrap(), &[])
}

#[test]
fn what_a_scraper_publishes_passes() {
    assert_eq!(quote().check(), Ok(MessageType::OddsUpdate));
    assert_eq!(run().check(), Ok(MessageType::ScrapeProgress));
    assert_eq!(confirmed().check(), Ok(MessageType::OddsConfirmed));
}

#[test]
fn keys_that_later_releases_may_add_pass_anywhere() {
    for pointer in [
        "",
        "/event",
        "/market",
        "/market/quotes/1",
        "/market/quotes/0/outcomes/2",
    ] {
        let mut published = quote();
        published.data.pointer_mut(pointer).unwrap()["venue"] =
            json!({ "a": [1, -2, 2.5, null, { "b": "é\n" }] });
        assert!(published.check().is_ok(), "{pointer}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, a fault a row")]
fn each_fault_is_named_with_its_place() {
    for (published, reason, says) in [
        (
            quote().with("/source", json!("bravo")),
            "mismatch",
            "source: not \"alpha\", as the subject or a header says",
        ),
        (
            quote().with("/event/event_id", json!("e2")),
            "mismatch",
            "event.event_id: not \"e1\"",
        ),
        (
            quote().with("/event_ids/0", json!("e2")),
            "mismatch",
            "event_ids[0]: not \"e1\"",
        ),
        (
            quote().with("/market/period", json!("ft")),
            "mismatch",
            "market.period: not \"h1\"",
        ),
        (
            quote().with("/event/sport_key", json!("tennis")),
            "mismatch",
            "event.sport_key: not \"soccer\"",
        ),
        (
            quote().with("/event_ids", json!([])),
            "schema",
            "event_ids: has 0 items",
        ),
        (
            quote().with("/market/quotes/1/status", json!("shut")),
            "schema",
            "market.quotes[1].status: not one of open, suspended, withdrawn",
        ),
        (
            quote().with("/market/quotes/1/changed_at", json!("2026-02-30T01:30:00.123Z")),
            "schema",
            "market.quotes[1].changed_at: not a UTC time",
        ),
        (
            quote().with("/market/quotes/0/outcomes/1/price", json!(1)),
            "schema",
            "market.quotes[0].outcomes[1].price: outside the allowed range",
        ),
        (
            quote().with("/market/quotes/0/outcomes/1/price", json!(1.2345)),
            "schema",
            "price: more than three decimals",
        ),
        (
            quote().with("/market/quotes/0/line", json!("2.5")),
            "schema",
            "market.quotes[0].line: invalid type",
        ),
        (
            quote().with("/market", json!({})),
            "schema",
            "market: key \"key\" is missing",
        ),
        (
            quote().with("", json!({})),
            "schema",
            "key \"event_ids\" is missing",
        ),
        (
            quote().with("/event/league", json!([[]])),
            "schema",
            "event.league: invalid type",
        ),
        (run().with("/seq", json!(0)), "schema", "seq: 0 is not in 1 to"),
        (run().with("/seq", json!("1")), "schema", "seq: invalid type"),
        (
            run().with("/phase", json!("bogus")),
            "schema",
            "phase: not one of initializing, ",
        ),
        (
            run().with("/errors/0/error_type", json!("bogus")),
            "schema",
            "errors[0].error_type: not one of",
        ),
        (
            run().with("/status", json!("completed")),
            "mismatch",
            "status: not \"running\"",
        ),
        (run().with("/attempt", json!(1)), "mismatch", "attempt: not \"2\""),
        (
            run().with("/run_id", json!("r2")),
            "mismatch",
            "run_id: not \"r1\"",
        ),
        (
            run().with("/batch_id", json!("b2")),
            "mismatch",
            "batch_id: not \"b1\"",
        ),
        (
            confirmed().with("/source", json!("bravo")),
            "mismatch",
            "source: not \"alpha\"",
        ),
    ] {
        let (kind, text) = published.fault();
        assert!(
            kind == reason && text.contains(says),
            "{kind}: {text}\nand not {reason}: {says}"
        );
    }
}

#[test]
fn headers_are_those_of_the_page() {
    for (published, says) in [
        (quote().set(CE_SPECVERSION, None), "ce-specversion: is missing"),
        (
            quote().set(CE_SPECVERSION, Some("2.0")),
            "ce-specversion: is not 1.0",
        ),
        (quote().set(CE_ID, Some("")), "ce-id: is missing"),
        (quote().set(CE_SOURCE, None), "ce-source: is missing"),
        (quote().set(CE_TYPE, None), "ce-type: is missing"),
        (
            quote().set(CE_TYPE, Some("odds_confirmed")),
            "ce-type: does not belong to the subject",
        ),
        (
            quote().set(CE_TYPE, Some("connection_ack")),
            "ce-type: does not belong to the subject",
        ),
        (quote().set(CE_TIME, None), "ce-time: is missing"),
        (
            quote().set(CE_TIME, Some("2026-02-06T01:30:00Z")),
            "ce-time: is not of the form",
        ),
        (run().set(STATUS, None), "Oddswire-Status: is missing"),
        (run().set(ATTEMPT, None), "Oddswire-Attempt: is missing"),
        (run().set(BATCH, None), "Oddswire-Batch: is missing"),
    ] {
        assert_eq!(
            published.fault(),
            (
                "header",
                format!("header {says}").replace("form", "form 2026-02-06T01:30:00.123Z")
            ),
            "{says}"
        );
    }
}

#[test]
fn a_payload_is_one_line_of_json_of_a_bounded_size_and_depth() {
    let event = quote();
    let good = event.data.to_string();
    let nested = |depth: usize| {
        let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        good.replacen('{', &format!("{{\"x\":{lists},"), 1)
    };
    // The object itself is the first.
    let deepest = DEPTH_MAX as usize - 1;
    assert_eq!(
        event.check_text(nested(deepest).as_bytes()),
        Ok(MessageType::OddsUpdate)
    );
    let big = good.replacen('{', &format!("{{\"x\":\"{}\",", "x".repeat(PAYLOAD_MAX_BYTES)), 1);
    assert_eq!(event.check_text(big.as_bytes()).unwrap_err().reason(), "size");
    let inner = |x: &str| good.replacen('{', &format!("{{\"x\":{x},"), 1);
    for (text, reason) in [
        (String::new(), "json"),
        ("null".into(), "json"),
        ("}".into(), "json"),
        (format!("[{good}]"), "json"),
        (format!("{good}{good}"), "json"),
        (format!("{good},{{\"type\":\"x\"}}"), "json"),
        (format!("{good} "), "json"),
        (good.replacen('{', "{\n", 1), "json"),
        (good.replacen('{', "{\r", 1), "json"),
        (good.replace("1.85", "1e999"), "json"),
        (good.replace("1.85", "NaN"), "json"),
        (good.replace("Home", "\u{0}"), "json"),
        (good.replace("Home", "\\ud800"), "json"),
        (inner("1e999"), "json"),
        (inner("\"\\ud800\""), "json"),
        (inner("01"), "json"),
        (nested(deepest + 1), "schema"),
        (nested(10_000), "schema"),
        (good.replacen('{', "{\"source\":\"alpha\",", 1), "schema"),
    ] {
        let fault = event
            .check_text(text.as_bytes())
            .expect_err(&text[..text.len().min(200)]);
        assert_eq!(
            fault.reason(),
            reason,
            "{fault}: {}",
            &text[..text.len().min(200)]
        );
    }
    assert_eq!(
        event.check_text(b"{\"a\":\"\xff\"}").unwrap_err().reason(),
        "json"
    );
}

#[test]
fn a_fault_is_told_on_one_short_line_whatever_the_payload_holds() {
    let published = quote().with("/snapshot_count", json!("\n\u{202e}".repeat(10_000)));
    let (_, text) = published.fault();
    assert!(
        text.len() < 2_000 && !text.contains('\n') && !text.contains('\u{202e}'),
        "{text}"
    );
}

#[test]
fn every_schema_of_an_event_compiles_and_a_rule_for_no_path_does_not() {
    for validator in [&ODDS_UPDATE, &ODDS_CONFIRMED, &SCRAPE_PROGRESS] {
        LazyLock::force(validator);
    }
    assert!(Validator::of::<OddsUpdate>(&[("event.id", Equals(0))]).is_err());
    // What is not understood is not passed over.
    assert!(Validator::of::<crate::job::SourceRecord>(&[]).is_ok());
    assert!(
        Validator::of::<crate::api::StartScrapes>(&[]).is_err(),
        "it is closed"
    );
}
