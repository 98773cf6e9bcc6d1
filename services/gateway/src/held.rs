//! Frames that wait for the tick of clients who take the newest of each key only.

use crate::{
    frame::Frame,
    hub::{PerFeed, Place},
    trial::Trial,
};
use oddswire_protocol::{EventKey, Feed, cursor::Position};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::time::Instant;

/// What waits. Its memory is that of one image a key.
#[derive(Debug, Clone, Default)]
pub struct Held {
    frames: HashMap<EventKey, Arc<Frame>>,
    bytes: usize,
    conflated: u64,
    before: Option<PerFeed<Option<Position>>>,
}

/// What was held, to be sent now.
#[derive(Debug, Default)]
pub struct Released {
    /// The frames, in the order of emission.
    pub frames: Vec<Arc<Frame>>,
    /// How many were left out because a newer one of the same key is among them.
    pub conflated: u64,
}

impl Held {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The bytes of what waits.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The positions before the oldest that waited: all before them was sent.
    pub fn before(&self) -> Option<&PerFeed<Option<Position>>> {
        self.before.as_ref()
    }

    /// Puts a frame in the place of an older one of its key. `before` is where the client was before this frame.
    pub fn replace(&mut self, frame: Arc<Frame>, before: &PerFeed<Option<Position>>) {
        self.before.get_or_insert(*before);
        self.bytes += frame.bytes();
        if let Some(old) = self.frames.insert(frame.key.clone(), frame) {
            self.bytes -= old.bytes();
            self.conflated += 1;
        }
    }

    /// Forgets the frame of a key: something newer of it goes out at once.
    pub fn overtake(&mut self, key: &EventKey) {
        if let Some(old) = self.frames.remove(key) {
            self.bytes -= old.bytes();
            self.conflated += 1;
        }
        if self.frames.is_empty() {
            self.before = None;
        }
    }

    /// What goes out before the end of a run that does not wait, in the order of emission: all odds of its source, which
    /// the run may have written. What waits of the run itself is forgotten.
    pub fn end_run(&mut self, end: &Frame, trial: Trial) -> Vec<Arc<Frame>> {
        self.overtake(&end.key);
        if trial.ends_overtake_odds {
            return Vec::new();
        }
        let of_its_odds =
            |frame: &Arc<Frame>| frame.feed == Feed::Odds && frame.key.source() == end.key.source();
        let mut frames: Vec<_> = self
            .frames
            .extract_if(|_, frame| of_its_odds(frame))
            .map(|(_, frame)| frame)
            .collect();
        self.bytes -= frames.iter().map(|frame| frame.bytes()).sum::<usize>();
        if self.frames.is_empty() {
            self.before = None;
        }
        frames.sort_unstable_by_key(|frame| frame.number);
        frames
    }

    /// What of it came at the numbers from `from` to before `to`; shared where that is all of it.
    pub fn between(held: &Arc<Self>, from: u64, to: u64) -> Arc<Self> {
        let inside = |frame: &Arc<Frame>| (from..to).contains(&frame.number);
        if held.frames.values().all(inside) {
            return Arc::clone(held);
        }
        let mut rest = Self::clone(held);
        rest.frames.retain(|_, frame| inside(frame));
        rest.bytes = rest.frames.values().map(|frame| frame.bytes()).sum();
        rest.before = rest.before.filter(|_| !rest.frames.is_empty());
        Arc::new(rest)
    }

    /// All of it, to be sent now.
    pub fn released(&self) -> Released {
        let mut frames: Vec<_> = self.frames.values().map(Arc::clone).collect();
        frames.sort_unstable_by_key(|frame| frame.number);
        Released {
            frames,
            conflated: self.conflated,
        }
    }
}

/// Where a client that is handed over is: with what waits for it, or without.
#[derive(Debug, Default)]
pub struct Standing {
    /// Its place: all before it was sent, or waits.
    pub place: Place,
    /// What waits.
    pub held: Arc<Held>,
}

/// All clients with the same interval have their ticks at the same moments, so that one who is handed from one part of
/// the gateway to another keeps its rhythm.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The next tick after `now`.
pub fn next_tick(every: Duration, now: Instant) -> Instant {
    let every_us = every.as_micros().max(1);
    let past = now.saturating_duration_since(*START).as_micros();
    let tick = (past / every_us + 1) * every_us;
    *START + Duration::from_micros(u64::try_from(tick).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oddswire_protocol::envelope::{Envelope, MessageType};

    const NOWHERE: PerFeed<Option<Position>> = [None, None];

    fn frame(source: &str, number: u64) -> Arc<Frame> {
        let key = EventKey::Confirmed {
            source: source.parse().unwrap(),
        };
        let envelope = Envelope::from_bus(MessageType::OddsConfirmed, "2026-02-06T01:30:00.123Z", b"{}");
        let mut frame = Frame::of(key, number, false, envelope);
        frame.number = number;
        Arc::new(frame)
    }

    fn numbers(released: &Released) -> Vec<u64> {
        released.frames.iter().map(|frame| frame.number).collect()
    }

    #[test]
    fn the_newest_of_each_key_is_released_in_the_order_of_emission() {
        let mut held = Held::default();
        for (source, number) in [("alpha", 1), ("bravo", 2), ("alpha", 3), ("charlie", 4)] {
            held.replace(frame(source, number), &NOWHERE);
        }
        let released = held.released();
        assert_eq!((numbers(&released), released.conflated), (vec![2, 3, 4], 1));
    }

    #[test]
    fn its_bytes_are_those_of_one_image_a_key() {
        let mut held = Held::default();
        for number in 0..100 {
            held.replace(frame("alpha", number), &NOWHERE);
        }
        assert_eq!(held.bytes(), frame("alpha", 0).bytes());
    }

    #[test]
    fn a_part_of_it_is_a_copy_and_the_whole_is_shared() {
        let mut held = Held::default();
        for (source, number) in [("alpha", 1), ("bravo", 2), ("charlie", 3)] {
            held.replace(frame(source, number), &NOWHERE);
        }
        let held = Arc::new(held);
        assert!(Arc::ptr_eq(&held, &Held::between(&held, 1, 4)));
        let part = Held::between(&held, 2, 3);
        assert_eq!(numbers(&part.released()), [2]);
        assert_eq!(part.bytes(), frame("bravo", 2).bytes());
        assert!(Held::between(&held, 4, 9).before().is_none());
    }

    #[test]
    fn what_was_overtaken_is_not_sent() {
        let mut held = Held::default();
        let at = [Some(Position::new(1, 7)), None];
        held.replace(frame("alpha", 1), &at);
        assert_eq!(held.before(), Some(&at));
        held.overtake(&frame("alpha", 2).key);
        assert_eq!((held.before(), held.is_empty()), (None, true));
    }

    #[test]
    fn ticks_are_an_interval_apart_and_always_ahead() {
        let every = Duration::from_millis(250);
        let first = next_tick(every, Instant::now());
        assert!(first > Instant::now());
        let second = next_tick(every, first);
        assert_eq!(second - first, every);
    }
}
