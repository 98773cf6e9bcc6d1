//! The pages of each book say what the truth says.

use chrono::{DateTime, TimeDelta, Utc};
use oddswire_demo_site::truth::MarketStatus;
use oddswire_demo_site::{Book, DemoOptions};
use serde_json::Value;

use crate::books;
use crate::site::{NOON, Site};

#[tokio::test]
async fn pages_of_every_book_equal_the_truth_at_many_moments() {
    let site = Site::paused().await;
    let noon: DateTime<Utc> = NOON.parse().unwrap();
    let (mut suspended, mut hidden, mut unmapped) = (0, 0, 0);
    for step in 0..8 {
        site.set_clock(noon + TimeDelta::milliseconds(step * 5_000_123))
            .await;
        for book in Book::ALL {
            let read = books::read(&site, book).await;
            let mut truth = site.truth(book, None).await;
            books::sort(&mut truth);
            assert!(truth.events.len() >= 12, "{book}");
            assert_eq!(read.book, truth, "{book} at step {step}");
            let markets = || truth.events.iter().flat_map(|event| &event.markets);
            suspended += markets()
                .filter(|market| market.status == MarketStatus::Suspended)
                .count();
            hidden += markets()
                .flat_map(|market| &market.outcomes)
                .filter(|outcome| outcome.price.is_none())
                .count();
            unmapped += read.unmapped;
        }
    }
    assert!(
        suspended > 0 && hidden > 0 && unmapped > 0,
        "{suspended} {hidden} {unmapped}"
    );
}

#[tokio::test]
async fn a_page_of_a_running_world_names_its_moment() {
    let site = Site::start(DemoOptions {
        speed: 500.0,
        ..DemoOptions::default()
    })
    .await;
    let response = site
        .post("/bravo/api/events", r#"{"sport":"football","page":1,"size":100}"#)
        .await;
    let at = response.headers()["x-demo-at"].to_str().unwrap().to_owned();
    let answer: Value = response.json().await.unwrap();
    let truth = site.truth(Book::Bravo, Some(&at)).await;
    let events = answer["data"]["events"].as_array().unwrap();
    assert_eq!(events.len(), truth.events.len());
    for (shown, event) in events.iter().zip(&truth.events) {
        assert_eq!(shown["matchId"], format!("mc:match:{}", event.match_id));
        let price = event.markets[0].outcomes[0].price.unwrap();
        assert_eq!(
            shown["markets"][0]["outcomes"][0]["odds"]
                .as_str()
                .unwrap()
                .parse(),
            Ok(price)
        );
    }
}

#[tokio::test]
async fn unknown_things_are_not_found() {
    let site = Site::paused().await;
    for path in [
        "/alpha/api/events/1",
        "/alpha/api/events/x",
        "/alpha/api/leagues/1/events",
        "/alpha/x",
        "/bravo/x",
        "/charlie/x",
        "/delta/x",
        "/delta/football/kestovia/second-division",
        "/delta/football/veloria/liga-dorada",
        "/x",
    ] {
        assert_eq!(site.get(path).await.status(), 404, "{path}");
    }
    for query in ["", "?tid=1", "?tid=x"] {
        assert_eq!(
            site.json(&format!("/charlie/api/odds{query}")).await["R"],
            "E_TID"
        );
    }
    assert_eq!(site.get("/bravo/api/events").await.status(), 405);
}

#[tokio::test]
async fn a_finished_event_is_not_found() {
    let site = Site::paused().await;
    let list = site.json("/alpha/api/leagues/1101/events").await;
    let path = format!("/alpha/api/events/{}", list["events"][0]["id"].as_str().unwrap());
    assert_eq!(site.get(&path).await.status(), 200);
    let noon: DateTime<Utc> = NOON.parse().unwrap();
    site.set_clock(noon + TimeDelta::hours(25)).await;
    assert_eq!(site.get(&path).await.status(), 404);
}

#[tokio::test]
async fn bravo_refuses_wrong_bodies_with_a_code() {
    let site = Site::paused().await;
    for body in [
        "",
        "{}",
        r#"{"sport":"tennis","page":1,"size":10}"#,
        r#"{"sport":"football","page":0,"size":10}"#,
        r#"{"sport":"football","page":1,"size":0}"#,
        r#"{"sport":"football","page":1,"size":101}"#,
        r#"{"sport":"football","page":"1","size":10}"#,
    ] {
        let response = site.post("/bravo/api/events", body).await;
        assert_eq!(response.status(), 200);
        let answer: Value = response.json().await.unwrap();
        assert_eq!(
            (&answer["bizCode"], &answer["data"]),
            (&19_001.into(), &Value::Null),
            "{body}"
        );
    }
    let response = site
        .post("/bravo/api/events", r#"{"sport":"football","page":99,"size":10}"#)
        .await;
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["data"]["events"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn delta_hides_rows_with_wrong_prices() {
    let site = Site::paused().await;
    let html = site
        .get("/delta/football/veloria/premier-league")
        .await
        .text()
        .await
        .unwrap()
        + &site
            .get("/delta/football/brinmark/premier-league")
            .await
            .text()
            .await
            .unwrap();
    assert!(html.contains(" style=\"display:none\">") && html.contains(" hidden>"));
}

#[tokio::test]
async fn the_site_explains_itself_and_allows_robots() {
    let site = Site::paused().await;
    assert!(
        site.get("/")
            .await
            .text()
            .await
            .unwrap()
            .contains("/delta/football")
    );
    assert_eq!(
        site.get("/robots.txt").await.text().await.unwrap(),
        "User-agent: *\nAllow: /\n"
    );
}
