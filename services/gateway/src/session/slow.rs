//! Clients that do not get every message: they asked for less, or they are too slow.

use super::{End, Session, Transport};
use crate::{
    frame::Frame,
    held::{Held, next_tick},
    hub::PerFeed,
};
use oddswire_protocol::{Cursor, Timestamp, cursor::Position};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How a session paces what it sends.
#[derive(Debug)]
pub(super) struct Pace {
    /// At most one message a key in this time; zero: all of them.
    conflate: Duration,
    held: Arc<Held>,
    /// When what is held is due.
    due: Option<Instant>,
    flushed_at: Option<Instant>,
    /// Since when the client is too slow.
    slow_since: Option<Timestamp>,
    /// Whether it was told that it is caught up from the log.
    told: bool,
    /// When the session was last live.
    live_at: Timestamp,
}

impl Pace {
    pub(super) fn new(conflate: Duration) -> Self {
        Self {
            conflate,
            held: Arc::default(),
            due: None,
            flushed_at: None,
            slow_since: None,
            told: false,
            live_at: Timestamp::now(),
        }
    }

    pub(super) fn conflate(&self) -> Duration {
        self.conflate
    }

    fn conflates(&self) -> bool {
        !self.conflate.is_zero()
    }

    /// The last interval asked for wins; what waits keeps its tick.
    pub(super) fn set_conflate(&mut self, conflate: Duration) {
        self.conflate = conflate;
        if let Some(due) = self.due.as_mut() {
            *due = (*due).min(Instant::now() + conflate);
        }
    }

    /// When there is something to send.
    pub(super) fn flush_at(&self) -> Option<Instant> {
        self.due
    }

    /// The positions before the oldest message that waits.
    pub(super) fn held_before(&self) -> Option<&PerFeed<Option<Position>>> {
        self.held.before()
    }

    /// Whether nothing waits, and the next tick is an interval away from what was sent last.
    pub(super) fn is_at_rest(&self) -> bool {
        let now = Instant::now();
        let far = self
            .flushed_at
            .is_none_or(|at| self.conflate.is_zero() || at + self.conflate <= next_tick(self.conflate, now));
        self.held.is_empty() && self.slow_since.is_none() && far
    }

    /// Drops what waits: the client begins anew.
    pub(super) fn forget(&mut self) {
        self.held = Arc::default();
        self.due = None;
    }

    /// Goes on with what waited elsewhere.
    pub(super) fn take_over(&mut self, held: Arc<Held>, slow_since: Option<Timestamp>) {
        self.due = (!held.is_empty()).then(|| next_tick(self.conflate, Instant::now()));
        self.held = held;
        self.live_at = slow_since.unwrap_or_else(Timestamp::now);
    }

    fn hold(&mut self, frame: Arc<Frame>, before: &PerFeed<Option<Position>>) {
        Arc::make_mut(&mut self.held).replace(frame, before);
        if self.due.is_none() {
            let not_before = self.flushed_at.map(|at| at + self.conflate);
            let tick = next_tick(self.conflate, Instant::now());
            self.due = Some(not_before.map_or(tick, |at| at.max(tick)));
        }
    }
}

impl<T: Transport> Session<T> {
    /// Looks whether more waits for the client than its budget.
    pub(super) fn notice_backlog(&mut self) {
        // Who is still owed what it asked for is no slow client.
        let live = self.owed.is_empty() && self.pace.slow_since.is_none();
        if live
            && !self.pace.conflates()
            && self.shared.hub.backlog_bytes(&self.place) > self.shared.budget_bytes
        {
            self.pace.slow_since = Some(self.pace.live_at);
        }
    }

    /// The ring does not reach back to where a client is that was live: tells it so, once.
    pub(super) async fn notice_overtaken(&mut self) -> Result<(), End> {
        let here = *self.place.positions();
        self.flush_held(&here).await?;
        if self.owed.is_empty() && !self.pace.told {
            self.pace.told = true;
            self.send_lagging(0, self.pace.live_at).await?;
        }
        Ok(())
    }

