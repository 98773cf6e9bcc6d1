//! Brings the bus to what was read: publishes what changed, in batches behind the source's fence.
//!
//! The fence is a message a source. An attempt replaces it before it looks at what the bus has, and each of its batches
//! replaces it again, behind the one before: once another attempt has done so, no batch of this one is stored any more,
//! however late it comes.

use super::{
    gauge::Gauge,
    rein::{Abandoned, Rein},
};
use crate::{
    bus::{Board, LastOfRun, patiently, read_board},
    diff::{Sight, Target, diff},
    metrics::Metrics,
    publish::{Author, Claim, TooLarge},
    trial::Trial,
    walk::Observer as _,
};
use oddswire_kit::{
    bus::Bus,
    log::Stored,
    publish::{Publication, PublishError},
};
use oddswire_protocol::{EventId, Feed, SourceKey, header::MSG_ID, odds::OddsConfirmed};
use std::{
    collections::BTreeSet,
    mem::take,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Images in a batch at most; the server takes 1,000 messages. More in a batch is hardly faster.
const BATCH_IMAGES: usize = 256;
/// Bytes of payload in a batch at most, but for its last image.
const BATCH_BYTES: usize = 512 << 10;
/// Between two questions whose answers do not fit together: the leader may be a new one that has not heard all yet.
const ASK_AGAIN: Duration = Duration::from_millis(20);

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
    /// The sequence of the last fence that this attempt wrote; 0: none.
    pub(super) fence: AtomicU64,
    /// How long the fence and what was confirmed are kept, when not for ever.
    pub(super) keep_for: Option<Duration>,
    /// Whether it was said that the bus takes nothing for now.
    pub(super) held_up: AtomicBool,
    /// What is off.
    pub(super) trial: Trial,
}

/// Images to be stored together, each with its event.
#[derive(Debug, Default)]
struct Batch {
    images: Vec<(EventId, Publication)>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, event: EventId, image: Publication) {
        self.bytes += image.payload.len();
        self.images.push((event, image));
    }

    fn is_full(&self) -> bool {
        self.images.len() >= BATCH_IMAGES || self.bytes >= BATCH_BYTES
    }
}

/// What became of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Published,
    Unchanged,
    /// The bus will not take it; the event is not confirmed.
    Refused,
}

/// What became of a batch.
enum Sent {
    Stored,
    /// The bus will not take it; why.
    Refused(String),
    /// The run may not publish any more.
    Abandoned,
}

