//! Giving out what has piled up in the ring: found once, encoded once, written once a client.

use super::{
    class::Kind,
    client::{Behind, State},
    shard::{NOBODY, Shard, Task},
};
use crate::{frame::Frame, held::next_tick, hub::Place};
use bytes::Bytes;
use oddswire_protocol::Timestamp;
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
    take: Take,
}

/// Which frames of a batch are for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Take {
    /// Those that it has not got yet.
    Next,
    /// Those that waited for a tick since it came.
    Waiting,
    /// Those that waited since it came, and the end of a run behind them, which moves it on.
    Ending,
}

impl Batch {
    /// Frames with what they look like to these clients; a single one is not copied.
    fn of(pieces: &[(Arc<Frame>, Bytes)], take: Take) -> Self {
        let mut end = 0;
        let frames = pieces.iter().map(|(frame, bytes)| {
            end += bytes.len();
            (Arc::clone(frame), end)
        });
        let frames = frames.collect();
        let bytes = match pieces {
            [(_, bytes)] => bytes.clone(),
            pieces => {
                let mut all = Vec::with_capacity(end);
                for (_, bytes) in pieces {
                    all.extend_from_slice(bytes);
                }
                all.into()
            }
        };
        Self { bytes, frames, take }
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
        let mut wanted: Vec<usize> = Vec::new();
        for (at, frame) in stretch.frames.iter().enumerate() {
            let classes = &mut self.classes;
            self.routes.matching(&frame.key, |class| {
                if !classes[class].kind.conflates() && wanted.last() != Some(&at) {
                    wanted.push(at);
                }
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
        let now = Timestamp::now();
        for frame in wanted.into_iter().map(|at| &stretch.frames[at]) {
            self.engine.metrics().delivered_after(frame, now);
        }
        self.next = stretch.next;
        self.positions = stretch.positions();
        stretch.more
    }

    fn give(&mut self, class: usize, frames: Vec<Arc<Frame>>) {
        let kind = Arc::clone(&self.classes[class].kind);
        if kind.conflates() {
            return self.conflate(class, &kind, &frames);
        }
        let encoded = frames.into_iter().map(|frame| {
            let bytes = kind.encode(&frame);
            (frame, bytes)
        });
        let pieces: Vec<_> = encoded.collect();
        self.write_to_all(class, &Batch::of(&pieces, Take::Next));
    }

    /// Has frames wait for the next tick. The end of a run does not wait: it is written before the frames behind it are
    /// looked at, so that what waits then is what a client lacks that has got it.
    fn conflate(&mut self, class: usize, kind: &Kind, frames: &[Arc<Frame>]) {
        let trial = self.engine.trial();
        let mut before = self.positions;
        for frame in frames {
            let held = Arc::make_mut(&mut self.classes[class].held);
            if frame.terminal {
                let mut ending = held.end_run(frame, trial);
                ending.push(Arc::clone(frame));
                self.give_at_once(class, kind, &ending);
            } else {
                held.replace(Arc::clone(frame), &before);
            }
            before = frame.positions();
        }
        let class_of = &mut self.classes[class];
        if class_of.due.is_none() && !class_of.held.is_empty() {
            let due = next_tick(class_of.kind.profile.conflate, Instant::now());
            class_of.due = Some(due);
            self.schedule.insert((due, Task::Tick(class)));
        }
    }

    /// A terminal event behind what waited of the odds of its source. It has a position only where no older message
    /// waits; the odds before it have none.
    fn give_at_once(&mut self, class: usize, kind: &Kind, frames: &[Arc<Frame>]) {
        let alone = self.classes[class].held.is_empty();
        let encoded = frames.iter().map(|frame| {
            let cursor = (alone && frame.terminal).then(|| kind.cursor_after(frame));
            (Arc::clone(frame), kind.encode_with(frame, cursor))
        });
        let batch = Batch::of(&encoded.collect::<Vec<_>>(), Take::Ending);
        self.write_to_all(class, &batch);
    }

    /// Sends what waits for the clients of a class.
    pub(super) fn tick(&mut self, number: usize) {
        let Some(class) = self.classes.get_mut(number) else {
            return;
        };
        class.due = None;
        let kind = Arc::clone(&class.kind);
        let released = std::mem::take(&mut class.held).released();
        self.engine.metrics().conflated.inc_by(released.conflated);
        let Some(last) = released.frames.last() else {
            return;
        };
        let encoded = released.frames.iter().map(|frame| {
            // Only the last one is behind everything.
            let cursor = (frame.number == last.number).then(|| kind.cursor_at(&self.positions));
            (Arc::clone(frame), kind.encode_with(frame, cursor))
        });
        let batch = Batch::of(&encoded.collect::<Vec<_>>(), Take::Waiting);
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
            // Nobody may be given back meanwhile when what waited for him is in the batch.
            if at % WRITES_AT_ONCE == WRITES_AT_ONCE - 1 && batch.take == Take::Next {
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
        let wants_from = if batch.take == Take::Next { from } else { joined };
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
        if batch.take == Take::Ending {
            // All of it is for this client, now or from its own loop.
            client.state = State::Live {
                from: batch.next(),
                joined,
            };
        }
        if taken == bytes.len() {
            if batch.take == Take::Next {
                client.state = State::Live {
                    from: batch.next(),
                    joined,
                };
            }
            return true;
        }
        self.fall_behind(key, from, batch, begin + taken);
        false
    }

    /// A socket took the bytes before `cut`: the rest of the message under way waits there, the others in the ring.
    fn fall_behind(&mut self, key: usize, from: u64, batch: &Batch, cut: usize) {
        self.engine.metrics().fell_behind.inc();
        if batch.take != Take::Next {
            // All of it is for this client. The bytes are shared with everybody whom they are for.
            self.clients[key].socket().continue_with(batch.bytes.slice(cut..));
            return self.hand_over(key);
        }
        let whole = batch.frames.partition_point(|(_, end)| *end <= cut);
        let begins = whole.checked_sub(1).map_or(0, |before| batch.frames[before].1);
        let is_cut = cut > begins;
        let taken = if is_cut { whole + 1 } else { whole };
        let parked_at = *self.clients[key].session.place();
        let place = match taken.checked_sub(1).map(|last| &batch.frames[last].0) {
            Some(frame) if frame.number >= from => Place::at(frame.positions(), frame.number + 1),
            _ => self.place_of(from, &parked_at),
        };
        let client = &mut self.clients[key];
        if is_cut {
            let end = batch.frames[whole].1;
            client.socket().continue_with(batch.bytes.slice(cut..end));
        }
        if self.classes[client.class].kind.conflates() {
            if let State::Live { from, .. } = &mut client.state {
                *from = place.next();
            }
            return self.hand_over(key);
        }
        client.state = State::Behind(Box::new(Behind::at(place)));
    }

    /// Lets those go on whose sockets took bytes while something was given out.
    pub(super) fn catch_up_writable(&mut self) {
        for key in std::mem::take(&mut self.writable) {
            self.follow(key);
        }
    }

    /// Brings a client that was behind forward, as far as its socket takes bytes and its class has come.
    pub(super) fn follow(&mut self, key: usize) {
        if self.sweeping.is_some() {
            // What is given out now has passed it, or has not: it goes on when that is over.
            self.writable.push(key);
            return;
        }
        loop {
            let Some(client) = self.clients.get_mut(key) else {
                return;
            };
            if matches!(client.state, State::Live { .. }) {
                return;
            }
            let sent = client.write_out();
            let State::Behind(behind) = &mut client.state else {
                return;
            };
            match sent {
                Err(_) => return self.drop_client(key),
                Ok(false) => return,
                Ok(true) => {}
            }
            let kind = Arc::clone(&self.classes[client.class].kind);
            let place = behind.place;
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
            if stretch.evicted || stretch.lives() != self.lives {
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
