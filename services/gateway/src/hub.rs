//! The ring of recent events, shared by all sessions, and who is interested in which feed.
//!
//! A session is a position per feed. To go on it walks the ring from there; what lies below the ring's floor it reads
//! from the log. Nothing here waits for a session, and nothing is kept for one.

mod lap;
mod ring;

pub use lap::{Lap, Step};
pub use ring::{FeedView, Stretch};

use crate::frame::Frame;
use oddswire_protocol::{Feed, cursor::Position};
use ring::{Marks, Ring};
use std::sync::{
    Arc, OnceLock, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering::SeqCst},
};
use tokio::sync::watch;

/// One entry a feed.
pub type PerFeed<T> = [T; Feed::ALL.len()];

/// The hub.
#[derive(Debug)]
pub struct Hub {
    ring: RwLock<Ring>,
    ring_bytes: usize,
    /// Moves with every emission and every change of a feed.
    changes: watch::Sender<u64>,
    version: AtomicU64,
    interest: PerFeed<watch::Sender<usize>>,
    /// Has those look who walk the ring on threads of their own.
    alarm: OnceLock<Alarm>,
    /// Somebody holds a cursor past what was emitted: look whether something is missing.
    audits: PerFeed<watch::Sender<u64>>,
}

/// What a hub rings when a walk may find something new.
struct Alarm(Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alarm")
    }
}

/// Counts as a client of a feed until it is dropped.
#[derive(Debug)]
pub struct Interest {
    hub: Arc<Hub>,
    feed: Feed,
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.hub.interest[self.feed.index()].send_modify(|count| *count -= 1);
    }
}

/// Where a session is: a position in each feed that it follows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    positions: PerFeed<Option<Position>>,
    /// The next frame to look at in the order of emission; only a shortcut past frames that were looked at.
    next: u64,
}

impl Place {
    /// At these positions, having looked at every frame before the number `next`.
    pub fn at(positions: PerFeed<Option<Position>>, next: u64) -> Self {
        Self { positions, next }
    }

    /// The number of the next frame to look at.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The position in each feed that is followed; `None` for the others.
    pub fn positions(&self) -> &PerFeed<Option<Position>> {
        &self.positions
    }

    /// The position in one feed.
    pub fn position(&self, feed: Feed) -> Option<Position> {
        self.positions[feed.index()]
    }

    /// Follows a feed no more.
    pub fn unfollow(&mut self, feed: Feed) {
        self.positions[feed.index()] = None;
    }

    /// Puts the session elsewhere in one feed. Frames that were passed over until now may be wanted from there on, so
    /// the next walk looks at all of them.
    pub fn set(&mut self, feed: Feed, position: Option<Position>) {
        self.positions[feed.index()] = position;
        self.next = 0;
    }
}

impl Hub {
    /// A hub whose ring holds at most `ring_bytes`.
    pub fn new(ring_bytes: usize) -> Self {
        Self {
            ring: RwLock::default(),
            ring_bytes,
            changes: watch::Sender::new(0),
            version: AtomicU64::new(0),
            interest: Default::default(),
            alarm: OnceLock::new(),
            audits: Default::default(),
        }
    }

    /// Moves whenever a walk may find something new.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How many clients a feed has.
    pub fn interest_in(&self, feed: Feed) -> watch::Receiver<usize> {
        self.interest[feed.index()].subscribe()
    }

    /// Becomes a client of a feed, which activates it when nobody was.
    pub fn become_interested(self: &Arc<Self>, feed: Feed) -> Interest {
        self.interest[feed.index()].send_modify(|count| *count += 1);
        Interest {
            hub: Arc::clone(self),
            feed,
        }
    }

    /// Asks a feed to look at once whether something is missing.
    pub fn ask_audit(&self, feed: Feed) {
        self.audits[feed.index()].send_modify(|n| *n += 1);
    }

    /// When a feed was asked to look.
    pub fn audits(&self, feed: Feed) -> watch::Receiver<u64> {
        self.audits[feed.index()].subscribe()
    }

    /// Where a feed stands; `None` while it is not active.
    pub fn view(&self, feed: Feed) -> Option<FeedView> {
        self.read().feeds[feed.index()]
    }

    /// Whether a feed is another one than a place speaks of, or has lost what comes after it.
    pub fn has_moved_on(&self, place: &Place) -> bool {
        Feed::ALL.into_iter().any(|feed| {
            let view = self.view(feed);
            place.position(feed).is_some_and(|at| {
                view.is_none_or(|view| !view.is_of(&at) || at.seq > view.high || at.seq < view.floor)
            })
        })
    }

