//! Keeps a job: signs of life to the queue.

use super::rein::{Abandoned, Rein};
use oddswire_kit::queue::Delivery;
use std::{convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// Between two tries of a sign of life that was not acknowledged.
const RETRY: Duration = Duration::from_millis(500);

/// Says every third of `ack_wait` that somebody works at the job. Gives the run up when nobody has heard that for
/// too long.
pub(super) async fn keep(delivery: &Delivery, ack_wait: Duration, rein: &Rein) -> Infallible {
    loop {
        sleep(ack_wait / 3).await;
        // The lease counts from when the sign was sent, not from when its answer came.
        let mut sent_at = Instant::now();
        let mut heard = timeout_at(rein.lease_ends(), delivery.progress()).await;
        while let Ok(Err(error)) = heard {
            tracing::debug!(%error, "the sign of life is sent again");
            sleep(RETRY.min(ack_wait / 10)).await;
            sent_at = Instant::now();
            heard = timeout_at(rein.lease_ends(), delivery.progress()).await;
        }
        if heard.is_ok() {
            rein.renew(sent_at);
        } else {
            rein.abandon(Abandoned::LeaseLost);
        }
    }
}
