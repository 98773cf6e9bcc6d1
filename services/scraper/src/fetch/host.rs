//! The rate at which a host is asked, whichever sources ask it.

use crate::source::Limits;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A host. The most careful of its sources decides for all.
#[derive(Debug)]
pub(super) struct Host {
    rate: Mutex<Rate>,
}

#[derive(Debug, Clone)]
struct Rate {
    requests_per_second: f64,
    burst: u32,
    limiter: Arc<DefaultDirectRateLimiter>,
}

impl Host {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            rate: Mutex::new(Rate::new(limits.requests_per_second, limits.burst)),
        }
    }

    /// Lowers the rate to these limits where they are lower.
    pub(super) fn restrict(&self, limits: Limits) {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        if limits.requests_per_second < rate.requests_per_second || limits.burst < rate.burst {
            let requests_per_second = limits.requests_per_second.min(rate.requests_per_second);
            *rate = Rate::new(requests_per_second, limits.burst.min(rate.burst));
        }
    }

    /// Waits until the next request may go out, and counts it.
    ///
    /// # Cancel safety
    /// Dropping it counts nothing.
    pub(super) async fn wait(&self) {
        let limiter = {
            let rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&rate.limiter)
        };
        limiter.until_ready().await;
    }
}

impl Rate {
    fn new(requests_per_second: f64, burst: u32) -> Self {
        let period = Duration::from_secs_f64(1.0 / requests_per_second);
        let quota = Quota::with_period(period)
            .expect("the definition's range gives 1 ms to 100 s")
            .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        Self {
            requests_per_second,
            burst,
            limiter: Arc::new(RateLimiter::direct(quota)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(requests_per_second: f64, burst: u32) -> Limits {
        Limits {
            requests_per_second,
            burst,
            concurrency: 1,
        }
    }

    fn at_once(host: &Host) -> usize {
        let limiter = Arc::clone(&host.rate.lock().unwrap().limiter);
        (0..100).filter(|_| limiter.check().is_ok()).count()
    }

    #[test]
    fn the_most_careful_source_decides_for_its_host() {
        let host = Host::new(limits(0.02, 20));
        host.restrict(limits(0.01, 50));
        host.restrict(limits(1_000.0, 5));
        assert_eq!(at_once(&host), 5);
        host.restrict(limits(1_000.0, 50));
        assert_eq!(at_once(&host), 0);
    }
}