    /// Makes a feed active: everything after `last_seq` will come by. Nothing is known of the stream's history.
    pub fn activate(&self, feed: Feed, epoch: u32, last_seq: u64) {
        self.activate_with(feed, epoch, last_seq, Vec::new(), false);
    }

    /// The same, with the marks that hold up to `last_seq`. After a `fork` the positions from before are of another
    /// history.
    pub fn activate_with(&self, feed: Feed, epoch: u32, last_seq: u64, marks: Vec<(u64, u32)>, fork: bool) {
        let mut ring = self.write();
        ring.forget(feed);
        ring.lives += 1;
        ring.forks[feed.index()] += u32::from(fork);
        let marks = Marks::of(marks);
        ring.feeds[feed.index()] = Some(FeedView {
            epoch,
            floor: last_seq,
            high: last_seq,
            life: ring.lives,
            forks: ring.forks[feed.index()],
            mark: marks.at(last_seq),
        });
        ring.marks[feed.index()] = marks;
        drop(ring);
        self.notify();
    }

    /// The mark of a message that is about to be emitted, or proved absent, and that the stream does not replace.
    pub fn witness(&self, feed: Feed, seq: u64, mark: u32) {
        self.write().marks[feed.index()].push(seq, mark);
    }

    /// The mark that holds at a sequence of an active feed; `None` where this gateway does not know.
    pub fn mark_at(&self, feed: Feed, seq: u64) -> Option<u32> {
        let ring = self.read();
        ring.feeds[feed.index()].filter(|view| seq <= view.high)?;
        ring.marks[feed.index()].at(seq)
    }

    /// Ends a feed.
    pub fn deactivate(&self, feed: Feed) {
        let mut ring = self.write();
        ring.forget(feed);
        ring.feeds[feed.index()] = None;
        drop(ring);
        self.notify();
    }

    /// Moves a feed to `seq`, with the frame of that sequence unless it was skipped. The caller keeps the chain:
    /// sequences rise by what the stream holds, without a hole.
    pub fn emit(&self, feed: Feed, seq: u64, frame: Option<Frame>) {
        let mut ring = self.write();
        let mark = ring.marks[feed.index()].at(seq);
        if let Some(view) = ring.feeds[feed.index()].as_mut() {
            (view.high, view.mark) = (seq, mark);
        }
        if let Some(frame) = frame {
            ring.push(frame);
        }
        while ring.bytes > self.ring_bytes {
            ring.evict();
        }
        drop(ring);
        self.notify();
    }

    /// The frames from a number on: so many, or so many bytes, at most.
    pub fn stretch(&self, from: u64, frames_max: usize, bytes_max: usize) -> Stretch {
        let ring = self.read();
        let mut stretch = Stretch {
            frames: Vec::new(),
            next: from.max(ring.first),
            feeds: ring.feeds,
            more: false,
            evicted: from < ring.first,
        };
        let mut bytes = 0;
        for frame in ring.from(from) {
            if stretch.frames.len() >= frames_max || bytes >= bytes_max {
                stretch.more = true;
                return stretch;
            }
            bytes += frame.bytes();
            stretch.next = frame.number + 1;
            stretch.frames.push(Arc::clone(frame));
        }
        stretch.next = ring.next;
        stretch
    }

    /// Bytes of the frames in the ring.
    pub fn ring_bytes(&self) -> usize {
        self.read().bytes
    }

    /// What it may hold.
    pub fn ring_bytes_max(&self) -> usize {
        self.ring_bytes
    }

    /// The number of the next frame.
    pub fn next(&self) -> u64 {
        self.read().next
    }

    /// How many bytes of frames the ring holds from the place of a session on, whether or not it wants them.
    pub fn backlog_bytes(&self, place: &Place) -> u64 {
        if place.next == 0 {
            // It was put there to look at everything again, not because it is late.
            return 0;
        }
        let ring = self.read();
        let oldest = ring.from(place.next).next();
        oldest.map_or(0, |frame| ring.emitted_bytes - frame.emitted_before)
    }

    /// Another number than before when a walk may find something new.
    pub fn version(&self) -> u64 {
        self.version.load(SeqCst)
    }

    /// Has `ring` called, shortly, whenever a walk may find something new. Once only.
    pub fn set_alarm(&self, ring: impl Fn() + Send + Sync + 'static) {
        let first = self.alarm.set(Alarm(Box::new(ring)));
        debug_assert!(first.is_ok(), "a hub has one alarm");
    }

    /// Has every session look again.
    pub fn notify(&self) {
        self.version.fetch_add(1, SeqCst);
        self.changes.send_modify(|n| *n += 1);
        if let Some(alarm) = self.alarm.get() {
            (alarm.0)();
        }
    }

    // A panic while the lock is held leaves a ring that is whole: each change of it is complete before the next.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Ring> {
        self.ring.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
