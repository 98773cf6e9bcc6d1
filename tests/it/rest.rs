//! Runs, sources and the board over REST, without a scraper.

use crate::harness::{Quote, World};
use oddswire_protocol::{
    RunId, Timestamp,
    job::{SourceHealth, SourceRecord},
    progress::Status,
};
use tokio_util::sync::CancellationToken;

async fn source(world: &World, key: &str, enabled: bool) {
    let record = SourceRecord {
        source: key.parse().unwrap(),
        title: key.to_owned(),
        enabled,
        interval_ms: None,
        cron: None,
        stale_after_ms: 90_000,
        definition_hash: "x".into(),
        health: SourceHealth::Unknown,
        last_run_id: None,
        updated_at: Timestamp::now(),
    };
    let value = serde_json::to_vec(&record).unwrap().into();
    world
        .bus
        .kv_put(&format!("source.{key}"), value, None, &CancellationToken::new())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_start_queues_one_run_a_source_and_a_second_one_is_busy() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    source(&world, "alpha", true).await;
    source(&world, "bravo", true).await;
    source(&world, "off", false).await;
    let (status, started) = gateway.post("/api/scrapes", "").await;
    assert_eq!((status, started["workers"].as_u64()), (202, Some(0)), "{started}");
    let runs = started["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{started}");
    let run = &runs[0];
    let (status, image) = gateway.get(run["location"].as_str().unwrap()).await;
    assert_eq!((status, image["status"].as_str()), (200, Some("queued")));
    let (status, problem) = gateway.post("/api/scrapes", r#"{"sources":["alpha"]}"#).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("busy")));
    assert_eq!(problem["busy"][0]["run_id"], run["run_id"]);
    let (status, both) = gateway
        .post("/api/scrapes", r#"{"sources":["alpha","off"]}"#)
        .await;
    assert_eq!((status, both["runs"].as_array().unwrap().len()), (202, 1));
    let (_, list) = gateway.get("/api/scrapes?status=queued").await;
    assert_eq!(list["runs"].as_array().unwrap().len(), 3, "{list}");
}

#[tokio::test]
async fn an_unknown_source_starts_nothing_and_names_the_known_ones() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    source(&world, "alpha", true).await;
    let (status, problem) = gateway
        .post("/api/scrapes", r#"{"sources":["alpha","zulu"]}"#)
        .await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("unknown_source")));
    assert_eq!(problem["known"], serde_json::json!(["alpha"]));
    let (_, list) = gateway.get("/api/scrapes").await;
    assert_eq!(list["runs"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_queued_run_that_is_cancelled_ends_at_once_and_frees_its_source() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    source(&world, "alpha", true).await;
    let (_, started) = gateway.post("/api/scrapes", "").await;
    let run = started["runs"][0]["location"].as_str().unwrap();
    let (status, _) = gateway.post(&format!("{run}/cancel"), "").await;
    assert_eq!(status, 202);
    let (_, image) = gateway.get(run).await;
    assert_eq!(
        (image["status"].as_str(), image["phase"].as_str()),
        (Some("cancelled"), Some("cancelled"))
    );
    // Once more: no effect, and no error.
    let (status, _) = gateway.post(&format!("{run}/cancel"), "").await;
    assert_eq!(status, 202);
    let (status, _) = gateway.post("/api/scrapes", "").await;
    assert_eq!(status, 202);
    let (status, problem) = gateway
        .post(&format!("/api/scrapes/{}/cancel", RunId::new()), "")
        .await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("unknown_run")));
}

#[tokio::test]
async fn runs_are_listed_newest_first_filtered_and_paged() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let runs: Vec<RunId> = (0..5).map(|_| RunId::new()).collect();
    for (at, run) in runs.iter().enumerate() {
        let source = ["alpha", "bravo"][at % 2];
        world.run_event(source, run, 1, Status::Running).await;
        world.run_event(source, run, 2, Status::Completed).await;
    }
    let ids = |list: &serde_json::Value| -> Vec<String> {
        let runs = list["runs"].as_array().unwrap().iter();
        runs.map(|run| run["run_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let newest_first: Vec<String> = runs.iter().rev().map(ToString::to_string).collect();
    let (_, first) = gateway.get("/api/scrapes?limit=3").await;
    assert_eq!(ids(&first), newest_first[..3]);
    let page = first["next_page"].as_str().unwrap();
    let (_, rest) = gateway.get(&format!("/api/scrapes?limit=3&page={page}")).await;
    assert_eq!(
        (ids(&rest), rest["next_page"].is_null()),
        (newest_first[3..].to_vec(), true)
    );
    let (_, alpha) = gateway.get("/api/scrapes?source=alpha&status=completed").await;
    assert_eq!(ids(&alpha).len(), 3);
    // The index goes on where it was.
    world.run_event("alpha", &runs[0], 3, Status::Failed).await;
    let (_, failed) = gateway.get("/api/scrapes?status=failed").await;
    assert_eq!(ids(&failed), [runs[0].to_string()]);
}

#[tokio::test]
async fn the_board_is_filtered_and_paged_and_leaves_no_market_out() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    for source in ["alpha", "bravo", "charlie"] {
        for event in ["e1", "e2"] {
            world
                .odds_event(&Quote {
                    event,
                    source,
                    price: "1.85",
                })
                .await;
        }
    }
    let (_, all) = gateway.get("/api/odds").await;
    assert_eq!(
        (
            all["markets"].as_array().unwrap().len(),
            all["next_page"].is_null()
        ),
        (6, true)
    );
    let (_, bravo) = gateway.get("/api/odds?source=bravo").await;
    assert_eq!(bravo["markets"].as_array().unwrap().len(), 2);
    let mut seen = Vec::new();
    let mut query = "/api/odds?limit=4".to_owned();
    loop {
        let (_, page) = gateway.get(&query).await;
        for market in page["markets"].as_array().unwrap() {
            seen.push(format!("{}{}", market["source"], market["event_ids"]));
        }
        // What changes between two pages comes again.
        world
            .odds_event(&Quote {
                event: "e1",
                source: "alpha",
                price: "1.9",
            })
            .await;
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        query = format!("/api/odds?limit=4&page={next}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[tokio::test]
async fn a_broken_event_breaks_no_answer() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    world
        .odds_event(&Quote {
            event: "e1",
            source: "alpha",
            price: "1.85",
        })
        .await;
    let key = crate::harness::odds_key("e2", "alpha");
    world.event(&key, "bad", Vec::new(), b"not json").await;
    let run = RunId::new();
    let headers = vec![(oddswire_protocol::header::STATUS, "running".to_owned())];
    world
        .event(
            &crate::harness::run_key("alpha", &run),
            "bad-run",
            headers,
            b"not json",
        )
        .await;
    let (status, board) = gateway.get("/api/odds").await;
    assert_eq!(
        (status, board["markets"].as_array().map(Vec::len)),
        (200, Some(1)),
        "{board}"
    );
    let (status, list) = gateway.get("/api/scrapes").await;
    assert_eq!(
        (status, list["runs"].as_array().map(Vec::len)),
        (200, Some(0)),
        "{list}"
    );
    let (status, _) = gateway.get(&format!("/api/odds?page={}", u64::MAX)).await;
    assert_eq!(status, 200);
}