    /// Sends frames of the ring, or has them wait. `before` is the place before the first of them.
    pub(super) async fn take(
        &mut self,
        frames: &[(Arc<Frame>, PerFeed<Option<Position>>)],
        mut before: PerFeed<Option<Position>>,
    ) -> Result<(), End> {
        if self.pace.conflates() {
            for (frame, after) in frames {
                self.take_conflated(frame, &before, after).await?;
                before = *after;
            }
            return Ok(());
        }
        let slow_since = self.pace.slow_since;
        // An image that is left out is followed by a newer one: positions stay true.
        let left_out = |frame: &Frame| slow_since.is_some() && frame.is_superseded();
        let kept: Vec<_> = frames.iter().filter(|(frame, _)| !left_out(frame)).collect();
        let conflated = (frames.len() - kept.len()) as u64;
        if let (Some(since), 1..) = (slow_since, conflated) {
            self.shared.metrics.conflated.inc_by(conflated);
            self.send_lagging(conflated, since).await?;
        }
        for (frame, after) in kept {
            let cursor = self.pinned.unwrap_or_else(|| self.cursor_at(after));
            self.deliver(frame, Some(cursor)).await?;
        }
        Ok(())
    }

    async fn take_conflated(
        &mut self,
        frame: &Arc<Frame>,
        before: &PerFeed<Option<Position>>,
        after: &PerFeed<Option<Position>>,
    ) -> Result<(), End> {
        if frame.terminal {
            // It goes at once. While older messages wait it has no position: that would be past theirs.
            if !self.pace.held.is_empty() {
                Arc::make_mut(&mut self.pace.held).overtake(&frame.key);
            }
            let alone = self.pace.held.is_empty();
            let cursor = alone.then(|| self.pinned.unwrap_or_else(|| self.cursor_at(after)));
            return self.deliver(frame, cursor).await;
        }
        // Before it is copied, if it is shared: nobody has more than the budget to himself.
        if self.pace.held.bytes() as u64 > self.shared.budget_bytes {
            self.flush_held(before).await?;
        }
        self.pace.hold(Arc::clone(frame), before);
        Ok(())
    }

    /// The session has all there is: sends what waits, where it is time.
    pub(super) async fn reach_tail(&mut self) -> Result<(), End> {
        let is_due = self.pace.due.is_some_and(|due| due <= Instant::now());
        if is_due || !self.owed.is_empty() || !self.pace.conflates() {
            let here = *self.place.positions();
            self.flush_held(&here).await?;
        }
        self.pace.slow_since = None;
        self.pace.told = false;
        self.pace.live_at = Timestamp::now();
        Ok(())
    }

    /// Sends what waits; the last of it carries the position, which is that of a client that has it all.
    async fn flush_held(&mut self, here: &PerFeed<Option<Position>>) -> Result<(), End> {
        let due = self.pace.due.take();
        if self.pace.held.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        // The rhythm is that of the ticks, not of the moments at which they are noticed.
        self.pace.flushed_at = Some(due.map_or(now, |due| due.min(now)));
        let released = std::mem::take(&mut self.pace.held).released();
        self.shared.metrics.conflated.inc_by(released.conflated);
        // What was unsubscribed meanwhile is not sent any more.
        let wanted = |frame: &Arc<Frame>| self.topics.iter().any(|topic| topic.matches(&frame.key));
        let frames: Vec<Arc<Frame>> = released.frames.into_iter().filter(wanted).collect();
        let position: Cursor = self.pinned.unwrap_or_else(|| self.cursor_at(here));
        for (at, frame) in frames.iter().enumerate() {
            let is_last = at + 1 == frames.len();
            self.deliver(frame, is_last.then_some(position)).await?;
        }
        Ok(())
    }
}
