//! The ring itself: frames by number, and where the feeds stand.

use super::PerFeed;
use crate::frame::Frame;
use oddswire_protocol::{
    Cursor, EventKey, Feed, Timestamp,
    cursor::{Position, Proof},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// So many of the newest frames keep their encoded copies.
const FRESH_FRAMES: usize = 1_024;

/// Where an active feed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedView {
    /// Which life of its stream.
    pub epoch: u32,
    /// Everything after this sequence is in the ring.
    pub floor: u64,
    /// The last sequence emitted.
    pub high: u64,
    /// How often the feed was activated until then: another life than before is another chain.
    pub life: u64,
    /// How often the stream's history was seen to change: positions from before are of another one.
    pub forks: u32,
    /// The mark that holds at `high`; `None` where nobody knows.
    pub mark: Option<u32>,
}

impl FeedView {
    /// The position of a session that has everything.
    pub fn tail(&self) -> Position {
        self.at(self.high)
    }

    /// A position in this history; without a proof above `high`, where nobody knows yet.
    pub fn at(&self, seq: u64) -> Position {
        let mark = self.mark.filter(|_| seq <= self.high);
        Position {
            proof: mark.map(|mark| Proof { end: self.high, mark }),
            forks: self.forks,
            ..Position::new(self.epoch, seq)
        }
    }

    /// Whether a position is of this history.
    pub fn is_of(&self, at: &Position) -> bool {
        (self.epoch, self.forks) == (at.epoch, at.forks)
    }
}

/// The marks of a feed that this gateway saw, by rising sequence: each holds from its sequence on, up to the next.
#[derive(Debug, Default)]
pub(super) struct Marks(VecDeque<(u64, u32)>);

/// Marks of runs that are kept at most, 16 bytes each.
const MARKS_MAX: usize = 1 << 17;

impl Marks {
    pub(super) fn of(marks: Vec<(u64, u32)>) -> Self {
        Self(marks.into())
    }

    pub(super) fn push(&mut self, seq: u64, mark: u32) {
        if self.0.len() == MARKS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((seq, mark));
    }

    /// The mark that holds at a sequence; `None` before the first.
    pub(super) fn at(&self, seq: u64) -> Option<u32> {
        if let Some((last, mark)) = self.0.back()
            && *last <= seq
        {
            return Some(*mark);
        }
        let after = self.0.partition_point(|(from, _)| *from <= seq);
        Some(self.0[after.checked_sub(1)?].1)
    }

    /// Forgets those that hold before `seq` alone.
    fn forget_before(&mut self, seq: u64) {
        while self.0.get(1).is_some_and(|(next, _)| *next <= seq) {
            self.0.pop_front();
        }
    }
}

/// The frames that are kept, and where the feeds stand.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// By rising number. Numbers are given once and never change; where the frames of a feed were forgotten some are
    /// missing.
    pub(super) frames: VecDeque<Arc<Frame>>,
    /// The number of the next frame.
    pub(super) next: u64,
    /// Every frame from this number on is here, but for those of feeds that ended.
    pub(super) first: u64,
    pub(super) bytes: usize,
    /// The bytes of all frames ever emitted.
    pub(super) emitted_bytes: u64,
    pub(super) feeds: PerFeed<Option<FeedView>>,
    pub(super) lives: u64,
    pub(super) forks: PerFeed<u32>,
    pub(super) marks: PerFeed<Marks>,
    /// The newest frame of each key, while it is here.
    pub(super) newest: HashMap<EventKey, Arc<Frame>>,
}

/// What the ring holds from a number on, for those who walk it for many clients at once.
#[derive(Debug)]
pub struct Stretch {
    /// The frames, in the order of emission.
    pub frames: Vec<Arc<Frame>>,
    /// The number after the last of them.
    pub next: u64,
    /// Where the feeds stand.
    pub feeds: PerFeed<Option<FeedView>>,
    /// Whether the ring holds more than that.
    pub more: bool,
    /// Whether frames between the number asked for and the first of these are gone already.
    pub evicted: bool,
}

impl Stretch {
    /// Which lives of the feeds it is of.
    pub fn lives(&self) -> PerFeed<Option<u64>> {
        self.feeds.map(|view| view.map(|view| view.life))
    }

    /// The position of a client that has all of it, and follows every feed.
    pub fn positions(&self) -> PerFeed<Option<Position>> {
        match self.frames.last() {
            Some(last) if self.more => last.positions(),
            _ => self.feeds.map(|view| view.map(|view| view.tail())),
        }
    }
}

impl Ring {
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = &Arc<Frame>> {
        let skip = self.frames.partition_point(|frame| frame.number < number);
        self.frames.range(skip..)
    }

    pub(super) fn push(&mut self, mut frame: Frame) {
        frame.number = self.next;
        frame.emitted_before = self.emitted_bytes;
        frame.after = Feed::ALL
            .into_iter()
            .fold(Cursor::at(Timestamp::now()), |cursor, feed| {
                cursor.with(feed, self.feeds[feed.index()].map(|view| view.tail()))
            });
        self.next += 1;
        self.bytes += frame.bytes();
        self.emitted_bytes += frame.bytes() as u64;
        let frame = Arc::new(frame);
        if let Some(old) = self.newest.insert(frame.key.clone(), Arc::clone(&frame)) {
            old.supersede(frame.number);
        }
        self.frames.push_back(frame);
        if let Some(stale) = self.frames.len().checked_sub(FRESH_FRAMES + 1) {
            self.frames[stale].grow_stale();
        }
    }

    pub(super) fn evict(&mut self) {
        let Some(frame) = self.frames.pop_front() else {
            return;
        };
        self.first = frame.number + 1;
        self.bytes -= frame.bytes();
        if !frame.is_superseded() {
            self.newest.remove(&frame.key);
        }
        if let Some(view) = self.feeds[frame.feed.index()].as_mut() {
            view.floor = view.floor.max(frame.seq);
            // Terms of odds are few, and tell about positions of long ago.
            if frame.feed == Feed::Run {
                self.marks[frame.feed.index()].forget_before(view.floor);
            }
        }
    }

    /// Empties the ring of one feed. The other's frames stay.
    pub(super) fn forget(&mut self, feed: Feed) {
        self.frames.retain(|frame| frame.feed != feed);
        self.newest.retain(|key, _| key.feed() != feed);
        self.bytes = self.frames.iter().map(|frame| frame.bytes()).sum();
    }
}
