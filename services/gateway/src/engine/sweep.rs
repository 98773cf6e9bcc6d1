//! Giving out what has piled up in the ring: found once, encoded once, written once a client.

use super::{
    class::Kind,
    client::{Behind, State},
    shard::{NOBODY, Shard, Task},
};
use crate::{
    frame::Frame,
    held::{Held, next_tick},
    hub::Place,
};
use bytes::Bytes;
use std::{
    io::{ErrorKind, Write},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// What one sweep takes from the ring at most: what bounds a write, and so what may wait in the kernel for one client.
const SWEEP_FRAMES: usize = 256;
const SWEEP_BYTES: usize = 256 * 1024;
/// What a client that was behind gets at once.
const FOLLOW_FRAMES: usize = 64;
const FOLLOW_BYTES: usize = 64 * 1024;
/// Between so many writes the shard looks whether clients said something.
const WRITES_AT_ONCE: usize = 256;

/// Messages for a class, one behind the other.
struct Batch {
    bytes: Bytes,
    /// The frames in it, each with where it ends.
    frames: Vec<(Arc<Frame>, usize)>,
    /// Of a class that conflates: the place of who has all of it.
    tick_at: Option<Place>,
}

impl Batch {
    fn of(kind: &Kind, frames: Vec<Arc<Frame>>) -> Self {
        if let [frame] = frames.as_slice() {
            let bytes = kind.encode(frame);
            let end = bytes.len();
            return Self {
                bytes,
                frames: vec![(Arc::clone(frame), end)],
                tick_at: None,
            };
        }
        let mut bytes = Vec::new();
        let ended = frames.into_iter().map(|frame| {
            bytes.extend_from_slice(&kind.encode(&frame));
            (frame, bytes.len())
        });
        let frames = ended.collect();
        Self {
            bytes: bytes.into(),
            frames,
            tick_at: None,
        }
    }

    fn first(&self) -> u64 {
        self.frames.first().map_or(0, |(frame, _)| frame.number)
    }

    fn next(&self) -> u64 {
        self.frames.last().map_or(0, |(frame, _)| frame.number + 1)
    }

    /// Where the frame begins that is the first of those from a number on.
    fn begin_of(&self, from: u64) -> usize {
        let at = self.frames.partition_point(|(frame, _)| frame.number < from);
        at.checked_sub(1).map_or(0, |before| self.frames[before].1)
    }
}

impl Shard {
    /// Gives out what came since the last sweep; tells whether there is more already.
    pub(super) fn sweep(&mut self) -> bool {
        if self.clients.is_empty() {
            self.next = self.hub.next();
        }
        let stretch = Arc::new(self.hub.stretch(self.next, SWEEP_FRAMES, SWEEP_BYTES));
        self.notice_feeds(&stretch);
        if stretch.evicted {
            // Not even the shard keeps up: everybody goes on from the log.
            self.hand_over_all(|_| true);
        }
        self.sweeping = Some(Arc::clone(&stretch));
        let mut touched: Vec<usize> = Vec::new();
        for (at, frame) in stretch.frames.iter().enumerate() {
            let classes = &mut self.classes;
            self.routes.matching(&frame.key, |class| {
                let batch = &mut classes[class].batch;
                if batch.is_empty() {
                    touched.push(class);
                }
                if batch.last() != Some(&at) {
                    batch.push(at);
                }
            });
        }
        for class in touched {
            let batch = std::mem::take(&mut self.classes[class].batch);
            let frames = batch
                .into_iter()
                .map(|at| Arc::clone(&stretch.frames[at]))
                .collect();
            self.give(class, frames);
        }
        self.sweeping = None;
        self.next = stretch.next;
        self.positions = stretch.positions();
        stretch.more
    }

    fn give(&mut self, class: usize, frames: Vec<Arc<Frame>>) {
        let kind = Arc::clone(&self.classes[class].kind);
        let frames = if kind.conflates() {
            self.hold(class, frames)
        } else {
            frames
        };
        if kind.conflates() {
            for frame in frames {
                self.give_at_once(class, &kind, &frame);
            }
        } else if !frames.is_empty() {
            self.write_to_all(class, &Batch::of(&kind, frames));
        }
    }

    /// Has frames wait for the next tick; gives those that go at once.
    fn hold(&mut self, class: usize, frames: Vec<Arc<Frame>>) -> Vec<Arc<Frame>> {
        let mut at_once = Vec::new();
        let mut before = self.positions;
        let class_of = &mut self.classes[class];
        for frame in frames {
            let here = frame.positions();
            if frame.terminal {
                class_of.held.overtake(&frame.key);
                at_once.push(frame);
            } else {
                class_of.held.replace(frame, &before);
            }
            before = here;
        }
        if class_of.due.is_none() && !class_of.held.is_empty() {
            let due = next_tick(class_of.kind.profile.conflate, Instant::now());
            class_of.due = Some(due);
            self.schedule.insert((due, Task::Tick(class)));
        }
        at_once
    }

    /// A terminal event does not wait. It has a position only where no older message waits.
    fn give_at_once(&mut self, class: usize, kind: &Kind, frame: &Arc<Frame>) {
        let alone = self.classes[class].held.is_empty();
        let bytes = kind.encode_with(frame, alone.then(|| kind.cursor_after(frame)));
        let end = bytes.len();
        let batch = Batch {
            bytes,
            frames: vec![(Arc::clone(frame), end)],
            tick_at: None,
        };
        self.write_to_all(class, &batch);
    }

    /// Sends what waits for the clients of a class.
    pub(super) fn tick(&mut self, number: usize) {
        let Some(class) = self.classes.get_mut(number) else {
            return;
        };
        class.due = None;
        let kind = Arc::clone(&class.kind);
        let released = class.held.release();
        self.engine.metrics().conflated.inc_by(released.conflated);
        let Some(last) = released.frames.last() else {
            return;
        };
        let here = Place::at(self.positions, self.next);
        let mut bytes = Vec::new();
        let mut frames = Vec::new();
        for frame in &released.frames {
            // Only the last one is behind everything.
            let cursor = (frame.number == last.number).then(|| kind.cursor_at(&self.positions));
            bytes.extend_from_slice(&kind.encode_with(frame, cursor));
            frames.push((Arc::clone(frame), bytes.len()));
        }
        let batch = Batch {
            bytes: bytes.into(),
            frames,
            tick_at: Some(here),
        };
        self.write_to_all(number, &batch);
    }

    fn write_to_all(&mut self, class: usize, batch: &Batch) {
        let count = self.classes[class].clients.len();
        self.turn = self.turn.wrapping_add(1);
        let start = if count == 0 { 0 } else { self.turn % count };
        let mut delivered = 0;
        for at in (start..count).chain(0..start) {
            let key = self.classes[class].clients[at];
            if key != NOBODY {
                delivered += u64::from(self.write(key, batch));
            }
            if at % WRITES_AT_ONCE == WRITES_AT_ONCE - 1 {
                self.look(Some(Duration::ZERO));
            }
        }
        let metrics = self.engine.metrics();
        metrics.delivered.inc_by(delivered * batch.frames.len() as u64);
        metrics
            .delivered_bytes
            .inc_by(delivered * batch.bytes.len() as u64);
    }

    /// Writes a batch to one client; tells whether it took all of it.
    fn write(&mut self, key: usize, batch: &Batch) -> bool {
        let client = &mut self.clients[key];
        let State::Live { from, joined } = client.state else {
            return false;
        };
        // Who came in the middle of it has the first of it already.
        let wants_from = if batch.tick_at.is_some() { joined } else { from };
        let begin = if wants_from <= batch.first() {
            0
        } else {
            batch.begin_of(wants_from)
        };
        let bytes = &batch.bytes[begin..];
        if bytes.is_empty() {
            return true;
        }
        let taken = loop {
            match client.stream.write(bytes) {
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.drop_client(key);
                    return false;
                }
            }
        };
        if taken == bytes.len() {
            if batch.tick_at.is_none() {
                client.state = State::Live {
                    from: batch.next(),
                    joined,
                };
            }
            return true;
        }
        self.fall_behind(key, (from, joined), batch, begin + taken);
        false
    }

    /// A socket took the bytes before `cut`: the rest of the message under way waits there, the others in the ring.
    fn fall_behind(&mut self, key: usize, (from, joined): (u64, u64), batch: &Batch, cut: usize) {
        let whole = batch.frames.partition_point(|(_, end)| *end <= cut);
        let begins = whole.checked_sub(1).map_or(0, |before| batch.frames[before].1);
        let is_cut = cut > begins;
        let taken = if is_cut { whole + 1 } else { whole };
        let parked_at = *self.clients[key].session.place();
        let held = if batch.tick_at.is_some() {
            let mut rest = Held::default();
            for (frame, _) in batch.frames[taken..]
                .iter()
                .filter(|(frame, _)| frame.number >= joined)
            {
                rest.replace(Arc::clone(frame), &self.positions);
            }
            rest
        } else {
            self.classes[self.clients[key].class].held.since(joined)
        };
        let place = match (batch.tick_at, taken.checked_sub(1)) {
            (Some(here), _) => here,
            (None, Some(last)) if batch.frames[last].0.number >= from => {
                let frame = &batch.frames[last].0;
                Place::at(frame.positions(), frame.number + 1)
            }
            (None, _) => self.place_of(from, &parked_at),
        };
        let client = &mut self.clients[key];
        if is_cut {
            let end = batch.frames[whole].1;
            client.socket().queue(&batch.bytes[cut..end]);
        }
        client.state = State::Behind(Behind::at(place, held));
        self.engine.metrics().fell_behind.inc();
    }

    /// Brings a client that was behind forward, as far as its socket takes bytes and its class has come.
    pub(super) fn follow(&mut self, key: usize) {
        loop {
            let Some(client) = self.clients.get_mut(key) else {
                return;
            };
            if matches!(client.state, State::Live { .. }) {
                return;
            }
            let before = client.socket().unsent().len();
            let sent = client.write_out();
            let left = client.socket().unsent().len();
            let State::Behind(behind) = &mut client.state else {
                return;
            };
            if left < before {
                behind.moved_at = Instant::now();
            }
            match sent {
                Err(_) => return self.drop_client(key),
                Ok(false) => return,
                Ok(true) => {}
            }
            let kind = Arc::clone(&self.classes[client.class].kind);
            let place = behind.place;
            if kind.conflates() {
                return self.hand_over(key);
            }
            if place.next() >= self.next {
                client.state = State::Live {
                    from: place.next(),
                    joined: place.next(),
                };
                return;
            }
            if self.hub.backlog_bytes(&place) > self.engine.shared.budget_bytes {
                return self.hand_over(key);
            }
            let stretch = self.hub.stretch(place.next(), FOLLOW_FRAMES, FOLLOW_BYTES);
            if stretch.evicted {
                return self.hand_over(key);
            }
            self.queue_next(key, &kind, &stretch);
        }
    }

    /// Queues what a client behind wants of a stretch, up to where its class is.
    fn queue_next(&mut self, key: usize, kind: &Kind, stretch: &crate::hub::Stretch) {
        let mut place = Place::at(self.positions, self.next);
        let client = &mut self.clients[key];
        for frame in &stretch.frames {
            if frame.number >= self.next {
                place = Place::at(self.positions, self.next);
                break;
            }
            place = Place::at(frame.positions(), frame.number + 1);
            if kind.wants(frame) {
                let bytes = kind.encode(frame);
                client.socket().queue(&bytes);
                self.engine.metrics().delivered.inc();
                self.engine.metrics().delivered_bytes.inc_by(bytes.len() as u64);
            }
        }
        if let State::Behind(behind) = &mut client.state {
            behind.place = place;
        }
    }
}
