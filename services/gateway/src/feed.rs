//! Ingest: one feed of the bus, as an exact chain.
//!
//! A gateway listens to the whole feed while at least one client is interested, and to nothing otherwise. Every stored
//! message of the stream comes by, so the stream's sequence tells at once when one is missing; what is missing is read
//! from the log before anything after it is shown. A lost tail is found by the audit.

mod audit;
mod health;
mod past;

pub use audit::AuditLabel;
pub use health::FeedHealth;

use crate::{hub::Hub, metrics::Metrics, quarantine::Quarantine, trial::Trial};
use oddswire_kit::{
    bus::{Bus, Signals},
    live::Listener,
    log::{ReadError, Stored, StreamState},
    span::Span,
};
use oddswire_protocol::{
    Feed, Timestamp,
    header::{AFTER, TRACEPARENT},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// What a feed needs.
#[derive(Debug, Clone)]
pub struct FeedContext {
    /// The bus.
    pub bus: Bus,
    /// Where events go.
    pub hub: Arc<Hub>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Checks what comes.
    pub quarantine: Arc<Quarantine>,
    /// How the feeds do.
    pub health: Arc<FeedHealth>,
    /// How long a feed stays active after its last client left.
    pub linger: Duration,
    /// What is broken on purpose.
    pub trial: Trial,
}

/// What to do with a live message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Had it.
    Old,
    /// The next one.
    Next,
    /// Something between is missing.
    Hole,
}

fn link(high: u64, seq: u64) -> Link {
    if seq <= high {
        Link::Old
    } else if seq - 1 == high {
        Link::Next
    } else {
        Link::Hole
    }
}

/// Waits after activation and reconnection before the extra audits.
const AUDITS_AFTER_CHANGE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
/// Only on trial: how long after the read the subscription comes, as it might over a slow network.
const TRIAL_WINDOW: Duration = Duration::from_millis(20);
const RETRY: Duration = Duration::from_millis(250);
/// How long a message that the stream holds may take to come by live.
const UNDER_WAY: Duration = Duration::from_millis(250);
/// How long a run's last message waits for the odds that the run wrote.
const AFTER_WITHIN: Duration = Duration::from_secs(2);
/// After a wait in vain, no run waits for this long.
const AFTER_AGAIN: Duration = Duration::from_secs(10);

fn audit_interval() -> Duration {
    Duration::from_millis(rand::random_range(5_000..15_000))
}

/// One feed.
#[derive(Debug)]
pub struct FeedActor {
    feed: Feed,
    context: FeedContext,
    stream: String,
    all: String,
    epoch: u32,
    high: u64,
    /// The mark of the message at `high`, where it is known.
    high_mark: Option<u32>,
    /// Over which connection, by its number, the stream was last seen to have the history that is shown.
    seen_over: u64,
    /// Something came by that this history does not have.
    suspects: bool,
    /// Only on trial: whether the chain is yet to begin with the next message.
    unanchored: bool,
    /// When a run last waited for odds in vain.
    in_vain_at: Option<Instant>,
}

impl FeedActor {
    /// The actor of a feed.
    pub fn new(feed: Feed, context: FeedContext) -> Self {
        let stream = context.bus.names().feed(feed).to_owned();
        let all = context.bus.subjects().feed_all(feed);
        Self {
            feed,
            context,
            stream,
            all,
            epoch: 0,
            high: 0,
            high_mark: None,
            seen_over: 0,
            suspects: false,
            unanchored: false,
            in_vain_at: None,
        }
    }

