//! A host, whichever sources ask it: how many at once, how fast, whether at all.

use super::{
    Error,
    breaker::{Breaker, Pass},
    lock,
    pace::Pace,
    robots::RobotsTxt,
    slots::{Slot, Slots},
};
use crate::source::{BreakerRule, Limits};
use oddswire_protocol::SourceKey;
use std::{collections::BTreeMap, sync::Mutex, time::Duration};
use tokio::time::{Instant, sleep_until};

/// A host. The most careful of its sources decides for all.
#[derive(Debug)]
pub(super) struct Host {
    origin: String,
    sources: Mutex<BTreeMap<SourceKey, Manners>>,
    slots: Slots,
    pace: Mutex<Pace>,
    breaker: Breaker,
    pub(super) robots: RobotsTxt,
}

/// What a source says about how its host is to be treated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Manners {
    pub(super) limits: Limits,
    pub(super) breaker: BreakerRule,
}

/// Leave to ask the host once. It holds one of the host's slots.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    host: &'a Host,
    _slot: Slot<'a>,
    pass: Pass<'a>,
}

impl Host {
    pub(super) fn new(origin: String, manners: Manners) -> Self {
        Self {
            origin,
            sources: Mutex::default(),
            slots: Slots::new(manners.limits.concurrency),
            pace: Mutex::new(Pace::new(manners.limits)),
            breaker: Breaker::new(manners.breaker),
            robots: RobotsTxt::default(),
        }
    }

    /// Counts a source in, with these manners in the place of those that it had.
    pub(super) fn join(&self, source: &SourceKey, manners: Manners) {
        let mut sources = lock(&self.sources);
        sources.insert(source.clone(), manners);
        self.obey(&sources);
    }

    /// Counts a source out that has moved to another host.
    pub(super) fn leave(&self, source: &SourceKey) {
        let mut sources = lock(&self.sources);
        sources.remove(source);
        self.obey(&sources);
    }

    fn obey(&self, sources: &BTreeMap<SourceKey, Manners>) {
        if let Some(manners) = sources.values().copied().reduce(Manners::stricter) {
            self.slots.limit(manners.limits.concurrency);
            lock(&self.pace).limit(manners.limits);
            self.breaker.rule(manners.breaker);
        }
    }

    /// Waits until the next request may go out, and counts it. `on_wait` hears if that takes long because the host
    /// is not well.
    ///
    /// # Errors
    /// [`Error::Unwell`] while the host is known to be down.
    ///
    /// # Cancel safety
    /// Dropping it counts nothing.
    pub(super) async fn turn(
        &self,
        on_wait: &(dyn Fn(&Error, Duration) + Send + Sync),
    ) -> Result<Turn<'_>, Error> {
        let slot = self.slots.take().await;
        let pass = self.breaker.pass(&self.origin, on_wait).await?;
        loop {
            // A pause may have grown while this waited.
            let Err(at) = self.take_pace() else {
                return Ok(Turn {
                    host: self,
                    _slot: slot,
                    pass,
                });
            };
            sleep_until(at).await;
        }
    }

    fn take_pace(&self) -> Result<(), Instant> {
        lock(&self.pace).take(Instant::now())
    }

    /// The pause between two requests as it is now.
    pub(super) fn delay(&self) -> Duration {
        lock(&self.pace).delay()
    }

    /// Whether it is left alone: 0 no, 1 a single request tries it, 2 yes.
    pub(super) fn breaker_state(&self) -> i64 {
        self.breaker.state()
    }

    /// Holds all requests for so long.
    pub(super) fn pause(&self, pause: Duration) {
        lock(&self.pace).pause(Instant::now() + pause);
    }

    /// Asks no faster than robots.txt says.
    pub(super) fn crawl_delay(&self, delay: Duration) {
        lock(&self.pace).crawl_delay(delay);
    }
}

impl Turn<'_> {
    /// Says how long the host took to answer, and whether that was a success.
    pub(super) fn took(&self, latency: Duration, success: bool) {
        lock(&self.host.pace).learn(latency, success);
    }

    /// Ends the turn. An error counts against the host if the host is to blame.
    pub(super) fn end(self, error: Option<&Error>) {
        self.pass.settle(error.filter(|error| error.is_hosts()));
    }
}

impl Manners {
    fn stricter(self, other: Self) -> Self {
        let breaker = match (self.breaker.failures, other.breaker.failures) {
            (0, _) => other.breaker,
            (_, 0) => self.breaker,
            (ours, theirs) => BreakerRule {
                failures: ours.min(theirs),
                open_for: self.breaker.open_for.max(other.breaker.open_for),
            },
        };
        Self {
            limits: self.limits.stricter(other.limits),
            breaker,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manners(requests_per_second: f64, burst: u32, concurrency: u32, failures: u32) -> Manners {
        Manners {
            limits: Limits {
                requests_per_second,
                burst,
                concurrency,
                ..Limits::default()
            },
            breaker: BreakerRule {
                failures,
                ..BreakerRule::default()
            },
        }
    }

    fn key(key: &str) -> SourceKey {
        key.parse().unwrap()
    }

    fn at_once(host: &Host) -> usize {
        let start = Instant::now();
        let mut turns = Vec::new();
        let none = |_: &Error, _| ();
        while let Some(turn) = futures_util::FutureExt::now_or_never(host.turn(&none)) {
            turns.push(turn.unwrap());
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        turns.len()
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_careful_source_decides_for_its_host_until_it_leaves() {
        let host = Host::new("h".into(), manners(1.0, 20, 50, 0));
        host.join(&key("one"), manners(1.0, 20, 50, 0));
        host.join(&key("two"), manners(1_000.0, 30, 5, 7));
        assert_eq!(at_once(&host), 5);
        host.join(&key("two"), manners(1_000.0, 10, 50, 7));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(at_once(&host), 10);
        host.leave(&key("two"));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(at_once(&host), 20);
        assert_eq!(
            manners(1.0, 1, 1, 0)
                .stricter(manners(1.0, 1, 1, 7))
                .breaker
                .failures,
            7
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_host_asks_for_holds_all_requests() {
        let host = Host::new("h".into(), manners(1_000.0, 9, 9, 0));
        let start = Instant::now();
        host.pause(Duration::from_secs(5));
        host.pause(Duration::from_secs(2));
        host.turn(&|_, _| ()).await.unwrap().end(None);
        host.turn(&|_, _| ()).await.unwrap().end(None);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
