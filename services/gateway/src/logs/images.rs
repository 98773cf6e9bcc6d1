//! The last images of runs, shared by the clients that begin with them.

use super::{Filters, Logs, is_fresh};
use crate::frame::Frame;
use oddswire_kit::log::{ReadError, Stored};
use oddswire_protocol::{Feed, Timestamp, header::CE_TIME};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::Mutex, time::Instant};

/// The last image of each run, as of one moment.
#[derive(Debug)]
pub struct Images {
    /// By rising sequence.
    pub images: Vec<Image>,
    /// The sequence of the log as of which they are.
    pub as_of: u64,
    read_at: Instant,
}

/// The last image of a run.
#[derive(Debug)]
pub struct Image {
    /// Its sequence in the log.
    pub seq: u64,
    /// When it was, or was stored where it does not say.
    pub at: Timestamp,
    /// The image.
    pub frame: Arc<Frame>,
}

/// The images under the same filters.
#[derive(Debug, Default)]
pub(super) struct ImagesRead {
    // Held while they are read: others who want them wait for the same read.
    newest: Mutex<Option<Arc<Images>>>,
}

impl ImagesRead {
    /// Whether nothing is read and nothing serves any more.
    pub(super) fn is_idle(&self) -> bool {
        // Whoever holds the lock reads.
        self.newest
            .try_lock()
            .is_ok_and(|newest| newest.as_ref().is_none_or(|images| !is_fresh(images.read_at)))
    }

    pub(super) async fn as_of(
        &self,
        logs: &Logs,
        filters: &Filters,
        high: u64,
        at_least: u64,
    ) -> Result<Arc<Images>, ReadError> {
        let mut newest = self.newest.lock().await;
        if let Some(images) = newest.as_ref()
            && is_fresh(images.read_at)
            && images.as_of >= at_least
        {
            return Ok(Arc::clone(images));
        }
        let images = Arc::new(read(logs, filters, high.max(at_least)).await?);
        *newest = Some(Arc::clone(&images));
        Ok(images)
    }
}

/// The last images as of `floor`. The copy that holds them may be behind the log; what it does not have yet is read from
/// the log itself.
async fn read(logs: &Logs, filters: &Filters, floor: u64) -> Result<Images, ReadError> {
    let _permit = logs.admit().await;
    let bus = logs.bus();
    let names = bus.names();
    let log = logs.state(Feed::Run).await?;
    let copied = bus.copied_to(&names.runs_last, &log).await?;
    let mut last: BTreeMap<String, Stored> = BTreeMap::new();
    for filter in filters {
        let subject = bus.subjects().feed_filter(filter);
        for (stream, from, to) in [(&names.runs_last, 1, u64::MAX), (&names.runs, copied + 1, floor)] {
            let mut read = bus.read(stream, subject.clone(), from, to);
            while let Some(page) = read.next_page().await? {
                // What is past the floor comes by the stream.
                let known = page
                    .into_iter()
                    .filter(|message| message.is_of(&log) && message.origin_seq() <= floor);
                last.extend(known.map(|message| (message.subject.clone(), message)));
            }
        }
    }
    let mut images: Vec<Image> = last
        .into_values()
        .filter_map(|message| {
            let said = message.header(CE_TIME).and_then(|text| text.parse().ok());
            Some(Image {
                seq: message.origin_seq(),
                at: said.unwrap_or(message.stored_at),
                frame: logs.frame(&message)?,
            })
        })
        .collect();
    images.sort_by_key(|image| image.seq);
    Ok(Images {
        images,
        as_of: floor,
        read_at: Instant::now(),
    })
}