impl Store {
    /// Replaces the source's fence: from then on no attempt from before writes anything. `None` when the work must end.
    pub(super) async fn take_over(&self) -> Option<()> {
        let stop = self.rein.working();
        loop {
            let before = self.last_fence(stop).await?;
            // Behind the fence that was read: whoever claims the run after this look replaces that fence later.
            self.check_claim().await;
            if !self.rein.may_publish() {
                return None;
            }
            let message = self.fence_behind(before.map_or(0, |before| before.seq));
            let tell = |why: &str| self.held_up(why);
            let sent = self.bus.publish_telling(&message, stop, tell).await;
            let seq = match sent {
                Ok(ack) => Some(ack.seq),
                // Ours after all, or somebody else's.
                Err(PublishError::WrongLast) => {
                    let last = self.last_fence(stop).await?;
                    last.filter(|last| is(last, &message)).map(|last| last.seq)
                }
                Err(PublishError::Stopped) => return None,
                Err(error) => {
                    self.refused(&error.to_string());
                    self.rein.abandon(Abandoned::Refused);
                    return None;
                }
            };
            if let Some(seq) = seq {
                self.fence.store(seq, Ordering::Relaxed);
                return Some(());
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// What the bus has of the source; `None` when the work must end.
    pub(super) async fn load(&self) -> Option<Board> {
        read_board(&self.bus, &self.source, self.rein.working()).await
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
    /// could not be published. When the work must end, no further batch is begun, and the one under way is waited for.
    pub(super) async fn settle(&self, targets: &[Target], known: &Board, sight: &Sight) -> BTreeSet<EventId> {
        let mut refused = BTreeSet::new();
        let mut batch = Batch::default();
        for target in targets {
            tokio::task::consume_budget().await;
            let event = &target.key.event_id;
            match self.image(target, known, sight) {
                Ok(None) => self.count(Settled::Unchanged),
                Ok(Some(image)) => batch.push(event.clone(), image),
                Err(error) => {
                    self.refused(&error.to_string());
                    self.count(Settled::Refused);
                    refused.insert(event.clone());
                }
            }
            if batch.is_full() {
                refused.extend(self.publish(take(&mut batch)).await);
            }
        }
        refused.extend(self.publish(batch).await);
        refused
    }

    /// The image to publish; `None` when nothing changed.
    fn image(&self, target: &Target, known: &Board, sight: &Sight) -> Result<Option<Publication>, TooLarge> {
        let before = known.get(&target.key).and_then(Option::as_deref);
        diff(before, target.seen(), sight)
            .map(|image| self.author.quote(&target.key, &image, self.claim))
            .transpose()
    }

    /// Publishes what was confirmed; whether it is there now.
    pub(super) async fn confirm(&self, confirmed: &OddsConfirmed) -> bool {
        let message = match self.author.confirmed(confirmed, self.claim) {
            Ok(message) => Publication {
                ttl: self.keep_for,
                ..message
            },
            Err(error) => {
                self.refused(&error.to_string());
                return false;
            }
        };
        match self.send(vec![message]).await {
            Sent::Stored => {
                let at = self
                    .metrics
                    .confirmed_at
                    .get_or_create(&(&self.source).into())
                    .clone();
                at.set(confirmed.confirmed_at.unix_ms() / 1000);
                true
            }
            Sent::Refused(why) => {
                self.refused(&why);
                false
            }
            Sent::Abandoned => false,
        }
    }

    /// Publishes images together. Those of a batch that the bus refuses are tried in ever smaller ones, until it is known
    /// which are at fault. Gives the events of those.
    async fn publish(&self, batch: Batch) -> BTreeSet<EventId> {
        let mut refused = BTreeSet::new();
        let mut left = vec![batch.images];
        while let Some(mut images) = left.pop() {
            if images.is_empty() || self.rein.working().is_cancelled() {
                continue;
            }
            let messages: Vec<_> = images.iter().map(|(_, image)| image.clone()).collect();
            match self.send(messages).await {
                Sent::Stored => images.iter().for_each(|_| self.count(Settled::Published)),
                Sent::Refused(why) if images.len() == 1 => {
                    self.refused(&why);
                    self.count(Settled::Refused);
                    refused.extend(images.into_iter().map(|(event, _)| event));
                }
                Sent::Refused(_) => {
                    left.push(images.split_off(images.len() / 2));
                    left.push(images);
                }
                Sent::Abandoned => return refused,
            }
        }
        refused
    }

    /// Stores messages of odds behind this attempt's fence.
    async fn send(&self, messages: Vec<Publication>) -> Sent {
        let behind = self.fence.load(Ordering::Relaxed);
        let count = messages.len() as u64;
        let mut batch = vec![self.fence_behind(behind)];
        batch.extend(messages);
        loop {
            if !self.rein.may_publish() {
                return Sent::Abandoned;
            }
            if let Some(before_odds) = self.trial.before_odds {
                before_odds();
            }
            let began = Instant::now();
            let tell = |why: &str| self.held_up(why);
            let sent = self.bus.publish_batch(&batch, self.rein.publishing(), tell).await;
            match sent {
                Ok(ack) => {
                    self.metrics.published("odds", began.elapsed(), ack.tries);
                    return self.stored(ack.seq - count, count);
                }
                Err(PublishError::WrongLast) => {}
                Err(PublishError::Stopped) => return Sent::Abandoned,
                Err(error) => return Sent::Refused(error.to_string()),
            }
            match self.last_fence(self.rein.publishing()).await {
                None => return Sent::Abandoned,
                Some(Some(last)) if is(&last, &batch[0]) => return self.stored(last.seq, count),
                Some(Some(last)) if last.seq == behind => sleep(ASK_AGAIN).await,
                Some(_) => {
                    self.rein.abandon(Abandoned::Fenced);
                    return Sent::Abandoned;
                }
            }
        }
    }

    /// A batch is there: its fence at `fence`, and so many messages behind it.
    fn stored(&self, fence: u64, count: u64) -> Sent {
        self.fence.store(fence, Ordering::Relaxed);
        self.written.fetch_max(fence + count, Ordering::Relaxed);
        Sent::Stored
    }

    fn fence_behind(&self, seq: u64) -> Publication {
        let fence = self.author.fence(self.claim, seq);
        Publication {
            expected: fence.expected.filter(|_| !self.trial.no_fence),
            ttl: self.keep_for,
            ..fence
        }
    }

    /// The source's fence, as the leader knows it; `None` when `stop` came first.
    async fn last_fence(&self, stop: &CancellationToken) -> Option<Option<Stored>> {
        let stream = self.bus.names().feed(Feed::Odds);
        let subject = self.bus.subjects().fence(&self.source);
        let read = || self.bus.leader_last_message(stream, &subject);
        patiently(stop, read).await
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
            Settled::Refused => {}
        }
        self.gauge.advance(1);
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

fn is(stored: &Stored, message: &Publication) -> bool {
    stored.header(MSG_ID) == Some(message.id.as_str())
}
