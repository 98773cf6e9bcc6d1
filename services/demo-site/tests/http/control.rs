//! Clock, truth and request counters over HTTP.

use chrono::{DateTime, Utc};
use oddswire_demo_site::clock::ClockReport;
use oddswire_demo_site::truth::Truth;
use oddswire_demo_site::{Book, DemoOptions, World};
use serde_json::{Value, json};

use crate::site::{NOON, Site};

async fn clock(site: &Site, body: &str) -> ClockReport {
    let response = site.post("/__demo/clock", body.to_owned()).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

#[tokio::test]
async fn the_clock_can_be_set_advanced_paused_and_sped_up() {
    let site = Site::paused().await;
    assert_eq!(
        site.json("/__demo/clock").await,
        json!({ "now": "2026-11-22T12:00:00.000Z", "speed": 0.0, "paused": true })
    );
    let report = clock(&site, r#"{"advance_ms":61500}"#).await;
    assert_eq!(
        report.now,
        "2026-11-22T12:01:01.500Z".parse::<DateTime<Utc>>().unwrap()
    );
    let report = clock(&site, r#"{"at":"2027-01-01T01:00:00+01:00","advance_ms":-1}"#).await;
    assert_eq!(
        report.now,
        "2026-12-31T23:59:59.999Z".parse::<DateTime<Utc>>().unwrap()
    );
    let report = clock(&site, r#"{"speed":10000}"#).await;
    assert!(!report.paused);
    let before = report.now;
    while site.json("/__demo/clock").await["now"]
        .as_str()
        .unwrap()
        .parse::<DateTime<Utc>>()
        .unwrap()
        == before
    {}
    assert!(clock(&site, r#"{"speed":0}"#).await.now > before);
}

#[tokio::test]
async fn a_bad_clock_order_is_refused_and_changes_nothing() {
    let site = Site::paused().await;
    for (body, status) in [
        (r#"{"speed":-1}"#, 422),
        (r#"{"speed":10001,"advance_ms":5}"#, 422),
        (r#"{"at":"yesterday"}"#, 422),
        (r#"{"at":"1950-01-01T00:00:00Z"}"#, 422),
        (r#"{"sped":2}"#, 422),
        ("speed=2", 400),
    ] {
        let response = site.post("/__demo/clock", body).await;
        assert_eq!(response.status(), status, "{body}");
        assert!(response.json::<Value>().await.unwrap()["detail"].is_string());
    }
    let report: ClockReport = site.get("/__demo/clock").await.json().await.unwrap();
    assert_eq!(report.now, NOON.parse::<DateTime<Utc>>().unwrap());
}

#[tokio::test]
async fn truth_over_http_equals_the_computed_truth() {
    let site = Site::paused().await;
    let world = World::new(DemoOptions::default().world_spec());
    for (query, at) in [
        ("", NOON),
        ("?at=2031-05-06T07:08:09.123Z", "2031-05-06T07:08:09.123Z"),
        ("?at=2031-05-06T07:08:09.123+00:00", "2031-05-06T07:08:09.123Z"),
    ] {
        let truth: Truth = site
            .get(&format!("/__demo/truth{query}"))
            .await
            .json()
            .await
            .unwrap();
        assert_eq!(truth, world.truth(at.parse().unwrap(), None));
    }
    let one = site.json("/__demo/truth?book=delta").await;
    assert_eq!(one["at"], "2026-11-22T12:00:00.000Z");
    assert_eq!(one["books"].as_object().unwrap().len(), 1);
    assert!(
        one["books"]["delta"]["events"][0]["commence_time"]
            .as_str()
            .unwrap()
            .ends_with(":00.000Z")
    );
}

#[tokio::test]
async fn bad_questions_for_the_truth_are_refused() {
    let site = Site::paused().await;
    for (query, status) in [
        ("book=echo", 422),
        ("at=noon", 400),
        ("at=1950-01-01T00:00:00Z", 422),
        ("when=1", 400),
    ] {
        let response = site.get(&format!("/__demo/truth?{query}")).await;
        assert_eq!(response.status(), status, "{query}");
        assert!(response.json::<Value>().await.unwrap()["detail"].is_string());
    }
}

#[tokio::test]
async fn requests_are_counted_by_book_and_path() {
    let site = Site::paused().await;
    site.get("/charlie/api/odds?tid=90210").await;
    site.get("/charlie/api/odds?tid=90223").await;
    site.set_fault("charlie", r#"{"kind":"block_page"}"#).await;
    site.get("/charlie/api/tournaments").await;
    let counts = &site.json("/__demo/requests").await["books"];
    let paths = json!({ "/charlie/api/odds": 2, "/charlie/api/tournaments": 1 });
    assert_eq!(
        counts["charlie"],
        json!({ "total": 3, "faulted": 1, "paths": paths })
    );
    assert_eq!(counts.as_object().unwrap().len(), Book::ALL.len());
    site.client
        .delete(format!("{}/__demo/requests", site.base))
        .send()
        .await
        .unwrap();
    assert_eq!(
        site.json("/__demo/requests").await["books"]["charlie"]["total"],
        0
    );
}
