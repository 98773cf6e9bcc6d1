//! Brings the bus to what was read: publishes what changed, each key behind its last image and under the claim.

use super::{
    gauge::Gauge,
    rein::{Abandoned, Rein},
};
use crate::{
    bus::{Board, LastOfRun, Written, known, patiently, read_board},
    diff::{Known, QuoteKey, Sight, Target, diff},
    metrics::Metrics,
    publish::{Author, Claim},
    trial::Trial,
    walk::Observer as _,
};
use futures_util::{StreamExt as _, stream};
use oddswire_kit::{
    bus::Bus,
    publish::{Publication, PublishError},
};
use oddswire_protocol::{EventId, Feed, SourceKey, odds::OddsConfirmed};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Keys that are written at once; each has one message under way at most.
const KEYS_AT_ONCE: usize = 64;

/// What one attempt at a run writes with.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) bus: Bus,
    pub(super) source: SourceKey,
    pub(super) author: Arc<Author>,
    pub(super) claim: Claim,
    pub(super) gauge: Arc<Gauge>,
    pub(super) rein: Arc<Rein>,
    pub(super) metrics: Arc<Metrics>,
    /// The greatest sequence of ODDS that this run wrote; 0: none.
    pub(super) written: Arc<AtomicU64>,
    /// Whether it was said that the bus takes nothing for now.
    pub(super) held_up: AtomicBool,
    /// What is off.
    pub(super) trial: Trial,
}

/// What became of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Published,
    Unchanged,
    /// The bus will not take it; the event is not confirmed.
    Refused,
    /// The run may not publish any more.
    Abandoned,
}

/// What became of one message.
enum Sent {
    Stored,
    /// Somebody with a smaller fence, or nobody, wrote last: this is there now.
    Behind(Option<oddswire_kit::log::Stored>),
    Refused,
    Abandoned,
}

impl Store {
    /// What the bus has of the source; `None` when the work must end.
    pub(super) async fn load(&self) -> Option<Board> {
        read_board(&self.bus, &self.source, 0, self.rein.working()).await
    }

    /// Asks the leader whether the run is still this attempt's, and gives it up if not. A worker that was overtaken
    /// while it read the site learns it here, before it writes; from here on the fence is what holds.
    pub(super) async fn check_claim(&self) {
        let key = self.author.run_key();
        let read = || LastOfRun::read(&self.bus, &key);
        let Some(Some(last)) = patiently(self.rein.working(), read).await else {
            return;
        };
        if last.terminal {
            self.rein.abandon(Abandoned::Over);
        } else if last.image.is_some_and(|image| image.attempt > self.claim.attempt) {
            self.rein.abandon(Abandoned::Fenced);
        }
    }

    /// Compares every target with what the bus has, and publishes what changed. Gives the events of which something
    /// could not be published. When the work must end, no further key is begun, and those under way are waited for.
    pub(super) async fn settle(
        &self,
        targets: Vec<Target>,
        known: &BTreeMap<QuoteKey, Known>,
        sight: &Sight,
    ) -> BTreeSet<EventId> {
        let settling = stream::iter(targets)
            .take_until(self.rein.working().cancelled())
            .map(|target| async move {
                let settled = self
                    .settle_one(&target, known.get(&target.key).cloned(), sight)
                    .await;
                (target, settled)
            })
            .buffer_unordered(KEYS_AT_ONCE);
        let mut settling = std::pin::pin!(settling);
        let mut refused = BTreeSet::new();
        while let Some((target, settled)) = settling.next().await {
            self.count(settled);
            if settled == Settled::Refused {
                refused.insert(target.key.event_id);
            }
        }
        refused
    }

    /// Looks at what was written to the source's keys since `floor`, and puts right what an older attempt wrote
    /// meanwhile. Gives the events of which something could not be published.
    pub(super) async fn read_back(&self, targets: &[Target], floor: u64, sight: &Sight) -> BTreeSet<EventId> {
        let Some(since) = read_board(&self.bus, &self.source, floor, self.rein.working()).await else {
            return BTreeSet::new();
        };
        let mut foreign = since.quotes;
        foreign.retain(|_, known| known.fence != self.claim.fence);
        if foreign.values().any(|known| known.fence > self.claim.fence) {
            self.rein.abandon(Abandoned::Fenced);
        }
        if foreign.is_empty() || self.rein.abandoned().is_some() {
            return BTreeSet::new();
        }
        tracing::warn!(source = %self.source, keys = foreign.len(), "another attempt wrote odds meanwhile");
        let again: Vec<Target> = targets
            .iter()
            .filter(|target| foreign.contains_key(&target.key))
            .cloned()
            .collect();
        self.settle(again, &foreign, sight).await
    }

