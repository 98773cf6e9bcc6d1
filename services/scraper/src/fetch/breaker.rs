//! Leaves a host alone that fails again and again.

use super::{Error, lock};
use crate::source::BreakerRule;
use std::{sync::Mutex, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Opens after so many failures in a row, and then lets a single request through from time to time to see.
///
/// When it opens, requests wait for the first probe, so that a site that restarts costs nothing but time. When that
/// probe fails the site is down: requests fail at once until a later probe succeeds.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    rule: BreakerRule,
    gate: Gate,
    /// Failures in a row.
    failures: u32,
    /// The last of them.
    cause: Option<Error>,
}

#[derive(Debug, Clone, Copy)]
enum Gate {
    Closed,
    /// `again`: a probe has failed already.
    Open {
        until: Instant,
        again: bool,
    },
    Probing {
        again: bool,
    },
}

/// Leave to ask the host once. It must be settled; when it is dropped instead, the request tells nothing.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    /// What the gate was like, where this is the probe.
    probe: Option<bool>,
}

enum Look {
    Pass(Option<bool>),
    Wait(Option<Instant>),
    Refused,
}

impl Breaker {
    pub(super) fn new(rule: BreakerRule) -> Self {
        Self {
            state: Mutex::new(State {
                rule,
                gate: Gate::Closed,
                failures: 0,
                cause: None,
            }),
            changed: Notify::new(),
        }
    }

    /// Goes by this rule from now on.
    pub(super) fn rule(&self, rule: BreakerRule) {
        lock(&self.state).rule = rule;
    }

    /// Waits for leave to ask. `on_wait` hears once, if there is something to wait for.
    ///
    /// # Errors
    /// [`Error::Unwell`] while the host is known to be down.
    ///
    /// # Cancel safety
    /// Dropping it leaves the breaker as it is.
    pub(super) async fn pass(
        &self,
        host: &str,
        on_wait: &(dyn Fn(&Error, Duration) + Send + Sync),
    ) -> Result<Pass<'_>, Error> {
        let mut told = false;
        loop {
            let changed = self.changed.notified();
            match self.look() {
                Look::Pass(probe) => {
                    return Ok(Pass { breaker: self, probe });
                }
                Look::Refused => return Err(self.error(host)),
                Look::Wait(until) => {
                    if !std::mem::replace(&mut told, true) {
                        let error = self.error(host);
                        let pause = until.map(|until| until.saturating_duration_since(Instant::now()));
                        on_wait(&error, pause.unwrap_or_default());
                    }
                    let in_time = async {
                        match until {
                            Some(until) => sleep_until(until).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = changed => {}
                        () = in_time => {}
                    }
                }
            }
        }
    }

    /// 0 closed, 1 a probe is under way, 2 open.
    pub(super) fn state(&self) -> i64 {
        match lock(&self.state).gate {
            Gate::Closed => 0,
            Gate::Probing { .. } => 1,
            Gate::Open { .. } => 2,
        }
    }

    fn look(&self) -> Look {
        let mut state = lock(&self.state);
        match state.gate {
            Gate::Closed => Look::Pass(None),
            Gate::Open { until, again } if until <= Instant::now() => {
                state.gate = Gate::Probing { again };
                Look::Pass(Some(again))
            }
            Gate::Open { again: true, .. } | Gate::Probing { again: true } => Look::Refused,
            Gate::Open { until, .. } => Look::Wait(Some(until)),
            Gate::Probing { .. } => Look::Wait(None),
        }
    }

    fn error(&self, host: &str) -> Error {
        let state = lock(&self.state);
        let retry_in = match state.gate {
            Gate::Open { until, .. } => until.saturating_duration_since(Instant::now()),
            Gate::Closed | Gate::Probing { .. } => Duration::ZERO,
        };
        Error::Unwell {
            host: host.to_owned(),
            failures: state.failures,
            retry_in,
            cause: state.cause.clone().map(Box::new),
        }
    }

    fn gate(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_waiters();
    }
}

