//! The last images of runs, shared by the clients that begin with them.

use super::{Counted, Filters, Logs, is_fresh};
use crate::{
    frame::{Frame, is_terminal},
    runs,
};
use oddswire_kit::log::{ReadError, Stored};
use oddswire_protocol::{Feed, Timestamp, header::CE_TIME};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::{sync::Mutex, time::Instant};

/// The last image of each run, as of one moment.
#[derive(Debug)]
pub struct Images {
    /// By rising sequence.
    pub images: Vec<Image>,
    /// The sequence of the log as of which they are.
    pub as_of: u64,
    read_at: Instant,
    _counted: Counted,
}

/// The last image of a run.
#[derive(Debug)]
pub struct Image {
    /// Its sequence in the log.
    pub seq: u64,
    /// The image.
    pub frame: Arc<Frame>,
}

/// The images under the same filters.
#[derive(Debug, Default)]
pub(super) struct ImagesRead {
    // Held while they are read: others who want them wait for the same read, and share its failure.
    newest: Mutex<Newest>,
}

#[derive(Debug, Default)]
struct Newest {
    images: Option<Arc<Images>>,
    failed: Option<(Instant, ReadError)>,
}

/// Which images are wanted.
#[derive(Debug)]
pub(super) struct ImagesWanted {
    /// Those of runs too that ended long ago.
    pub(super) everything: bool,
    /// Where the ring ends.
    pub(super) high: u64,
    /// They are to be as of this sequence or later.
    pub(super) at_least: u64,
}

/// A run that is over is part of a snapshot for this long.
const RUN_SHOWN_MS: u64 = 10 * 60 * 1000;

impl ImagesRead {
    /// Whether nothing is read and nothing serves any more.
    pub(super) fn is_idle(&self) -> bool {
        // Whoever holds the lock reads.
        self.newest.try_lock().is_ok_and(|newest| {
            newest
                .images
                .as_ref()
                .is_none_or(|images| !is_fresh(images.read_at))
        })
    }

    pub(super) async fn as_of(
        &self,
        logs: &Logs,
        filters: &Filters,
        want: &ImagesWanted,
    ) -> Result<Arc<Images>, ReadError> {
        let asked_at = Instant::now();
        let mut newest = self.newest.lock().await;
        if let Some((at, error)) = &newest.failed
            && *at >= asked_at
        {
            return Err(error.clone());
        }
        if let Some(images) = &newest.images
            && is_fresh(images.read_at)
            && images.as_of >= want.at_least
        {
            logs.metrics.log_shared.inc();
            return Ok(Arc::clone(images));
        }
        match read(logs, filters, want).await {
            Ok(images) => {
                let images = Arc::new(images);
                newest.images = Some(Arc::clone(&images));
                Ok(images)
            }
            Err(error) => {
                newest.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

/// The last images as of `floor`. The copy that holds them may be behind the log; what it does not have yet is read from
/// the log itself.
async fn read(logs: &Logs, filters: &Filters, want: &ImagesWanted) -> Result<Images, ReadError> {
    let floor = want.high.max(want.at_least);
    let now = Timestamp::now();
    let _permit = logs.admit().await;
    let bus = logs.bus();
    let names = bus.names();
    let log = logs.state(Feed::Run).await?;
    let copied = bus.copied_to(&names.runs_last, &log).await?;
    let mut last: BTreeMap<String, Image> = BTreeMap::new();
    let mut behind: BTreeSet<String> = BTreeSet::new();
    for filter in filters {
        let subject = bus.subjects().feed_filter(filter);
        for (stream, from, to) in [(&names.runs_last, 1, u64::MAX), (&names.runs, copied + 1, floor)] {
            let mut read = bus.read(stream, subject.clone(), from, to);
            while let Some(page) = read.next_page().await? {
                // What is past the floor comes by the stream.
                let known = page
                    .into_iter()
                    .filter(|message| message.is_of(&log) && message.origin_seq() <= floor);
                for message in known {
                    // The copy has every run of a day, and a message as it came needs several times a frame's memory:
                    // nothing but what is shown is held until the end of the read.
                    let Some(frame) = logs.frame(Feed::Run, &message) else {
                        // What the run was before it still stands.
                        behind.insert(message.subject);
                        continue;
                    };
                    if want.everything || worth_showing(&message, now) {
                        let seq = message.origin_seq();
                        last.insert(message.subject, Image { seq, frame });
                    } else {
                        last.remove(&message.subject);
                    }
                }
            }
        }
    }
    behind.retain(|subject| !last.contains_key(subject));
    for (message, frame) in runs::last_good_of(bus, logs.quarantine(), &behind, floor).await? {
        if want.everything || worth_showing(&message, now) {
            let (seq, frame) = (message.seq, Arc::new(frame));
            last.insert(message.subject, Image { seq, frame });
        }
    }
    let mut images: Vec<Image> = last.into_values().collect();
    images.sort_by_key(|image| image.seq);
    Ok(Images {
        _counted: logs.count(images.iter().map(|image| &image.frame)),
        images,
        as_of: floor,
        read_at: Instant::now(),
    })
}

/// A run is part of a snapshot until ten minutes after its end.
fn worth_showing(message: &Stored, now: Timestamp) -> bool {
    let said = message.header(CE_TIME).and_then(|text| text.parse().ok());
    !is_terminal(message) || now.ms_since(said.unwrap_or(message.stored_at)) <= RUN_SHOWN_MS
}
