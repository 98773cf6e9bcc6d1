//! Somebody's wish that a run stops.
//!
//! The wish is written to GATEWAY first, then told to the worker. The worker listens first, then looks: so it cannot
//! miss both. It looks again from time to time, since what it is told is told at most once.

use super::{gauge::Gauge, rein::Rein};
use crate::bus::patiently;
use oddswire_kit::{bus::Bus, live::Requests};
use oddswire_protocol::RunId;
use std::{convert::Infallible, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often the wish is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Listens for the wish that one run stops.
#[derive(Debug)]
pub(super) struct Intent {
    bus: Bus,
    key: String,
    requests: Requests,
    /// Whether the wish was there already.
    pub(super) is_set: bool,
}

impl Intent {
    /// Listens, then looks; `None` when `stop` came first.
    pub(super) async fn open(bus: &Bus, run_id: &RunId, stop: &CancellationToken) -> Option<Self> {
        let requests = patiently(stop, || bus.serve(bus.subjects().control(run_id))).await?;
        let key = format!("cancel.{run_id}");
        let wish = patiently(stop, || bus.kv_get(&key)).await?;
        Some(Self {
            bus: bus.clone(),
            key,
            requests,
            is_set: wish.is_some(),
        })
    }

    /// Waits for the wish, and has the run stop when it comes.
    pub(super) async fn watch(&mut self, rein: &Rein, gauge: &Gauge) -> Infallible {
        while !self.is_set {
            tokio::select! {
                request = self.requests.next() => self.is_set = request.is_some(),
                () = sleep(LOOK_EVERY) => {
                    // When the bus does not answer, the next look may.
                    self.is_set = matches!(self.bus.kv_get(&self.key).await, Ok(Some(_)));
                }
            }
        }
        gauge.cancelling();
        rein.cancel();
        std::future::pending().await
    }
}
