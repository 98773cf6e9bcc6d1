//! Signs of how the gateway is that nobody counts as it goes: they are looked up each second.

use crate::{front::Front, own_client::OwnClients, session::Shared};
use oddswire_protocol::Feed;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(1);

/// Looks until `stop`.
pub(crate) async fn measure(
    shared: Arc<Shared>,
    own: Arc<OwnClients>,
    front: Arc<Front>,
    stop: CancellationToken,
) {
    let metrics = &shared.metrics;
    metrics.ring_bytes_max.set(as_count(shared.hub.ring_bytes_max()));
    loop {
        metrics.ring_bytes.set(as_count(shared.hub.ring_bytes()));
        let (held, most) = front.memory();
        metrics.memory_bytes.set(i64::try_from(held).unwrap_or(i64::MAX));
        metrics
            .memory_bytes_max
            .set(i64::try_from(most).unwrap_or(i64::MAX));
        metrics
            .upstream_connected
            .set(i64::from(shared.health.is_connected()));
        metrics.deaf_shards.set(as_count(own.deaf()));
        for feed in Feed::ALL {
            let age = shared.health.age(feed).unwrap_or_default();
            metrics
                .upstream_lag
                .get_or_create(&feed.into())
                .set(age.as_secs_f64());
        }
        if stop.run_until_cancelled(sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

fn as_count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