impl Pass<'_> {
    /// Says how it went: `failure` if the host could not answer.
    pub(super) fn settle(mut self, failure: Option<&Error>) {
        let probe = self.probe.take();
        let mut state = lock(&self.breaker.state);
        let Some(failure) = failure else {
            let probed = probe.is_some();
            if probed || matches!(state.gate, Gate::Closed) {
                (state.gate, state.failures, state.cause) = (Gate::Closed, 0, None);
            }
            drop(state);
            if probed {
                self.breaker.changed.notify_waiters();
            }
            return;
        };
        state.failures = state.failures.saturating_add(1);
        state.cause = Some(failure.clone());
        let full = state.rule.failures > 0 && state.failures >= state.rule.failures;
        let opens = matches!(state.gate, Gate::Closed) && full;
        if probe.is_some() || opens {
            state.gate = Gate::Open {
                until: Instant::now() + state.rule.open_for,
                again: probe.is_some(),
            };
            drop(state);
            self.breaker.changed.notify_waiters();
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(again) = self.probe {
            let until = Instant::now();
            self.breaker
                .gate(|state| state.gate = Gate::Open { until, again });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(BreakerRule {
            failures: 3,
            open_for: 30 * SECOND,
        })
    }

    fn failure() -> Error {
        Error::Timeout {
            place: "x".into(),
            timeout: SECOND,
        }
    }

    async fn ask(breaker: &Breaker, failure: Option<&Error>) {
        breaker.pass("h", &|_, _| ()).await.unwrap().settle(failure);
    }

    async fn fail(breaker: &Breaker, times: usize) {
        for _ in 0..times {
            ask(breaker, Some(&failure())).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let breaker = breaker();
        fail(&breaker, 2).await;
        ask(&breaker, None).await;
        fail(&breaker, 2).await;
        let start = Instant::now();
        ask(&breaker, Some(&failure())).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        let told = Mutex::new(Vec::new());
        let on_wait = |error: &Error, pause| lock(&told).push((error.clone(), pause));
        breaker.pass("h", &on_wait).await.unwrap().settle(None);
        assert_eq!(start.elapsed(), 30 * SECOND);
        let told = lock(&told).clone();
        let [(error, pause)] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert!(error.recoverable(), "{error}");
        assert_eq!(
            (error.error_type(), *pause),
            (failure().error_type(), 30 * SECOND)
        );
        // Closed by the probe.
        ask(&breaker, None).await;
        assert_eq!(start.elapsed(), 30 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_goes_out_and_the_others_wait_for_what_it_finds() {
        let breaker = breaker();
        fail(&breaker, 3).await;
        let probe = breaker.pass("h", &|_, _| ()).await.unwrap();
        let mut other = pin!(breaker.pass("h", &|_, _| ()));
        assert!(futures_util::poll!(other.as_mut()).is_pending());
        probe.settle(None);
        other.await.unwrap().settle(None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_makes_requests_fail_at_once_until_a_later_one_succeeds() {
        let breaker = breaker();
        fail(&breaker, 3).await;
        let probe = breaker.pass("h", &|_, _| ()).await.unwrap();
        let mut waiting = pin!(breaker.pass("h", &|_, _| ()));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        probe.settle(Some(&failure()));
        assert!(matches!(waiting.await, Err(Error::Unwell { failures: 4, .. })));
        let now = Instant::now();
        assert!(breaker.pass("h", &|_, _| ()).await.is_err());
        assert_eq!(now.elapsed(), Duration::ZERO);
        tokio::time::advance(30 * SECOND).await;
        let probe = breaker.pass("h", &|_, _| ()).await.unwrap();
        assert!(breaker.pass("h", &|_, _| ()).await.is_err());
        probe.settle(None);
        ask(&breaker, None).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_leaves_its_place_to_another() {
        let breaker = breaker();
        fail(&breaker, 3).await;
        let probe = breaker.pass("h", &|_, _| ()).await.unwrap();
        let mut other = pin!(breaker.pass("h", &|_, _| ()));
        assert!(futures_util::poll!(other.as_mut()).is_pending());
        drop(probe);
        other.await.unwrap().settle(None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_failures_open_a_breaker_that_is_switched_off() {
        let breaker = Breaker::new(BreakerRule {
            failures: 0,
            open_for: SECOND,
        });
        let start = Instant::now();
        fail(&breaker, 100).await;
        ask(&breaker, None).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
