//! Each fault of the demo's bookmakers: what becomes of the run, which error it tells, and that whatever the board
//! claims to have checked is the truth.

mod books;

use books::{BOOKS, Books};
use oddswire_demo_site::faults::KINDS;
use oddswire_protocol::progress::{
    ErrorType::{self, Connect, HttpStatus, Parse, RateLimited, Robots, SchemaDrift, Timeout},
    Outcome::{self, Blocked, Broken, Complete, Partial, Unreachable},
    Status::{self, Completed, Failed},
};
use std::time::Duration;
use tokio::time::Instant;

/// A fault, and what the runs of the four books make of it.
struct Case {
    /// As the control interface takes it.
    fault: &'static str,
    /// What else the order says: only some requests, only some paths.
    only: &'static str,
    expected: Expected,
    /// Where one book is unlike the others.
    but: &'static [(&'static str, Expected)],
}

/// Status, outcome, and the kind of the error that must be told; `None`: no error at all.
type Expected = (Status, Outcome, Option<ErrorType>);

const FINE: Expected = (Completed, Complete, None);

const fn unreachable(error: ErrorType) -> Expected {
    (Failed, Unreachable, Some(error))
}

const fn all(fault: &'static str, expected: Expected) -> Case {
    Case {
        fault,
        only: "",
        expected,
        but: &[],
    }
}

/// What is tried again and passes leaves its error in the list, and nothing else.
const fn passed(error: ErrorType) -> Expected {
    (Completed, Complete, Some(error))
}

