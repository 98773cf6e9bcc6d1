//! The ring of recent events, shared by all sessions, and who is interested in which feed.
//!
//! A session is a position per feed. To go on it walks the ring from there; what lies below the ring's floor it reads
//! from the log. Nothing here waits for a session, and nothing is kept for one.

use crate::frame::Frame;
use oddswire_protocol::{Cursor, EventKey, Feed, Timestamp, Topic, cursor::Position};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use tokio::sync::watch;

/// One entry a feed.
pub type PerFeed<T> = [T; Feed::ALL.len()];

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
}

impl FeedView {
    /// The position of a session that has everything.
    pub fn tail(&self) -> Position {
        Position {
            epoch: self.epoch,
            seq: self.high,
        }
    }
}

#[derive(Debug, Default)]
struct Ring {
    /// By rising number. Numbers are given once and never change; where the frames of a feed were forgotten some are
    /// missing.
    frames: VecDeque<Arc<Frame>>,
    /// The number of the next frame.
    next: u64,
    /// Every frame from this number on is here, but for those of feeds that ended.
    first: u64,
    bytes: usize,
    /// The bytes of all frames ever emitted.
    emitted_bytes: u64,
    feeds: PerFeed<Option<FeedView>>,
    lives: u64,
    /// The newest frame of each key of odds, while it is here.
    newest: HashMap<EventKey, Arc<Frame>>,
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
    /// The position of a client that has all of it, and follows every feed.
    pub fn positions(&self) -> PerFeed<Option<Position>> {
        match self.frames.last() {
            Some(last) if self.more => last.positions(),
            _ => self.feeds.map(|view| view.map(|view| view.tail())),
        }
    }
}

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

/// What a walk found.
#[derive(Debug, Default)]
pub struct Step {
    /// Frames for the session, in the order of emission, each with the place after it.
    pub frames: Vec<(Arc<Frame>, PerFeed<Option<Position>>)>,
    /// A feed of which the session needs events from below the ring's floor.
    pub behind: Option<Feed>,
    /// A feed whose stream is another one than the session's position speaks of.
    pub reset: Option<Feed>,
    /// A feed that is not active (any more).
    pub inactive: Option<Feed>,
    /// Whether more frames are there than the walk may take at once.
    pub more: bool,
}

