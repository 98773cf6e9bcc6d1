//! Who stores odds while the server is put back from a copy.

use super::{KEPT, LOST, batch};
use crate::harness::{Quote, World, until, within};
use oddswire_protocol::Feed;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn what_is_stored_right_after_an_outage_comes_behind_the_new_term() {
    let mut world = World::new().await;
    let kept = world.some(KEPT).await[Feed::Odds.index()];
    let backup = tempfile::tempdir().unwrap();
    world.kill_all_nats().await;
    world.copy_store(backup.path());
    world.restart_all_nats().await;
    world.some(LOST).await;
    world.kill_all_nats().await;
    let bus = world.bus.clone();
    until("the bus to be away", async || !bus.is_connected()).await;
    // Of a source whose fence is the same in both histories: nothing but a term tells them apart.
    let quote = Quote {
        event: "e1",
        source: "bravo",
        price: "1.85",
    };
    let (batch, stop) = (batch(&bus, &quote, 0), CancellationToken::new());
    let stored = within(
        "the bus to take a batch",
        bus.publish_batch(&batch, &stop, |_| ()),
    );
    let back = async {
        world.put_back(backup.path());
        world.restart_all_nats().await;
    };
    let (stored, ()) = tokio::join!(stored, back);
    let first = within("the bus", bus.leader_message("ODDS", kept + 1)).await;
    assert!(bus.is_term(&first.unwrap().unwrap()));
    assert_eq!(stored.unwrap().seq, kept + 3);
}
