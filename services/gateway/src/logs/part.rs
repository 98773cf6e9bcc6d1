//! Parts of a feed's log, shared by the clients that lack them.

use super::{Counted, Filters, Logs, is_fresh};
use crate::frame::Frame;
use oddswire_kit::log::{ReadError, StreamState};
use oddswire_protocol::Feed;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::OnceCell, time::Instant};

/// What one read gave: every message of its filters after `at`, up to `reaches`, that the stream still held.
#[derive(Debug)]
pub struct Part {
    frames: Vec<Arc<Frame>>,
    reaches: u64,
    /// Asked for after the read: whatever was evicted before is known in it. Of runs alone.
    state: Option<StreamState>,
    read_at: Instant,
    _counted: Counted,
}

impl Part {
    /// How far it reaches.
    pub fn reaches(&self) -> u64 {
        self.reaches
    }

    /// What the stream held after the read; of runs alone, where every message counts.
    pub fn state(&self) -> Option<StreamState> {
        self.state
    }

    /// The frames after `at`, up to `to`, by rising sequence.
    pub fn between(&self, at: u64, to: u64) -> impl Iterator<Item = &Arc<Frame>> {
        let first = self.frames.partition_point(|frame| frame.seq <= at);
        let rest = &self.frames[first..];
        rest.iter().take_while(move |frame| frame.seq <= to)
    }
}

/// The parts of one feed under the same filters, by where they begin.
#[derive(Debug, Default)]
pub(super) struct PartsRead {
    parts: Mutex<BTreeMap<u64, Arc<Reading>>>,
}

/// A read under way, or what it gave.
type Reading = OnceCell<Result<Arc<Part>, ReadError>>;

/// Reads begin at a multiple of this: clients that left at different moments share them. Where few messages pass the
/// filters a read reaches far beyond it.
const ROUND: u64 = 1_024;

impl PartsRead {
    /// Whether nothing is read and nothing serves any more.
    pub(super) fn is_idle(&self) -> bool {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|_, part| serves(part));
        parts.is_empty()
    }

    pub(super) async fn covering(
        &self,
        logs: &Logs,
        feed: Feed,
        filters: &Filters,
        at: u64,
        floor: u64,
    ) -> Result<Arc<Part>, ReadError> {
        let mut rounded = at - at % ROUND;
        loop {
            let (begins, cell) = self.nearest(at, rounded);
            let mut own = false;
            let part = cell
                .get_or_init(async || {
                    own = true;
                    read(logs, feed, filters, begins, floor).await.map(Arc::new)
                })
                .await
                .clone()?;
            if !own {
                logs.metrics.log_shared.inc();
            }
            if part.reaches > at || begins == at {
                return Ok(part);
            }
            rounded = at;
        }
    }

    /// The last part that covers what comes after `at`, or may when it is read. Where there is none, a new one from
    /// `rounded`; from `at` itself when the one from there ended before, which all who come from that part share.
    fn nearest(&self, at: u64, rounded: u64) -> (u64, Arc<Reading>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|_, part| serves(part));
        let covering = parts.range(..=at).rev().find(|(begins, part)| match part.get() {
            Some(Ok(part)) => part.reaches > at,
            Some(Err(_)) => false,
            None => **begins >= rounded,
        });
        if let Some((begins, part)) = covering {
            return (*begins, Arc::clone(part));
        }
        let from = if parts.contains_key(&rounded) { at } else { rounded };
        let part = Arc::<Reading>::default();
        parts.insert(from, Arc::clone(&part));
        (from, part)
    }
}

fn serves(part: &Arc<Reading>) -> bool {
    match part.get() {
        Some(Ok(part)) => is_fresh(part.read_at),
        // Those who waited have the error; who comes now tries again.
        Some(Err(_)) => false,
        // Somebody reads it, or nobody does any more.
        None => Arc::strong_count(part) > 1,
    }
}

/// What one read takes in, of all its filters together: somebody who takes it slowly holds it until the last message.
const PART_BYTES: usize = 256 * 1024;

/// One page of each filter, merged: what is after `at`, as far as every filter reaches.
async fn read(logs: &Logs, feed: Feed, filters: &Filters, at: u64, floor: u64) -> Result<Part, ReadError> {
    let bus = logs.bus();
    let mut frames: Vec<Arc<Frame>> = Vec::new();
    let mut reaches = floor;
    for filter in filters {
        let _permit = logs.admit().await;
        let subject = bus.subjects().feed_filter(filter);
        let mut read = bus
            .read(bus.names().feed(feed), subject, at + 1, floor)
            .in_pages_of(PART_BYTES / filters.len().max(1));
        let page = read.next_page().await?.unwrap_or_default();
        if !read.is_done() {
            reaches = reaches.min(page.last().map_or(at, |message| message.seq));
        }
        frames.extend(page.iter().filter_map(|message| logs.frame(feed, message)));
    }
    frames.retain(|frame| frame.seq <= reaches);
    frames.sort_by_key(|frame| frame.seq);
    frames.dedup_by_key(|frame| frame.seq);
    let state = match feed {
        Feed::Run => Some(logs.state(feed).await?),
        Feed::Odds => None,
    };
    Ok(Part {
        _counted: logs.count(&frames),
        frames,
        reaches: reaches.max(at),
        state,
        read_at: Instant::now(),
    })
}
