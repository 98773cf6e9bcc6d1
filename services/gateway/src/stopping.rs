//! The end of a gateway, in order and in bounded time.

use crate::{Error, drain::Drain, http::Gateway};
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The running gateway, and what it takes to stop it in order.
pub(crate) struct Stopping {
    pub(crate) core: JoinSet<Result<(), Error>>,
    pub(crate) gateway: Gateway,
    pub(crate) drain: Drain,
    /// Ends the listener.
    pub(crate) closing: CancellationToken,
    /// Ends what serves the sessions.
    pub(crate) inner: CancellationToken,
    pub(crate) drain_delay: Duration,
    pub(crate) grace: Duration,
}

/// The share of the time left in which clients are closed; the rest is for those who are slow to go.
const SPREAD_SHARE: f64 = 0.8;
/// How long what was told to end at once may take.
const FORCE_WITHIN: Duration = Duration::from_secs(1);

impl Stopping {
    /// Waits for the end: asked for, or because a part that must live is gone. Then stops in order, in bounded time.
    pub(crate) async fn supervise(mut self, stop: CancellationToken) -> Result<(), Error> {
        let outcome = tokio::select! {
            () = stop.cancelled() => Ok(()),
            Some(ended) = self.core.join_next() => Err(match ended {
                Ok(Err(error)) => error,
                Ok(Ok(())) => Error::Ended("a part of the gateway".into()),
                Err(panic) => Error::Ended(format!("a part of the gateway: {panic}")),
            }),
        };
        // From here on it is not ready. Balancers need a while to notice, and send clients until then.
        stop.cancel();
        let left = if outcome.is_ok() {
            sleep(self.drain_delay.min(self.grace)).await;
            self.grace.saturating_sub(self.drain_delay)
        } else {
            Duration::ZERO
        };
        self.closing.cancel();
        self.drain.begin(left.mul_f64(SPREAD_SHARE));
        if timeout(left, self.gateway.wait_for_sessions()).await.is_err() {
            tracing::warn!(
                sessions = self.gateway.open_sessions(),
                "grace is over: closing who is left"
            );
            self.drain.force();
            // Whoever does not even take that is cut off with the process.
            let _ = timeout(FORCE_WITHIN, self.gateway.wait_for_sessions()).await;
        }
        self.inner.cancel();
        let _ = timeout(FORCE_WITHIN, async {
            while self.core.join_next().await.is_some() {}
        })
        .await;
        outcome
    }
}
