//! When a run has to stop, and how.

use crate::trial::Trial;
use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a worker lets go of a run without ending it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abandoned {
    /// Another worker has claimed the run.
    Fenced,
    /// Somebody else has ended the run.
    Over,
    /// No sign of life was acknowledged for so long that the job may have gone to another worker.
    LeaseLost,
    /// The bus refuses the run's events.
    Refused,
    /// This process stops.
    Stopped,
}

impl Abandoned {
    /// The word for logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Over => "over",
            Self::LeaseLost => "lease_lost",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
        }
    }
}

/// Holds a run back: one word ends its work but lets it say so, the other forbids it to publish anything more.
#[derive(Debug)]
pub(crate) struct Rein {
    publishing: CancellationToken,
    working: CancellationToken,
    why: OnceLock<Abandoned>,
    /// When the last sign of life that was acknowledged was sent.
    renewed_at: Mutex<Instant>,
    lease: Duration,
    trial: Trial,
}

impl Rein {
    /// A run that was handed over at `since` and is anybody's after `ack_wait` without a sign of life. It stops by
    /// itself at two thirds of that, and with `stop`.
    pub(crate) fn new(since: Instant, ack_wait: Duration, stop: &CancellationToken) -> Self {
        let publishing = stop.child_token();
        Self {
            working: publishing.child_token(),
            publishing,
            why: OnceLock::new(),
            renewed_at: Mutex::new(since),
            lease: ack_wait * 2 / 3,
            trial: Trial::default(),
        }
    }

    /// The same, with mechanisms off.
    pub(crate) fn on_trial(self, trial: Trial) -> Self {
        Self { trial, ..self }
    }

    /// Cancelled when the work must end.
    pub(crate) fn working(&self) -> &CancellationToken {
        &self.working
    }

    /// Cancelled when nothing may be published any more.
    pub(crate) fn publishing(&self) -> &CancellationToken {
        &self.publishing
    }

    /// Somebody asked the run to stop: its work ends, and it says so.
    pub(crate) fn cancel(&self) {
        self.working.cancel();
    }

    /// The run is no longer this worker's. The first reason stays.
    pub(crate) fn abandon(&self, why: Abandoned) {
        let off = match why {
            Abandoned::LeaseLost => self.trial.no_lease,
            Abandoned::Fenced | Abandoned::Over => self.trial.no_fence,
            Abandoned::Refused | Abandoned::Stopped => false,
        };
        if off {
            return;
        }
        // Only the first one is kept.
        let _ = self.why.set(why);
        self.publishing.cancel();
    }

    /// Why the run was abandoned, if it was.
    pub(crate) fn abandoned(&self) -> Option<Abandoned> {
        let stopped = self.publishing.is_cancelled().then_some(Abandoned::Stopped);
        self.why.get().copied().or(stopped)
    }

    /// A sign of life that was sent at `at` was acknowledged.
    pub(crate) fn renew(&self, at: Instant) {
        *self.renewed_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// When the run stops being this worker's without another sign of life.
    pub(crate) fn lease_ends(&self) -> Instant {
        *self.renewed_at.lock().unwrap_or_else(PoisonError::into_inner) + self.lease
    }

    /// Whether the run may publish now. Asked before each publish, for no timer runs in a process that was frozen.
    pub(crate) fn may_publish(&self) -> bool {
        if Instant::now() >= self.lease_ends() {
            self.abandon(Abandoned::LeaseLost);
        }
        !self.publishing.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rein(stop: &CancellationToken) -> Rein {
        Rein::new(Instant::now(), Duration::from_secs(30), stop)
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_sign_of_life_it_stops_before_the_job_goes_to_another() {
        let rein = rein(&CancellationToken::new());
        tokio::time::advance(Duration::from_secs(19)).await;
        assert!(rein.may_publish());
        rein.renew(Instant::now());
        tokio::time::advance(Duration::from_secs(19)).await;
        assert!(rein.may_publish());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!rein.may_publish());
        assert_eq!(rein.abandoned(), Some(Abandoned::LeaseLost));
        rein.renew(Instant::now());
        assert!(!rein.may_publish(), "what was given up is not taken back");
    }

    #[tokio::test]
    async fn a_cancelled_run_may_say_so_and_an_abandoned_one_may_not() {
        let stop = CancellationToken::new();
        let cancelled = rein(&stop);
        cancelled.cancel();
        assert!(cancelled.working().is_cancelled() && cancelled.may_publish());
        assert_eq!(cancelled.abandoned(), None);
        cancelled.abandon(Abandoned::Fenced);
        cancelled.abandon(Abandoned::Over);
        assert!(!cancelled.may_publish());
        assert_eq!(cancelled.abandoned(), Some(Abandoned::Fenced));
        let stopped = rein(&stop);
        stop.cancel();
        assert!(stopped.working().is_cancelled() && !stopped.may_publish());
        assert_eq!(stopped.abandoned(), Some(Abandoned::Stopped));
    }
}
