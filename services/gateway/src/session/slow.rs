//! Clients that do not get every message: they asked for less, or they are too slow.

use super::{End, Session, Transport, catch_up::wanted};
use crate::{
    frame::Frame,
    held::{Held, next_tick},
    hub::{Lap, PerFeed, Step},
};
use oddswire_protocol::{Cursor, Feed, Timestamp, cursor::Position};
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
    /// Feeds that the client follows from a position of its own, and of which it is not up to date yet. It asked for what
    /// changed since, and gets the newest of each key.
    catching_up: PerFeed<bool>,
    /// The lap of the ring that is under way, and when it began.
    lap: Option<(Lap, Timestamp)>,
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
            catching_up: PerFeed::default(),
            lap: None,
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

    /// The client goes on in a feed from a position that may lie far behind.
    pub(super) fn catch_up(&mut self, feed: Feed) {
        self.catching_up[feed.index()] = true;
    }

    fn catches_up(&self) -> bool {
        self.catching_up.contains(&true)
    }

    /// The client was put elsewhere, or is owed more than before: what it has at the end of the lap under way is not all
    /// that it is owed.
    pub(super) fn end_lap(&mut self) {
        self.lap = None;
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
    /// The lap under way, or a new one. What is left out of it is decided here, for all of it.
    pub(super) async fn lap(&mut self) -> Result<Lap, End> {
        if let Some((lap, _)) = self.pace.lap {
            return Ok(lap);
        }
        let catches_up = self.pace.catches_up();
        if catches_up {
            // What waits for its tick comes before what the client catches up with.
            let here = *self.place.positions();
            self.flush_held(&here).await?;
        } else if !self.pace.conflates()
            && self.pace.slow_since.is_none()
            && self.shared.hub.backlog_bytes(&self.place) > self.shared.budget_bytes
        {
            self.pace.slow_since = Some(self.pace.live_at);
        }
        let is_slow = self.pace.slow_since.is_some();
        let mut compact = PerFeed::default();
        if !self.shared.trial.no_compaction {
            let catching_up = self.pace.catching_up;
            compact[Feed::Odds.index()] = catching_up[Feed::Odds.index()] || is_slow;
            // Every event of a run is owed, unless the client asked for fewer.
            compact[Feed::Run.index()] = catching_up[Feed::Run.index()] && self.pace.conflates();
        }
        Ok(self.shared.hub.lap(compact))
    }

    /// A step was taken in this lap.
    pub(super) fn go_on_in(&mut self, lap: Lap) {
        self.pace.lap.get_or_insert_with(|| (lap, Timestamp::now()));
    }

    /// The ring does not reach back to where a client is that was live, or that was on its way: tells it so, once.
    pub(super) async fn notice_overtaken(&mut self) -> Result<(), End> {
        let here = *self.place.positions();
        self.flush_held(&here).await?;
        let on_its_way = self.pace.lap.take().is_some();
        if (on_its_way || !self.pace.catches_up()) && !self.pace.told {
            self.pace.told = true;
            self.pace.slow_since.get_or_insert(self.pace.live_at);
            self.send_lagging(0, self.pace.live_at).await?;
        }
        Ok(())
    }

    /// Sends frames of the ring, or has them wait. `before` is the place before the first of them.
    pub(super) async fn take(
        &mut self,
        step: &Step,
        mut before: PerFeed<Option<Position>>,
    ) -> Result<(), End> {
        let catches_up = self.pace.catches_up();
        if self.pace.conflates() && !catches_up {
            for (frame, after) in &step.frames {
                self.take_conflated(frame, &before, after).await?;
                before = *after;
            }
            return Ok(());
        }
        self.shared.metrics.conflated.inc_by(step.left_out);
        if let (Some(since), 1..) = (self.pace.slow_since, step.left_out) {
            self.send_lagging(step.left_out, since).await?;
        }
        for (frame, after) in &step.frames {
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
            // It goes at once, after what waits of its source's odds: the run wrote them. While older messages wait
            // they have no position: that would be past theirs.
            let mut first = Vec::new();
            if !self.pace.held.is_empty() {
                first = Arc::make_mut(&mut self.pace.held).end_run(frame, self.shared.trial);
            }
            first.retain(|frame| wanted(&self.topics, frame));
            for frame in &first {
                self.deliver(frame, None).await?;
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

    /// The session has all that there was when its lap began: sends what waits, where it is time.
    pub(super) async fn finish_lap(&mut self) -> Result<(), End> {
        let is_due = self.pace.due.is_some_and(|due| due <= Instant::now());
        if is_due || !self.owed.is_empty() || !self.pace.conflates() {
            let here = *self.place.positions();
            self.flush_held(&here).await?;
        }
        if self.pace.catches_up() {
            self.pace.catching_up = PerFeed::default();
            self.pace.flushed_at = Some(Instant::now());
        }
        self.pace.slow_since = None;
        self.pace.told = false;
        self.pace.live_at = self
            .pace
            .lap
            .take()
            .map_or_else(Timestamp::now, |(_, began)| began);
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
        let frames = released.frames.into_iter();
        let frames: Vec<Arc<Frame>> = frames.filter(|frame| wanted(&self.topics, frame)).collect();
        let position: Cursor = self.pinned.unwrap_or_else(|| self.cursor_at(here));
        for (at, frame) in frames.iter().enumerate() {
            let is_last = at + 1 == frames.len();
            self.deliver(frame, is_last.then_some(position)).await?;
        }
        Ok(())
    }
}
