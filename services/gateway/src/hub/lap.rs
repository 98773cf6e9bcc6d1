//! How one session walks the ring.
//!
//! It walks in laps. A lap ends where the ring ended when the lap began, however much comes meanwhile; then the session
//! looks anew how much that was. A lap of a session that catches up or is slow leaves out each frame that another frame
//! of its key replaced before the lap began. So a lap sends at most one frame of each key; at its end the client has the
//! state as of its beginning, however slow the client is; and no key waits for ever because it changes all the time.
//!
//! Frames keep their order, and whatever is left out is followed by a newer frame of its key. So the position after each
//! frame is as good as that of a client that got everything: it can be continued on every replica, from the log too.

use super::{FeedView, Hub, PerFeed, Place};
use crate::frame::Frame;
use oddswire_protocol::{Feed, Topic, cursor::Position};
use std::sync::Arc;

/// A stretch of the ring that a session walks to its end.
#[derive(Debug, Clone, Copy)]
pub struct Lap {
    /// The number of the first frame behind it.
    until: u64,
    /// Where the feeds stood when it began.
    views: PerFeed<Option<FeedView>>,
    /// Of which feeds it leaves out what was replaced before it began.
    compact: PerFeed<bool>,
}

/// What a step of a lap found.
#[derive(Debug, Default)]
pub struct Step {
    /// Frames for the session, in the order of emission, each with the place after it.
    pub frames: Vec<(Arc<Frame>, PerFeed<Option<Position>>)>,
    /// How many were left out that the session's topics admit.
    pub left_out: u64,
    /// A feed of which the session needs events from below the ring's floor.
    pub behind: Option<Feed>,
    /// A feed whose stream is another one than the session's position speaks of.
    pub reset: Option<Feed>,
    /// A feed that is not active (any more).
    pub inactive: Option<Feed>,
    /// Whether the lap goes on: it has more than a step may take at once.
    pub more: bool,
    /// Whether the lap ended where the ring ends now.
    pub at_tail: bool,
}

/// Frames that a step looks at: what bounds how long it holds up the others.
const STEP_LOOKS: usize = 4_096;
/// Frames that a step takes, and about their bytes: what bounds a session's own memory, and how long its client waits for
/// an answer to what it says meanwhile.
const STEP_FRAMES: usize = 256;
const STEP_BYTES: usize = 128 * 1024;

impl Hub {
    /// A lap that begins now, and leaves out of the feeds in `compact` what is replaced already.
    pub fn lap(&self, compact: PerFeed<bool>) -> Lap {
        let ring = self.read();
        Lap {
            until: ring.next,
            views: ring.feeds,
            compact,
        }
    }

    /// Walks on in a lap from `place`, and moves it. Frames that no topic admits are passed over.
    pub fn step(&self, place: &mut Place, topics: &[Topic], lap: &Lap) -> Step {
        self.step_of(STEP_FRAMES, place, topics, lap)
    }

    fn step_of(&self, frames_max: usize, place: &mut Place, topics: &[Topic], lap: &Lap) -> Step {
        let ring = self.read();
        let mut step = Step::default();
        for feed in Feed::ALL {
            let Some(at) = place.positions[feed.index()] else {
                continue;
            };
            match ring.feeds[feed.index()] {
                None => step.inactive = Some(feed),
                // Past the tail: the stream lost what this session has.
                Some(view) if !view.is_of(&at) || at.seq > view.high => step.reset = Some(feed),
                Some(view) if at.seq < view.floor => step.behind = Some(feed),
                Some(_) => {}
            }
        }
        if step.inactive.is_some() || step.reset.is_some() || step.behind.is_some() {
            return step;
        }
        let mut bytes = 0;
        let frames = ring.from(place.next).take_while(|frame| frame.number < lap.until);
        for (looks, frame) in frames.enumerate() {
            if looks >= STEP_LOOKS || step.frames.len() >= frames_max || bytes >= STEP_BYTES {
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
            *at = frame.after.position(frame.feed).unwrap_or(Position {
                seq: frame.seq,
                ..*at
            });
            if !topics.iter().any(|topic| topic.matches(&frame.key)) {
                continue;
            }
            if lap.compact[frame.feed.index()] && frame.is_superseded_before(lap.until) {
                step.left_out += 1;
                continue;
            }
            bytes += frame.bytes();
            step.frames.push((Arc::clone(frame), place.positions));
        }
        place.next = place.next.max(lap.until);
        step.at_tail = ring.next <= place.next;
        // Skipped messages have no frame: at the end of the lap the session has everything that there was at its
        // beginning, at the end of the ring everything.
        for feed in Feed::ALL {
            let (Some(at), Some(view)) = (place.positions[feed.index()].as_mut(), ring.feeds[feed.index()])
            else {
                continue;
            };
            let then = lap.views[feed.index()].filter(|then| then.life == view.life);
            let end = if step.at_tail { Some(view) } else { then };
            if let Some(end) = end.filter(|end| end.high >= at.seq) {
                *at = end.tail();
            }
        }
        step
    }
}

#[cfg(test)]
mod tests;