    /// Serves the feed until `stop`: active while somebody is interested.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut interest = self.context.hub.interest_in(self.feed);
        loop {
            tokio::select! {
                // The hub outlives its feeds.
                found = interest.wait_for(|count| *count > 0) => if found.is_err() { return },
                () = stop.cancelled() => return,
            }
            // Not good yet, but not stale either: it counts from now.
            self.context.health.good(self.feed, self.context.bus.connects());
            tokio::select! {
                () = self.serve() => {}
                () = stop.cancelled() => return,
            }
            self.context.hub.deactivate(self.feed);
            self.context.health.idle(self.feed);
            tracing::debug!(feed = %self.feed, "nobody is interested any more");
        }
    }

    /// Activates, follows, and returns when nobody was interested for the linger time.
    async fn serve(&mut self) {
        if self.context.trial.no_barrier {
            self.unanchored = self.activate().await;
            sleep(TRIAL_WINDOW).await;
        }
        // From here on: what happened to the connection before does not matter to a new subscription.
        let mut signals = self.context.bus.signals();
        signals.mark_unchanged();
        let mut listener = loop {
            match self.context.bus.listen(self.feed).await {
                Ok(listener) => break listener,
                Err(error) => tracing::warn!(feed = %self.feed, %error, "cannot listen"),
            }
            sleep(RETRY).await;
        };
        if self.unanchored || self.activate().await {
            self.follow(&mut listener, signals).await;
        }
        listener.close().await;
    }

    /// The barrier: a read on the connection that listens. Once it is answered the server has the subscription, so
    /// everything after the sequence read comes by. Gives up when nobody is interested any more.
    async fn activate(&mut self) -> bool {
        let interest = self.context.hub.interest_in(self.feed);
        loop {
            match self.begin().await {
                Ok(last_seq) => {
                    tracing::debug!(feed = %self.feed, last_seq, "active");
                    return true;
                }
                Err(error) => tracing::debug!(feed = %self.feed, %error, "cannot activate yet"),
            }
            if *interest.borrow() == 0 {
                return false;
            }
            sleep(RETRY).await;
        }
    }

    async fn begin(&mut self) -> Result<u64, ReadError> {
        let over = self.context.bus.connects();
        let state = self.settled_tail().await?;
        // Clients may have come back to a feed that nobody followed for a moment.
        let forked = state.epoch == self.epoch && self.has_forked(&state).await?;
        self.set_life(&state, over, forked).await?;
        Ok(state.last_seq)
    }

    async fn tail(&self) -> Result<StreamState, ReadError> {
        self.context.bus.stream_state(&self.stream).await
    }

    /// The same, twice where the stream is shorter than it was: a leader that was just elected may not have applied its
    /// last messages yet.
    async fn settled_tail(&self) -> Result<StreamState, ReadError> {
        let state = self.tail().await?;
        if state.epoch != self.epoch || state.last_seq >= self.high {
            return Ok(state);
        }
        sleep(RETRY).await;
        self.tail().await
    }

    /// Shows the stream from its end on, as it was found over a connection.
    async fn set_life(&mut self, state: &StreamState, over: u64, forked: bool) -> Result<(), ReadError> {
        let marks = self.context.bus.marks(self.feed, state.last_seq).await?;
        self.high_mark = if state.last_seq == 0 {
            None
        } else {
            let last = self.context.bus.leader_message(&self.stream, state.last_seq);
            last.await?.map(|last| last.mark())
        };
        (self.epoch, self.high) = (state.epoch, state.last_seq);
        (self.seen_over, self.suspects) = (over, false);
        let hub = &self.context.hub;
        hub.activate_with(self.feed, state.epoch, state.last_seq, marks, forked);
        self.context.health.good(self.feed, over);
        Ok(())
    }

    async fn follow(&mut self, listener: &mut Listener, mut signals: watch::Receiver<Signals>) {
        let mut audits = self.context.hub.audits(self.feed);
        let mut interest = self.context.hub.interest_in(self.feed);
        let mut extra: Vec<Instant> = after_change();
        let mut regular = Instant::now() + audit_interval();
        // The last client may have left while the feed was activated.
        let mut idle_since = (*interest.borrow_and_update() == 0).then(Instant::now);
        loop {
            let next_audit = extra.first().copied().unwrap_or(regular).min(regular);
            let idle_end = idle_since.map(|at| at + self.context.linger);
            tokio::select! {
                message = listener.next() => match message {
                    Some(message) => {
                        self.look_back(&message, listener).await;
                        if !self.on_live(&message).await {
                            regular = Instant::now() + RETRY;
                        }
                    }
                    None => return,
                },
                Ok(()) = signals.changed() => {
                    extra = after_change();
                    regular = self.audit_again_at(listener).await;
                }
                Ok(()) = audits.changed() => regular = self.audit_again_at(listener).await,
                () = sleep_until(next_audit) => {
                    extra.retain(|at| *at > Instant::now());
                    regular = self.audit_again_at(listener).await;
                }
                Ok(()) = interest.changed() => {
                    idle_since = (*interest.borrow_and_update() == 0).then(Instant::now);
                }
                () = sleep_until(idle_end.unwrap_or_else(Instant::now)), if idle_end.is_some() => {
                    // Somebody may have come in this moment.
                    if *interest.borrow() == 0 {
                        return;
                    }
                    idle_since = None;
                }
            }
        }
    }

    /// Shows a live message, after what is missing before it. Tells whether that could be done: when the log cannot
    /// be read now, nothing is shown out of order, and the next message or audit tries again.
    async fn on_live(&mut self, message: &Stored) -> bool {
        let trial = self.context.trial;
        if trial.lose_live > 0.0 && rand::random_bool(trial.lose_live) {
            return true;
        }
        if self.suspects {
            return false;
        }
        match link(self.high, message.seq) {
            Link::Hole if trial.no_chain || std::mem::take(&mut self.unanchored) => {}
            Link::Old => {
                self.suspect(message);
                return true;
            }
            Link::Next => {}
            Link::Hole => {
                self.context.metrics.holes.inc();
                if self.repair(message.seq - 1).await.is_err() {
                    return false;
                }
            }
        }
        self.emit(message).await;
        true
    }

    /// Shows everything after `high` up to `to` that the stream holds.
    async fn repair(&mut self, to: u64) -> Result<(), ReadError> {
        let bus = self.context.bus.clone();
        let stream = self.stream.clone();
        let mut read = bus.read(&stream, self.all.clone(), self.high + 1, to);
        while let Some(page) = read.next_page().await? {
            for message in &page {
                self.context.metrics.repaired.inc();
                self.emit(message).await;
            }
        }
        Ok(())
    }

    /// Shows live messages up to `to` that are on their way already. Of odds the log holds last images alone: what were
    /// read there instead would lack those in between.
    async fn take_what_is_under_way(&mut self, listener: &mut Listener, to: u64) {
        let until = Instant::now() + UNDER_WAY;
        while self.high < to {
            let Ok(Some(message)) = timeout_at(until, listener.next()).await else {
                return;
            };
            self.on_live(&message).await;
        }
    }

    /// Looks whether the stream is still the same and whether its tail was missed; tells whether all is well.
    async fn audit(&mut self, listener: &mut Listener) -> bool {
        let over = self.context.bus.connects();
        let outcome = self.audit_over(over, listener).await;
        match outcome {
            Ok(()) => {
                self.context.health.good(self.feed, self.seen_over);
                // Whoever waits for the bus waits for this.
                self.context.hub.notify();
            }
            Err(ref error) => {
                self.context.metrics.audited(self.feed, "failed");
                tracing::debug!(feed = %self.feed, %error, "audit failed");
            }
        }
        outcome.is_ok()
    }

    /// Audits; tells when to do it again.
    async fn audit_again_at(&mut self, listener: &mut Listener) -> Instant {
        let good = self.audit(listener).await;
        Instant::now() + if good { audit_interval() } else { RETRY }
    }

    async fn audit_over(&mut self, over: u64, listener: &mut Listener) -> Result<(), ReadError> {
        let state = self.settled_tail().await?;
        let (epoch, last_seq) = (state.epoch, state.last_seq);
        let forked = epoch == self.epoch && self.has_forked(&state).await?;
        if epoch != self.epoch || forked {
            self.context.metrics.audited(self.feed, "reset");
            tracing::warn!(feed = %self.feed, last_seq, high = self.high, "the stream was made anew, put back from a copy, or lost its tail");
            return self.set_life(&state, over, forked).await;
        }
        (self.seen_over, self.suspects) = (over, false);
        self.take_what_is_under_way(listener, last_seq).await;
        if self.suspects {
            // Shown before the next look, what the log has would pass for the history that this gateway knows.
            return Err(ReadError::Behind);
        }
        self.repair(last_seq).await?;
        self.context.metrics.audited(self.feed, "good");
        Ok(())
    }

    async fn emit(&mut self, message: &Stored) {
        let frame = self.context.quarantine.admit(self.feed, message);
        let _span = frame.as_ref().map(|frame| {
            let name = frame.envelope.message_type().as_str();
            Span::receive(name, message.header(TRACEPARENT))
        });
        if let Some(frame) = &frame {
            let after = message.header(AFTER).filter(|_| frame.terminal);
            if let Some(after) = after.and_then(|text| text.parse().ok()) {
                self.wait_for_odds(after).await;
            }
            self.context.metrics.ingested(frame, Timestamp::now());
        }
        self.witness(message);
        // A hole that was proved empty is passed here.
        self.high = message.seq;
        self.context.hub.emit(self.feed, message.seq, frame);
    }

    /// A run's last message is shown after the odds that the run wrote, when this gateway shows odds at all. Where odds
    /// lag, runs do not wait for each of them again and again.
    async fn wait_for_odds(&mut self, after: u64) {
        let hub = &self.context.hub;
        let there = || hub.view(Feed::Odds).is_none_or(|odds| odds.high >= after);
        let mut changes = hub.changes();
        if there() {
            return;
        }
        let in_vain_lately = self.in_vain_at.is_some_and(|at| at.elapsed() < AFTER_AGAIN);
        let waited = async { while !there() && changes.changed().await.is_ok() {} };
        if in_vain_lately || timeout(AFTER_WITHIN, waited).await.is_err() {
            self.context.metrics.overtaken.inc();
            self.in_vain_at.get_or_insert_with(Instant::now);
        } else {
            self.in_vain_at = None;
        }
        if self.in_vain_at.is_some_and(|at| at.elapsed() >= AFTER_AGAIN) {
            self.in_vain_at = None;
        }
    }
}

fn after_change() -> Vec<Instant> {
    AUDITS_AFTER_CHANGE
        .iter()
        .map(|wait| Instant::now() + *wait)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_message_is_old_next_or_behind_a_hole() {
        assert_eq!(link(5, 5), Link::Old);
        assert_eq!(link(5, 1), Link::Old);
        assert_eq!(link(5, 6), Link::Next);
        assert_eq!(link(5, 7), Link::Hole);
        assert_eq!(link(0, 1), Link::Next);
    }
}
