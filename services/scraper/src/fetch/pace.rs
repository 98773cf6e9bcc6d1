//! How fast a host is asked: a rate with bursts, never faster than robots.txt or the host itself bears.

use crate::source::Limits;
use std::time::Duration;
use tokio::time::Instant;

/// When the next request to a host may go out.
///
/// The delay between requests is at least what the definitions and `Crawl-delay` say. Above that it follows the
/// host's latency by the rule of Scrapy's AutoThrottle: towards latency / `target_concurrency`, up at once, down by
/// half of the way, and never down after an error, since errors are often quick.
#[derive(Debug)]
pub(super) struct Pace {
    limits: Limits,
    crawl_delay: Duration,
    delay: Duration,
    /// When the last request would have gone out if no burst were allowed.
    last: Option<Instant>,
    /// Until then nothing goes out, because the host asked for that.
    paused_until: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            crawl_delay: Duration::ZERO,
            delay: limits.interval(),
            last: None,
            paused_until: None,
        }
    }

    /// The pause between two requests as it is now.
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    /// Goes by these limits from now on.
    pub(super) fn limit(&mut self, limits: Limits) {
        // Unless the host was found to be slow the delay is the least one, and stays that.
        let at_ease = self.delay <= self.floor();
        self.limits = limits;
        self.bound(at_ease);
    }

    /// Goes by what robots.txt says from now on.
    pub(super) fn crawl_delay(&mut self, crawl_delay: Duration) {
        let at_ease = self.delay <= self.floor();
        self.crawl_delay = crawl_delay;
        self.bound(at_ease);
    }

    /// Holds all requests for so long, unless they are held for longer already.
    pub(super) fn pause(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// Counts a request that goes out now, or says when to ask again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Err(until);
        }
        let next = self.last.map_or(now, |last| now.max(last + self.delay));
        let earliest = next.checked_sub(self.tolerance()).unwrap_or(next);
        if earliest > now {
            return Err(earliest);
        }
        self.last = Some(next);
        Ok(())
    }

    /// Learns from an answer, or from the want of one.
    pub(super) fn learn(&mut self, latency: Duration, success: bool) {
        if !self.limits.adaptive {
            return;
        }
        let target = latency.div_f64(self.limits.target_concurrency());
        let delay = target.max((self.delay + target) / 2);
        let delay = delay.min(self.limits.max_delay).max(self.floor());
        if success || delay > self.delay {
            self.delay = delay;
        }
    }

    /// Requests that may go out at once after a pause; one alone while the host is treated with care.
    fn tolerance(&self) -> Duration {
        if self.delay > self.limits.interval() {
            return Duration::ZERO;
        }
        self.limits.interval() * (self.limits.burst - 1)
    }

    fn floor(&self) -> Duration {
        self.limits.interval().max(self.crawl_delay)
    }

    fn bound(&mut self, at_ease: bool) {
        let delay = if at_ease || !self.limits.adaptive {
            Duration::ZERO
        } else {
            self.delay.min(self.limits.max_delay)
        };
        self.delay = delay.max(self.floor());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn limits(requests_per_second: f64, burst: u32) -> Limits {
        Limits {
            requests_per_second,
            burst,
            concurrency: 2,
            ..Limits::default()
        }
    }

    /// After how many milliseconds each of so many requests goes out if all wait from the start.
    fn times(pace: &mut Pace, start: Instant, requests: usize) -> Vec<u128> {
        let mut now = start;
        let mut times = Vec::new();
        while times.len() < requests {
            match pace.take(now) {
                Ok(()) => times.push((now - start).as_millis()),
                Err(at) => {
                    assert!(at > now);
                    now = at;
                }
            }
        }
        times
    }

    #[test]
    fn a_burst_goes_out_at_once_and_the_rest_at_the_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(limits(10.0, 3));
        assert_eq!(times(&mut pace, start, 5), [0, 0, 0, 100, 200]);
        // Idle time earns a burst again, and no more than one.
        assert_eq!(times(&mut pace, start + 60_000 * MS, 4), [0, 0, 0, 100]);
    }

    #[test]
    fn the_delay_goes_to_latency_by_concurrency_up_at_once_and_down_by_half() {
        let mut pace = Pace::new(limits(20.0, 4));
        pace.learn(20 * MS, true);
        assert_eq!(pace.delay, 50 * MS, "the rate is the floor");
        pace.learn(800 * MS, true);
        assert_eq!(pace.delay, 400 * MS);
        assert_eq!(
            times(&mut pace, Instant::now(), 3),
            [0, 400, 800],
            "a slow host gets no burst"
        );
        pace.learn(200 * MS, true);
        assert_eq!(pace.delay, 250 * MS);
        for _ in 0..20 {
            pace.learn(10 * MS, true);
        }
        assert_eq!(pace.delay, 50 * MS);
    }

    #[test]
    fn errors_never_lower_the_delay_but_may_raise_it() {
        let mut pace = Pace::new(limits(20.0, 1));
        pace.learn(800 * MS, true);
        pace.learn(MS, false);
        assert_eq!(pace.delay, 400 * MS);
        pace.learn(1_000 * MS, false);
        assert_eq!(pace.delay, 500 * MS);
    }

    #[test]
    fn the_delay_has_an_end_and_can_be_switched_off() {
        let mut pace = Pace::new(limits(20.0, 1));
        pace.learn(600_000 * MS, true);
        assert_eq!(pace.delay, Limits::default().max_delay);
        let mut pace = Pace::new(Limits {
            adaptive: false,
            ..limits(20.0, 1)
        });
        pace.learn(10_000 * MS, true);
        assert_eq!(pace.delay, 50 * MS);
    }

    #[test]
    fn what_robots_txt_asks_for_is_the_least_delay() {
        let start = Instant::now();
        let mut pace = Pace::new(limits(1_000.0, 100));
        // The request for robots.txt itself.
        assert_eq!(times(&mut pace, start, 1), [0]);
        pace.crawl_delay(2_000 * MS);
        assert_eq!(times(&mut pace, start, 2), [2_000, 4_000]);
        pace.learn(MS, true);
        assert_eq!(pace.delay, 2_000 * MS);
        pace.crawl_delay(Duration::ZERO);
        assert_eq!(pace.delay, MS);
    }

    #[test]
    fn other_limits_count_at_once_and_leave_what_was_learnt() {
        let mut pace = Pace::new(limits(10.0, 1));
        pace.limit(limits(20.0, 1));
        assert_eq!(pace.delay, 50 * MS);
        pace.learn(800 * MS, true);
        pace.limit(limits(10.0, 1));
        assert_eq!(pace.delay, 400 * MS);
        pace.limit(limits(1.0, 1));
        assert_eq!(pace.delay, 1_000 * MS);
    }

    #[test]
    fn a_pause_holds_everything_and_the_longest_one_counts() {
        let start = Instant::now();
        let mut pace = Pace::new(limits(10.0, 3));
        pace.pause(start + 5_000 * MS);
        pace.pause(start + 2_000 * MS);
        assert_eq!(times(&mut pace, start, 2), [5_000, 5_000]);
    }
}