/// The faults of robots.txt.
const ROBOTS: &[Case] = &[
    all(r#""kind":"robots_disallow""#, (Failed, Blocked, Some(Robots))),
    all(r#""kind":"robots_error","status":503"#, unreachable(Robots)),
    // There is none, so nothing is forbidden.
    all(r#""kind":"robots_error","status":404"#, FINE),
    all(r#""kind":"robots_crawl_delay","s":1"#, FINE),
];

/// Every kind of fault but those of robots.txt, which are above.
const CASES: &[Case] = &[
    all(r#""kind":"latency","ms":30"#, FINE),
    all(r#""kind":"latency","ms":2000"#, unreachable(Timeout)),
    all(
        r#""kind":"latency_log_normal","median_ms":5,"sigma_percent":50"#,
        FINE,
    ),
    all(
        r#""kind":"rate_limited","retry_after_s":1"#,
        unreachable(RateLimited),
    ),
    all(
        r#""kind":"rate_limited","retry_after_s":1,"as_date":true"#,
        unreachable(RateLimited),
    ),
    Case {
        only: r#","count":2"#,
        ..all(r#""kind":"rate_limited","retry_after_s":1"#, passed(RateLimited))
    },
    all(r#""kind":"server_error","status":503"#, unreachable(HttpStatus)),
    Case {
        only: r#","count":3"#,
        ..all(r#""kind":"server_error","status":502"#, passed(HttpStatus))
    },
    Case {
        // Pages of events at alpha, and leagues of some name at two others.
        only: r#","path_contains":"premier-league""#,
        but: &[("delta", (Completed, Partial, Some(HttpStatus)))],
        ..all(r#""kind":"server_error","status":500"#, FINE)
    },
    all(r#""kind":"reset_in_body""#, unreachable(Connect)),
    all(r#""kind":"slow_drip","ms":100"#, unreachable(Timeout)),
    all(r#""kind":"slow_drip","ms":1"#, FINE),
    all(
        r#""kind":"slow_drip","ms":20,"bytewise":true"#,
        unreachable(Timeout),
    ),
    all(r#""kind":"truncated_json""#, (Failed, Broken, Some(Parse))),
    all(r#""kind":"wrong_content_type""#, FINE),
    all(
        r#""kind":"block_page""#,
        (Failed, Blocked, Some(ErrorType::Blocked)),
    ),
    all(r#""kind":"gzip_bomb","mib":16"#, (Failed, Broken, Some(Parse))),
    all(r#""kind":"redirect_loop""#, unreachable(HttpStatus)),
    all(r#""kind":"redirect_private""#, unreachable(HttpStatus)),
    all(r#""kind":"page_shift""#, FINE),
    all(r#""kind":"markets_vanish""#, FINE),
    Case {
        // The others have no dates that lose anything.
        but: &[("bravo", FINE), ("charlie", FINE)],
        ..all(r#""kind":"naive_dates""#, (Failed, Broken, Some(SchemaDrift)))
    },
    all(r#""kind":"clock_skew","s":-7200"#, FINE),
    all(r#""kind":"layout_drift""#, (Failed, Broken, Some(SchemaDrift))),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_a_site_ever_makes_the_board_show_a_wrong_price_as_checked() {
    let books = Books::start().await;
    let clean = books.run_all().await;
    assert!(clean.values().all(|told| told.is(FINE)), "{clean:#?}");
    books.assert_board_is_the_truth("before any fault").await;
    for case in CASES {
        books.advance(7).await;
        books.set_fault(case.fault, case.only).await;
        // Twice: what fails twice is not taken for what is not offered any more.
        for round in 1..=2 {
            let told = books.run_all().await;
            for book in BOOKS {
                let but = case.but.iter().find(|(name, _)| *name == book);
                let expected = but.map_or(case.expected, |(_, expected)| *expected);
                // A fault that meets some requests only is over in the second round.
                let over = round == 2 && case.only.contains("count");
                let expected = if over { FINE } else { expected };
                assert!(
                    told[book].is(expected),
                    "{}{} at {book}: {:?}, and not {expected:?}",
                    case.fault,
                    case.only,
                    told[book]
                );
            }
            let wrong = books.wrongly_checked().await;
            assert!(wrong.is_empty(), "{}: {wrong:?}", case.fault);
        }
        books.clear_faults().await;
        books.run_all().await;
        books.run_all().await;
        books.assert_board_is_the_truth(case.fault).await;
    }
}

#[test]
fn every_kind_of_fault_has_its_case() {
    for kind in KINDS {
        let named = format!(r#""kind":"{kind}""#);
        let mut cases = CASES.iter().chain(ROBOTS);
        assert!(cases.any(|case| case.fault.starts_with(&named)), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_prices_of_a_while_ago_that_counted_as_checked_would_be_wrong() {
    let books = Books::start().await;
    books.run_all().await;
    books.advance(7).await;
    assert_eq!(books.wrongly_checked().await, [""; 0]);
    books.take_everything_for_checked();
    assert!(
        !books.wrongly_checked().await.is_empty(),
        "the test above proves nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_robots_txt_says_decides_whether_a_site_is_read_and_no_price_is_wrong() {
    for case in ROBOTS {
        // What it said is remembered for a while: each time a scraper that has not asked yet.
        let books = Books::start().await;
        books.set_fault(case.fault, "").await;
        let slow = case.fault.contains("crawl_delay");
        // With a pause before each request the four books together would take a minute.
        let read = if slow { &["bravo"] } else { &BOOKS[..] };
        let start = Instant::now();
        let told = books.run(read).await;
        let fine = told.values().all(|told| told.is(case.expected));
        assert!(fine, "{}: {told:#?}", case.fault);
        // robots.txt, and two pages of ten events.
        assert!(!slow || start.elapsed() >= Duration::from_secs(1));
        let shown = books.shown().await > 0;
        assert_eq!(shown, case.expected == FINE, "{}", case.fault);
        assert_eq!(books.wrongly_checked().await, [""; 0], "{}", case.fault);
        let refused = books.fetch_metrics().await;
        let refused = refused
            .keys()
            .filter(|line| line.contains("_robots_refusals_total{"));
        let expected = if shown { 0 } else { BOOKS.len() };
        assert_eq!(refused.count(), expected, "{}", case.fault);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_the_site_calls_unchanged_are_as_good_as_new_ones() {
    let books = Books::start().await;
    books.run_all().await;
    books.advance(7).await;
    books.run_all().await;
    assert!(
        books.called_unchanged().await > 0.0,
        "lists of leagues never change"
    );
    // What is not offered any more is withdrawn when it is missed for the second time.
    books.run_all().await;
    books
        .assert_board_is_the_truth("after some pages were called unchanged")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_site_is_asked_for_and_what_comes_of_it_is_counted_by_source() {
    let books = Books::start().await;
    books.run_all().await;
    books
        .set_fault(r#""kind":"rate_limited","retry_after_s":1"#, r#","count":2"#)
        .await;
    books.run(&["alpha"]).await;
    let metrics = books.fetch_metrics().await;
    let shown = |name: &str, label: &str| {
        let line = format!(r#"oddswire_scraper_fetch_{name}{{source="alpha"{label}}}"#);
        let value = metrics.get(&line);
        value.unwrap_or_else(|| panic!("{line}: {metrics:#?}")).as_str()
    };
    let number = |name: &str, label: &str| shown(name, label).parse::<f64>().unwrap();
    assert!(number("requests_total", r#",outcome="success""#) > 10.0);
    assert_eq!(shown("requests_total", r#",outcome="rate_limited""#), "2");
    assert_eq!(shown("retries_total", r#",class="rate_limited""#), "2");
    assert!(number("unchanged_total", "") > 0.0);
    assert_eq!(
        shown("unchanged_total", ""),
        shown("requests_total", r#",outcome="unchanged""#)
    );
    assert!(number("body_bytes_total", "") > 10_000.0);
    assert_eq!(shown("breaker", ""), "0");
    assert!(number("delay_seconds", "") >= 0.001);
    assert!(!metrics.keys().any(|line| line.contains('/')), "{metrics:#?}");
}
