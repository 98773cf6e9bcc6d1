//! How the feeds do: when each was last known to miss nothing.

use oddswire_kit::bus::Bus;
use oddswire_protocol::{Feed, server::Upstream};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// For each active feed, when it was last known to miss nothing; it counts from its activation on.
#[derive(Debug)]
pub struct FeedHealth {
    /// The connection that listens.
    live: Bus,
    good_at: Mutex<[Option<Good>; Feed::ALL.len()]>,
}

/// A check that was good.
#[derive(Debug, Clone, Copy)]
struct Good {
    at: Instant,
    /// The number of the connection over which the stream was seen.
    over: u64,
}

/// Without a good check for this long a feed is stale: more than the longest wait between two audits.
const STALE_AFTER: Duration = Duration::from_secs(20);

impl FeedHealth {
    /// Nobody is interested in any feed yet.
    pub fn new(live: Bus) -> Self {
        Self {
            live,
            good_at: Mutex::default(),
        }
    }

    /// Whether the connection that listens is there.
    pub fn is_connected(&self) -> bool {
        self.live.is_connected()
    }

    /// Whether a client can join a feed: the connection is there, and the feed not stale. A node that has lost the others
    /// keeps its connections and tells nothing new; and behind a new connection there may be a stream with another past.
    pub fn serves(&self, feed: Feed) -> bool {
        let over = self.live.connects();
        let fits = |good: Good| good.at.elapsed() <= STALE_AFTER && good.over == over;
        self.is_connected() && self.last_good(feed).is_none_or(fits)
    }

    /// The feed misses nothing now, as was seen over the connection of this number.
    pub(super) fn good(&self, feed: Feed, over: u64) {
        let at = Instant::now();
        self.set(feed, Some(Good { at, over }));
    }

    /// Nobody is interested in the feed.
    pub(super) fn idle(&self, feed: Feed) {
        self.set(feed, None);
    }

    fn set(&self, feed: Feed, good: Option<Good>) {
        self.good_at.lock().unwrap_or_else(PoisonError::into_inner)[feed.index()] = good;
    }

    /// How long ago an active feed was good.
    pub fn age(&self, feed: Feed) -> Option<Duration> {
        self.last_good(feed).map(|good| good.at.elapsed())
    }

    fn last_good(&self, feed: Feed) -> Option<Good> {
        self.good_at.lock().unwrap_or_else(PoisonError::into_inner)[feed.index()]
    }

    /// Whether the bus is there for these feeds, and since how many milliseconds it is not known to be.
    pub fn upstream(&self, feeds: impl Iterator<Item = Feed>) -> (Upstream, u64) {
        let oldest = feeds.filter_map(|feed| self.age(feed)).max().unwrap_or_default();
        let lag_ms = u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX);
        if !self.is_connected() {
            (Upstream::Down, lag_ms.max(1))
        } else if oldest > STALE_AFTER {
            (Upstream::Stale, lag_ms)
        } else {
            (Upstream::Ok, 0)
        }
    }

    /// Good when every active feed's last check is.
    ///
    /// # Errors
    /// Which is not, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        for feed in Feed::ALL {
            if let Some(age) = self.age(feed)
                && age > STALE_AFTER
            {
                return Err(format!("feed {feed}: no good check for {} s", age.as_secs()));
            }
        }
        Ok(())
    }
}