    /// Publishes what was confirmed, behind `before`; whether it is there now.
    pub(super) async fn confirm(&self, confirmed: &OddsConfirmed, before: Option<Written>) -> bool {
        let mut expected = before.map_or(0, |written| written.seq);
        loop {
            let message = match self.author.confirmed(confirmed, self.claim, expected) {
                Ok(message) => message,
                Err(error) => {
                    self.refused(&error.to_string());
                    return false;
                }
            };
            match self.send(&message).await {
                Sent::Stored => {
                    let seconds = confirmed.confirmed_at.unix_ms() / 1000;
                    let gauge = self
                        .metrics
                        .confirmed_at
                        .get_or_create(&(&self.source).into())
                        .clone();
                    gauge.set(seconds);
                    return true;
                }
                Sent::Behind(stored) => expected = stored.map_or(0, |stored| stored.seq),
                Sent::Refused | Sent::Abandoned => return false,
            }
        }
    }

    async fn settle_one(&self, target: &Target, mut known: Option<Known>, sight: &Sight) -> Settled {
        loop {
            let before = known.as_ref().and_then(|known| known.image.as_deref());
            let Some(image) = diff(before, target.seen(), sight) else {
                return Settled::Unchanged;
            };
            let expected = known.as_ref().map_or(0, |known| known.seq);
            let message = match self.author.quote(&target.key, &image, self.claim, expected) {
                Ok(message) if self.trial.no_fence => Publication {
                    expected: None,
                    ..message
                },
                Ok(message) => message,
                Err(error) => {
                    self.refused(&error.to_string());
                    return Settled::Refused;
                }
            };
            match self.send(&message).await {
                Sent::Stored => return Settled::Published,
                Sent::Behind(stored) => known = stored.as_ref().map(self::known),
                Sent::Refused => return Settled::Refused,
                Sent::Abandoned => return Settled::Abandoned,
            }
        }
    }

    /// Publishes one message of odds. When it is not the next of its subject, tells whose the last one is.
    async fn send(&self, message: &Publication) -> Sent {
        if !self.rein.may_publish() {
            return Sent::Abandoned;
        }
        let stored = |seq| {
            self.written.fetch_max(seq, Ordering::Relaxed);
            Sent::Stored
        };
        let began = Instant::now();
        let tell = |why: &str| self.held_up(why);
        let sent = self
            .bus
            .publish_telling(message, self.rein.publishing(), tell)
            .await;
        match sent {
            Ok(ack) => {
                self.metrics.published("odds", began.elapsed(), ack.tries);
                return stored(ack.seq);
            }
            Err(PublishError::WrongLast) => {}
            Err(PublishError::Stopped) => return Sent::Abandoned,
            Err(error) => {
                self.refused(&error.to_string());
                return Sent::Refused;
            }
        }
        let stream = self.bus.names().feed(Feed::Odds);
        let read = || self.bus.leader_last_message(stream, &message.subject);
        let Some(last) = patiently(self.rein.publishing(), read).await else {
            return Sent::Abandoned;
        };
        match last.as_ref().map(Written::of) {
            Some(written) if written.id == message.id => stored(written.seq),
            Some(written) if written.fence > self.claim.fence => {
                self.rein.abandon(Abandoned::Fenced);
                Sent::Abandoned
            }
            _ => {
                // The leader may be a new one that has not heard all yet: do not ask it in a tight loop.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Sent::Behind(last)
            }
        }
    }

    fn count(&self, settled: Settled) {
        let source = (&self.source).into();
        match settled {
            Settled::Published => {
                self.gauge.published();
                self.metrics.odds_published.get_or_create(&source).inc();
            }
            Settled::Unchanged => {
                self.metrics.odds_unchanged.get_or_create(&source).inc();
            }
            Settled::Refused | Settled::Abandoned => {}
        }
        if settled != Settled::Abandoned {
            self.gauge.advance(1);
        }
    }

    /// The bus does not take odds for now, and the run waits: it says so once, and goes on as soon as the bus does.
    fn held_up(&self, why: &str) {
        if self.held_up.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::error!(source = %self.source, why, "the bus takes no odds for now: the run waits");
        self.metrics.refuse("odds_for_now");
        self.gauge.fault(crate::progress::fault(
            oddswire_protocol::progress::ErrorType::Publish,
            format!("The bus takes no odds for now: {why}. The run waits."),
            true,
        ));
    }

    fn refused(&self, why: &str) {
        tracing::error!(source = %self.source, why, "the bus does not take an event of odds");
        self.metrics.refuse("odds");
        self.gauge.fault(crate::progress::fault(
            oddswire_protocol::progress::ErrorType::Publish,
            format!("The bus does not take an image: {why}."),
            false,
        ));
    }
}
