//! When the next image may go out.

use std::{collections::VecDeque, time::Duration};

/// Between two images that only show movement.
pub(super) const SPACING: Duration = Duration::from_millis(200);
/// After this long without an image there is one, moved or not.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);
/// Images in any [`WINDOW`] at most, those that must be shown included.
pub(super) const WINDOW_IMAGES: usize = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// When images went out lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// At most [`WINDOW_IMAGES`] of them, the newest last.
    shown: VecDeque<Duration>,
}

impl Pace {
    /// How long to wait for the next image: when one must be shown, when something moved, or when nothing did.
    pub(super) fn wait(&self, must: bool, moved: bool, now: Duration) -> Duration {
        let Some(last) = self.shown.back() else {
            return Duration::ZERO;
        };
        let wanted = match (must, moved) {
            (true, _) => now,
            (false, true) => *last + SPACING,
            (false, false) => *last + HEARTBEAT,
        };
        let room = match self.shown.front() {
            Some(oldest) if self.shown.len() == WINDOW_IMAGES => *oldest + WINDOW,
            _ => Duration::ZERO,
        };
        wanted.max(room).saturating_sub(now)
    }

    /// An image goes out now.
    pub(super) fn shown(&mut self, now: Duration) {
        if self.shown.len() == WINDOW_IMAGES {
            self.shown.pop_front();
        }
        self.shown.push_back(now);
    }
}
