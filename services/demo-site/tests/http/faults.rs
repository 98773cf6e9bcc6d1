//! Each fault does what it says, and nothing outlives its end.

use std::time::Duration;

use oddswire_demo_site::faults::{FaultList, KINDS};
use serde_json::Value;
use tokio::time::Instant;

use crate::site::Site;

const PAGE: &str = "/alpha/api/leagues";

#[tokio::test]
async fn latency_delays_the_answer() {
    let site = Site::paused().await;
    site.set_fault("alpha", r#"{"kind":"latency","ms":120}"#).await;
    let start = Instant::now();
    assert_eq!(site.get(PAGE).await.status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let site = Site::paused().await;
    site.set_fault("alpha", r#"{"kind":"rate_limited","retry_after_s":7}"#)
        .await;
    let response = site.get(PAGE).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
}

#[tokio::test]
async fn a_server_error_has_the_asked_status() {
    let site = Site::paused().await;
    site.set_fault("alpha", r#"{"kind":"server_error","status":503}"#)
        .await;
    assert_eq!(site.get(PAGE).await.status(), 503);
}

#[tokio::test]
async fn a_reset_cuts_the_connection_inside_the_body() {
    let site = Site::paused().await;
    site.set_fault("alpha", r#"{"kind":"reset_in_body"}"#).await;
    let mut response = site.get(PAGE).await;
    assert_eq!(response.status(), 200);
    let whole = response.content_length().unwrap();
    let first = response.chunk().await.unwrap().unwrap();
    assert_eq!(u64::try_from(first.len()).unwrap(), whole / 2);
    response.chunk().await.unwrap_err();
}

#[tokio::test]
async fn truncated_json_is_a_complete_answer_with_half_a_body() {
    let site = Site::paused().await;
    let whole = site.get(PAGE).await.bytes().await.unwrap();
    site.set_fault("alpha", r#"{"kind":"truncated_json"}"#).await;
    let response = site.get(PAGE).await;
    assert_eq!(response.status(), 200);
    let half = response.bytes().await.unwrap();
    assert_eq!(half, whole.slice(..whole.len() / 2));
    serde_json::from_slice::<Value>(&half).unwrap_err();
}

#[tokio::test]
async fn a_block_page_is_html_with_status_200() {
    let site = Site::paused().await;
    site.set_fault("alpha", r#"{"kind":"block_page"}"#).await;
    let response = site.get(PAGE).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    let text = response.text().await.unwrap();
    assert!(text.contains("Access denied") && text.contains("captcha"));
}

#[tokio::test]
async fn layout_drift_renames_what_a_scraper_looks_for() {
    let site = Site::paused().await;
    site.set_fault("*", r#"{"kind":"layout_drift"}"#).await;
    let leagues = site.json(PAGE).await;
    assert_eq!(
        (&leagues["data"], &leagues["dataV2"][0]["nameV2"]),
        (&Value::Null, &"Premier League".into())
    );
    let response = site
        .post("/bravo/api/events", r#"{"sport":"football","page":1,"size":1}"#)
        .await;
    let bravo: Value = response.json().await.unwrap();
    assert_eq!(
        (&bravo["bizCode"], &bravo["data"]),
        (&10_000.into(), &Value::Null)
    );
    let charlie = site.json("/charlie/api/tournaments").await;
    assert_eq!((&charlie["R"], &charlie["D"]), (&"OK".into(), &Value::Null));
    let delta = site
        .get("/delta/football/norhaven/fjordserie")
        .await
        .text()
        .await
        .unwrap();
    assert!(delta.contains("class=\"v2-price") && !delta.contains("class=\"price"));
    assert!(!delta.contains(" data-match-id") && !delta.contains("class=\"odds\""));
}

#[tokio::test]
async fn a_fault_meets_only_its_book_path_and_count() {
    let site = Site::paused().await;
    let body = r#"{"book":"alpha","fault":{"kind":"server_error","status":500},"count":2,"path_contains":"/events"}"#;
    let list: FaultList = site.post("/__demo/faults", body).await.json().await.unwrap();
    assert_eq!(list.faults[0].remaining, Some(2));
    assert_eq!(site.get(PAGE).await.status(), 200);
    assert_eq!(site.get("/charlie/api/tournaments").await.status(), 200);
    for expected in [500, 500, 200] {
        assert_eq!(
            site.get("/alpha/api/leagues/1101/events").await.status(),
            expected
        );
    }
    let list: FaultList = site.get("/__demo/faults").await.json().await.unwrap();
    assert_eq!(list.faults, []);
}

#[tokio::test]
async fn clearing_ends_every_fault() {
    let site = Site::paused().await;
    site.set_fault("*", r#"{"kind":"block_page"}"#).await;
    let response = site
        .client
        .delete(format!("{}/__demo/faults", site.base))
        .send()
        .await
        .unwrap();
    assert_eq!(response.json::<FaultList>().await.unwrap().faults, []);
    assert_eq!(site.get(PAGE).await.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn unknown_faults_and_books_are_refused_by_name() {
    let site = Site::paused().await;
    site.set_fault("bravo", r#"{"kind":"block_page"}"#).await;
    for (body, status, known) in [
        (r#"{"book":"alpha","fault":{"kind":"gremlins"}}"#, 422, &KINDS[..]),
        (
            r#"{"book":"echo","fault":{"kind":"block_page"}}"#,
            422,
            &["alpha", "bravo", "charlie", "delta", "*"],
        ),
        (
            r#"{"book":"alpha","fault":{"kind":"server_error","status":200}}"#,
            422,
            &["500", "599"],
        ),
        (
            r#"{"book":"alpha","fault":{"kind":"block_page"},"counts":1}"#,
            422,
            &["count"],
        ),
        (r#"{"book":"alpha"}"#, 422, &["fault"]),
        ("{", 400, &["JSON"]),
    ] {
        let response = site.post("/__demo/faults", body).await;
        assert_eq!(response.status(), status, "{body}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(known.iter().all(|word| detail.contains(word)), "{detail}");
    }
    let list: FaultList = site.get("/__demo/faults").await.json().await.unwrap();
    assert_eq!(list.faults.len(), 1);
}

#[tokio::test]
async fn a_rate_limit_may_name_a_date() {
    let site = Site::paused().await;
    let fault = r#"{"kind":"rate_limited","retry_after_s":60,"as_date":true}"#;
    site.set_fault("alpha", fault).await;
    let response = site.get(PAGE).await;
    let date = response.headers()["retry-after"].to_str().unwrap();
    chrono::DateTime::parse_from_rfc2822(date).unwrap();
    assert!(date.ends_with(" GMT"), "{date}");
}

#[tokio::test]
async fn a_slow_drip_gives_the_whole_body_late() {
    let site = Site::paused().await;
    let whole = site.get(PAGE).await.bytes().await.unwrap();
    site.set_fault("alpha", r#"{"kind":"slow_drip","ms":10}"#).await;
    let start = Instant::now();
    assert_eq!(site.get(PAGE).await.bytes().await.unwrap(), whole);
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn headers_can_lie() {
    let site = Site::paused().await;
    site.set_fault("alpha", r#"{"kind":"wrong_content_type"}"#).await;
    let response = site.get(PAGE).await;
    assert_eq!(response.headers()["content-type"], "application/octet-stream");
    site.set_fault("alpha", r#"{"kind":"clock_skew","s":-7200}"#)
        .await;
    let response = site.get(PAGE).await;
    let date = response.headers()["date"].to_str().unwrap();
    let date = chrono::DateTime::parse_from_rfc2822(date).unwrap();
    let off = chrono::Utc::now().signed_duration_since(date).num_seconds();
    assert!((7_190..7_300).contains(&off), "{off}");
}

#[tokio::test]
async fn a_gzip_bomb_is_small_on_the_wire() {
    let site = Site::paused().await;
    site.set_fault("alpha", r#"{"kind":"gzip_bomb","mib":8}"#).await;
    let response = site.get(PAGE).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(response.bytes().await.unwrap().len() < 100_000);
}

#[tokio::test]
async fn a_redirect_loop_leads_to_itself() {
    let site = Site::paused().await;
    site.set_fault("alpha", r#"{"kind":"redirect_loop"}"#).await;
    let response = site.get(PAGE).await;
    assert_eq!(response.status(), 302);
    assert!(response.headers()["location"].to_str().unwrap().starts_with(PAGE));
}

#[tokio::test]
async fn lists_that_move_show_a_row_twice() {
    let site = Site::paused().await;
    let rows = async |site: &Site| {
        let page: Value = serde_json::from_slice(&site.get(PAGE).await.bytes().await.unwrap()).unwrap();
        page["data"].as_array().unwrap().clone()
    };
    let before = rows(&site).await;
    site.set_fault("alpha", r#"{"kind":"page_shift"}"#).await;
    let after = rows(&site).await;
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after.last(), before.first());
}

#[tokio::test]
async fn robots_faults_meet_robots_txt_alone() {
    let site = Site::paused().await;
    let robots = async |site: &Site| {
        let response = site.get("/robots.txt").await;
        (response.status().as_u16(), response.text().await.unwrap())
    };
    site.set_fault("alpha", r#"{"kind":"robots_disallow"}"#).await;
    assert_eq!(
        robots(&site).await,
        (200, "User-agent: *\nDisallow: /alpha/\nAllow: /\n".into())
    );
    site.set_fault("alpha", r#"{"kind":"robots_crawl_delay","s":3}"#)
        .await;
    assert!(robots(&site).await.1.contains("Crawl-delay: 3\n"));
    for (host, has) in [("alpha.localhost:4600", true), ("bravo.demo", false)] {
        let answer = site.get_with("/robots.txt", "host", host).await;
        let said = answer.text().await.unwrap();
        assert_eq!(said.contains("Crawl-delay: 3\n"), has, "{host}: {said}");
    }
    site.set_fault("alpha", r#"{"kind":"robots_error","status":503}"#)
        .await;
    assert_eq!(robots(&site).await.0, 503);
    assert_eq!(site.get(PAGE).await.status(), 200);
}

#[tokio::test]
async fn a_slow_drip_may_come_byte_by_byte() {
    let site = Site::paused().await;
    let whole = site.get(PAGE).await.bytes().await.unwrap();
    site.set_fault("alpha", r#"{"kind":"slow_drip","ms":1,"bytewise":true}"#)
        .await;
    let start = Instant::now();
    assert_eq!(site.get(PAGE).await.bytes().await.unwrap(), whole);
    let each = u64::try_from(whole.len()).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(each), "{each} bytes");
}

#[tokio::test]
async fn a_redirect_to_a_private_address_leads_to_the_askers_own_machine() {
    let site = Site::paused().await;
    site.set_fault("alpha", r#"{"kind":"redirect_private"}"#).await;
    let response = site.get(PAGE).await;
    assert_eq!(response.status(), 302);
    let location = response.headers()["location"].to_str().unwrap();
    assert!(
        location.starts_with("http://[::ffff:127.0.0.1]:") && location.ends_with(PAGE),
        "{location}"
    );
}
