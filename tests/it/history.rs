//! `GET /api/odds/{event_id}/history`: what a price was.

use crate::harness::{Quote, World, until};
use oddswire_protocol::EventId;
use serde_json::Value;

/// The address of an event's past.
fn path(event: &str) -> String {
    format!("/api/odds/{}/history", EventId::of(event))
}

fn prices(answer: &Value) -> Vec<String> {
    let images = answer["images"].as_array().unwrap();
    images
        .iter()
        .map(|image| image["data"]["market"]["quotes"][0]["outcomes"][0]["price"].to_string())
        .collect()
}

#[tokio::test]
async fn an_events_past_is_every_image_in_order_page_by_page() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for (event, source, price) in [
        ("e1", "alpha", "1.85"),
        ("e2", "alpha", "3.5"),
        ("e1", "alpha", "1.9"),
        ("e1", "bravo", "2.05"),
        ("e1", "alpha", "1.95"),
    ] {
        let before = history(&gateway, event, "").await.len();
        world.odds_event(&Quote { event, source, price }).await;
        // The copy comes a moment later, and takes what stands then: one that is replaced before is missed.
        until("the image is in HISTORY", || async {
            history(&gateway, event, "").await.len() > before
        })
        .await;
    }
    assert_eq!(history(&gateway, "e1", "").await, ["1.85", "1.9", "2.05", "1.95"]);
    assert_eq!(
        history(&gateway, "e1", "source=alpha").await,
        ["1.85", "1.9", "1.95"]
    );
    assert_eq!(
        history(&gateway, "e1", "source=alpha&market=h2h-ft").await.len(),
        3
    );
    assert!(history(&gateway, "e1", "market=btts-ft").await.is_empty());
    assert!(
        history(&gateway, "e9", "").await.is_empty(),
        "no past is no error"
    );
    assert!(
        history(&gateway, "e1", "since=2099-01-01T00:00:00.000Z")
            .await
            .is_empty()
    );

    let (mut seen, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let (_, page) = gateway.get(&format!("{}?{query}", path("e1"))).await;
        seen.extend(prices(&page));
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        query = format!("limit=3&page={next}");
    }
    assert_eq!(seen, ["1.85", "1.9", "2.05", "1.95"]);
    let (_, whole) = gateway.get(&path("e1")).await;
    assert_eq!(whole["event_id"], EventId::of("e1").to_string());
    let first = &whole["images"][0];
    assert_eq!(first["type"], "odds_update");
    assert!(first["timestamp"].is_string());
}

#[tokio::test]
async fn a_past_that_cannot_be_asked_for_is_refused_with_a_reason() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for path in [
        "e1/history?since=yesterday",
        "e1/history?limit=0",
        "e1/history?page=x",
        "E%201/history",
        "e1/history?source=*",
    ] {
        let (status, problem) = gateway.get(&format!("/api/odds/{path}")).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &"invalid_query".into()),
            "{path}"
        );
    }
}

async fn history(gateway: &crate::harness::Gateway, event: &str, query: &str) -> Vec<String> {
    let (status, answer) = gateway.get(&format!("{}?{query}", path(event))).await;
    assert_eq!(status, 200, "{answer}");
    prices(&answer)
}
