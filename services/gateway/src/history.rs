//! What the odds of an event were: the images of the last day, read from HISTORY when asked for.

use crate::{
    board::{Filter, join},
    quarantine::Quarantine,
};
use bytes::Bytes;
use oddswire_kit::{bus::Bus, log::ReadError};
use oddswire_protocol::{EventId, Feed, Timestamp};

/// A part of the past of an event.
#[derive(Debug)]
pub struct HistoryPage {
    /// The event.
    pub event_id: EventId,
    /// Nothing in it is older.
    pub since: Timestamp,
    /// `odds_update` envelopes, oldest first.
    pub images: Vec<Bytes>,
    /// Where the next page begins; `None` on the last.
    pub next_page: Option<u64>,
}

/// Reads a part of an event's past: what HISTORY has of it after its sequence `after`, `limit` images at most.
///
/// # Errors
/// [`ReadError`].
pub async fn page(
    bus: &Bus,
    quarantine: &Quarantine,
    event_id: EventId,
    filter: Filter,
    since: Timestamp,
    after: u64,
    limit: usize,
) -> Result<HistoryPage, ReadError> {
    let filter = Filter {
        event_id: Some(event_id.clone()),
        ..filter
    };
    let subjects = bus.subjects().feed_filter(&filter.quotes());
    let mut read = bus.read(&bus.names().history, subjects, after.saturating_add(1), u64::MAX);
    let (mut images, mut next_page) = (Vec::new(), None);
    'read: while let Some(messages) = read.next_page().await? {
        for message in messages {
            let Some(frame) = quarantine.admit(Feed::Odds, &message) else {
                continue;
            };
            if frame.at.is_none_or(|at| at < since) {
                continue;
            }
            if images.len() == limit {
                next_page = Some(message.seq - 1);
                break 'read;
            }
            images.push(frame.envelope.bytes().clone());
        }
    }
    Ok(HistoryPage {
        event_id,
        since,
        images,
        next_page,
    })
}

impl HistoryPage {
    /// The answer's body, the publishers' bytes spliced.
    pub fn into_json(self) -> Vec<u8> {
        let (event_id, since) = (&self.event_id, self.since);
        let mut out =
            format!("{{\"event_id\":\"{event_id}\",\"since\":\"{since}\",\"images\":[").into_bytes();
        join(&mut out, self.images.iter(), |out, image| {
            out.extend_from_slice(image);
        });
        let next = self
            .next_page
            .map_or_else(|| "null".into(), |page| format!("\"{page}\""));
        out.extend_from_slice(format!("],\"next_page\":{next}}}").as_bytes());
        out
    }
}