/// Frames that a session looks at in one walk: what bounds how long it holds up the others.
const STEP_LOOKS: usize = 4_096;
/// Frames that a session takes from the ring at once: what bounds its own memory.
const STEP_FRAMES: usize = 256;
const STEP_BYTES: usize = 512 * 1024;
/// So many of the newest frames keep their encoded copies.
const FRESH_FRAMES: usize = 1_024;

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

    /// Makes a feed active: everything after `last_seq` will come by.
    pub fn activate(&self, feed: Feed, epoch: u32, last_seq: u64) {
        let mut ring = self.write();
        ring.forget(feed);
        ring.lives += 1;
        ring.feeds[feed.index()] = Some(FeedView {
            epoch,
            floor: last_seq,
            high: last_seq,
            life: ring.lives,
        });
        drop(ring);
        self.notify();
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
        if let Some(view) = ring.feeds[feed.index()].as_mut() {
            view.high = seq;
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

    /// Walks the ring from `place` and moves it. Frames that no topic admits are passed over.
    pub fn step(&self, place: &mut Place, topics: &[Topic]) -> Step {
        let ring = self.read();
        let mut step = Step::default();
        for feed in Feed::ALL {
            let Some(at) = place.positions[feed.index()] else {
                continue;
            };
            match ring.feeds[feed.index()] {
                None => step.inactive = Some(feed),
                // Past the tail: the stream lost what this session has.
                Some(view) if view.epoch != at.epoch || at.seq > view.high => step.reset = Some(feed),
                Some(view) if at.seq < view.floor => step.behind = Some(feed),
                Some(_) => {}
            }
        }
        if step.inactive.is_some() || step.reset.is_some() || step.behind.is_some() {
            return step;
        }
        let mut bytes = 0;
        for (looks, frame) in ring.from(place.next).enumerate() {
            if looks >= STEP_LOOKS || step.frames.len() >= STEP_FRAMES || bytes >= STEP_BYTES {
                step.more = true;
                return step;
            }
            place.next = frame.number + 1;
            let Some(at) = place.positions[frame.feed.index()].as_mut() else {
                continue;
            };
            if frame.seq <= at.seq {
                continue;
            }
            at.seq = frame.seq;
            if topics.iter().any(|topic| topic.matches(&frame.key)) {
                bytes += frame.bytes();
                step.frames.push((Arc::clone(frame), place.positions));
            }
        }
        place.next = ring.next;
        // Skipped messages have no frame; at the end of the ring the session has everything.
        for feed in Feed::ALL {
            if let (Some(at), Some(view)) = (place.positions[feed.index()].as_mut(), ring.feeds[feed.index()])
            {
                at.seq = at.seq.max(view.high);
            }
        }
        step
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

    /// The number of the next frame.
    pub fn next(&self) -> u64 {
        self.read().next
    }

    /// How many bytes of frames the ring holds from the place of a session on, whether or not it wants them.
    pub fn backlog_bytes(&self, place: &Place) -> u64 {
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

impl Ring {
    fn from(&self, number: u64) -> impl Iterator<Item = &Arc<Frame>> {
        let skip = self.frames.partition_point(|frame| frame.number < number);
        self.frames.range(skip..)
    }

    fn push(&mut self, mut frame: Frame) {
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
        if frame.feed == Feed::Odds
            && let Some(old) = self.newest.insert(frame.key.clone(), Arc::clone(&frame))
        {
            old.supersede();
        }
        self.frames.push_back(frame);
        if let Some(stale) = self.frames.len().checked_sub(FRESH_FRAMES + 1) {
            self.frames[stale].grow_stale();
        }
    }

    fn evict(&mut self) {
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
        }
    }

    /// Empties the ring of one feed. The other's frames stay.
    fn forget(&mut self, feed: Feed) {
        self.frames.retain(|frame| frame.feed != feed);
        if feed == Feed::Odds {
            self.newest.clear();
        }
        self.bytes = self.frames.iter().map(|frame| frame.bytes()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oddswire_protocol::envelope::{Envelope, MessageType};

    fn frame(feed: Feed, seq: u64) -> Frame {
        let key = match feed {
            Feed::Run => EventKey::Run {
                source: "alpha".parse().unwrap(),
                run_id: format!("r{}", seq % 2).parse().unwrap(),
            },
            Feed::Odds => EventKey::Confirmed {
                source: "alpha".parse().unwrap(),
            },
        };
        let envelope = Envelope::from_bus(MessageType::ScrapeProgress, "2026-02-06T01:30:00.123Z", b"{}");
        Frame::of(key, seq, false, envelope)
    }

    fn place(run: Option<u64>, odds: Option<u64>) -> Place {
        let at = |seq: Option<u64>| seq.map(|seq| Position { epoch: 1, seq });
        Place {
            positions: [at(run), at(odds)],
            next: 0,
        }
    }

    fn seqs(step: &Step) -> Vec<u64> {
        step.frames.iter().map(|(frame, _)| frame.seq).collect()
    }

    fn all() -> Vec<Topic> {
        Topic::default_set()
    }

    #[test]
    fn a_session_gets_what_is_after_its_position_and_nothing_twice() {
        let hub = Hub::new(1 << 20);
        hub.activate(Feed::Run, 1, 10);
        for seq in 11..=14 {
            hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
        }
        let mut at = place(Some(12), None);
        assert_eq!(seqs(&hub.step(&mut at, &all())), [13, 14]);
        assert!(seqs(&hub.step(&mut at, &all())).is_empty());
        hub.emit(Feed::Run, 15, Some(frame(Feed::Run, 15)));
        assert_eq!(seqs(&hub.step(&mut at, &all())), [15]);
    }

    #[test]
    fn what_no_topic_admits_moves_the_position_all_the_same() {
        let hub = Hub::new(1 << 20);
        hub.activate(Feed::Run, 1, 0);
        for seq in 1..=3 {
            hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
        }
        hub.emit(Feed::Run, 4, None);
        let mut at = place(Some(0), None);
        assert_eq!(
            seqs(&hub.step(&mut at, &["scrape_progress.*.r0".parse().unwrap()])),
            [2]
        );
        assert_eq!(at.positions[0].unwrap().seq, 4);
    }

    #[test]
    fn a_feed_that_the_session_does_not_follow_is_passed_over() {
        let hub = Hub::new(1 << 20);
        hub.activate(Feed::Run, 1, 0);
        hub.activate(Feed::Odds, 1, 0);
        hub.emit(Feed::Odds, 1, Some(frame(Feed::Odds, 1)));
        hub.emit(Feed::Run, 1, Some(frame(Feed::Run, 1)));
        let mut at = place(Some(0), None);
        let step = hub.step(&mut at, &all());
        assert_eq!(step.frames.len(), 1);
        assert_eq!(step.frames[0].1, [Some(Position { epoch: 1, seq: 1 }), None]);
    }

    #[test]
    fn a_feed_that_is_joined_later_is_walked_from_the_position_it_was_joined_at() {
        let hub = Hub::new(1 << 20);
        hub.activate(Feed::Run, 1, 0);
        hub.activate(Feed::Odds, 1, 0);
        for seq in 1..=3 {
            hub.emit(Feed::Odds, seq, Some(frame(Feed::Odds, seq)));
        }
        let mut at = place(Some(0), None);
        assert_eq!(seqs(&hub.step(&mut at, &all())), Vec::<u64>::new());
        at.set(Feed::Odds, Some(Position { epoch: 1, seq: 1 }));
        assert_eq!(seqs(&hub.step(&mut at, &all())), [2, 3]);
    }

    #[test]
    fn a_session_below_the_floor_is_sent_to_the_log() {
        let size = frame(Feed::Run, 1).bytes();
        let hub = Hub::new(size * 3);
        hub.activate(Feed::Run, 1, 0);
        for seq in 1..=5 {
            hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
        }
        assert_eq!(
            hub.view(Feed::Run),
            Some(FeedView {
                epoch: 1,
                floor: 2,
                high: 5,
                life: 1,
            })
        );
        let mut at = place(Some(1), None);
        assert_eq!(hub.step(&mut at, &all()).behind, Some(Feed::Run));
        let mut at = place(Some(2), None);
        assert_eq!(seqs(&hub.step(&mut at, &all())), [3, 4, 5]);
    }

    #[test]
    fn a_stream_made_anew_is_told_apart() {
        let hub = Hub::new(1 << 20);
        hub.activate(Feed::Run, 2, 100);
        assert_eq!(
            hub.step(&mut place(Some(99), None), &all()).reset,
            Some(Feed::Run)
        );
        hub.deactivate(Feed::Run);
        assert_eq!(
            hub.step(&mut place(Some(99), None), &all()).inactive,
            Some(Feed::Run)
        );
    }

    #[test]
    fn a_stream_that_lost_its_tail_is_told_to_those_who_have_more() {
        let hub = Hub::new(1 << 20);
        hub.activate(Feed::Run, 1, 100);
        let mut at = place(Some(100), None);
        hub.activate(Feed::Run, 1, 95);
        assert_eq!(hub.step(&mut at, &all()).reset, Some(Feed::Run));
    }

    #[test]
    fn a_walk_past_what_nobody_wants_is_bounded_too() {
        let hub = Hub::new(1 << 24);
        hub.activate(Feed::Run, 1, 0);
        for seq in 1..=5_000 {
            hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
        }
        let mut at = place(Some(0), None);
        let nobody = ["scrape_progress.nobody".parse().unwrap()];
        assert!(hub.step(&mut at, &nobody).more);
        assert!(!hub.step(&mut at, &nobody).more);
        assert_eq!(at.position(Feed::Run).unwrap().seq, 5_000);
    }

    #[test]
    fn a_feed_that_ends_takes_nothing_from_the_sessions_of_the_other() {
        let hub = Hub::new(1 << 20);
        hub.activate(Feed::Run, 1, 0);
        hub.activate(Feed::Odds, 1, 0);
        let mut at = place(Some(0), None);
        hub.emit(Feed::Odds, 1, Some(frame(Feed::Odds, 1)));
        hub.emit(Feed::Run, 1, Some(frame(Feed::Run, 1)));
        assert_eq!(seqs(&hub.step(&mut at, &all())), [1]);
        hub.emit(Feed::Run, 2, Some(frame(Feed::Run, 2)));
        hub.deactivate(Feed::Odds);
        hub.emit(Feed::Run, 3, Some(frame(Feed::Run, 3)));
        assert_eq!(seqs(&hub.step(&mut at, &all())), [2, 3]);
    }

    #[test]
    fn a_walk_is_bounded_and_goes_on_where_it_was() {
        let hub = Hub::new(1 << 22);
        hub.activate(Feed::Run, 1, 0);
        for seq in 1..=600 {
            hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
        }
        let mut at = place(Some(0), None);
        let mut got = Vec::new();
        let mut walks = 0;
        loop {
            let step = hub.step(&mut at, &all());
            got.extend(seqs(&step));
            walks += 1;
            if !step.more {
                break;
            }
        }
        assert_eq!((got, walks), ((1..=600).collect::<Vec<_>>(), 3));
    }
}
