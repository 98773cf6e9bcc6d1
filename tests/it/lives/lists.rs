//! What a gateway that stays lists after its bus was put back from a copy.

use super::{KEPT, LOST};
use crate::harness::{Gateway, World, within};
use std::collections::BTreeSet;

async fn listed(gateway: &Gateway) -> BTreeSet<String> {
    let asked = async {
        loop {
            if let (200, list) = gateway.get("/api/scrapes").await {
                return list;
            }
        }
    };
    let list = within("a list of runs", asked).await;
    let runs = list["runs"].as_array().unwrap().iter();
    runs.map(|run| run["run_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn runs_that_a_restore_took_are_listed_no_more_however_long_the_new_history_is() {
    let mut world = World::new().await;
    let gateway = world.gateway().await;
    world.some(KEPT).await;
    let kept = listed(&gateway).await;
    let backup = tempfile::tempdir().unwrap();
    world.kill_all_nats().await;
    world.copy_store(backup.path());
    world.restart_all_nats().await;
    world.some(LOST).await;
    let lost = &listed(&gateway).await - &kept;
    assert_eq!((kept.len(), lost.len()), (1, 1));
    world.kill_all_nats().await;
    world.put_back(backup.path());
    world.restart_all_nats().await;
    world.some(3 * LOST).await;
    let now = listed(&gateway).await;
    assert_eq!((now.len(), now.is_superset(&kept)), (2, true), "{now:?}");
    assert!(now.is_disjoint(&lost), "{now:?}");
}
