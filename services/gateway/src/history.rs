//! What the odds of an event were: the images of the last day, read from HISTORY when asked for.

use crate::{
    board::Filter,
    listing::{Listing, PAGE_BYTES, Part, Writer},
    logs::Logs,
    quarantine::Quarantine,
};
use oddswire_kit::log::{Read, ReadError, Stored};
use oddswire_protocol::{EventId, Feed, Timestamp};
use std::sync::Arc;

/// A part of the past of an event, read as it is sent: `odds_update` envelopes, oldest first.
#[derive(Debug)]
pub struct History {
    quarantine: Arc<Quarantine>,
    read: Read,
    since: Timestamp,
    /// Images that may still come.
    left: usize,
    next_page: Option<u64>,
    is_over: bool,
    out: Writer,
}

impl History {
    /// Begins to read what HISTORY has of an event after its sequence `after`, nothing older than `since`, `limit` images
    /// at most.
    pub fn begin(
        logs: &Logs,
        event_id: &EventId,
        filter: Filter,
        since: Timestamp,
        after: u64,
        limit: usize,
    ) -> Self {
        let filter = Filter {
            event_id: Some(event_id.clone()),
            ..filter
        };
        let bus = logs.bus();
        let subjects = bus.subjects().feed_filter(&filter.quotes());
        let read = bus.read(&bus.names().history, subjects, after.saturating_add(1), u64::MAX);
        let head = format!("{{\"event_id\":\"{event_id}\",\"since\":\"{since}\",\"images\":[");
        Self {
            quarantine: Arc::clone(logs.quarantine()),
            read: read.in_pages_of(PAGE_BYTES),
            since,
            left: limit,
            next_page: None,
            is_over: false,
            out: Writer::begin(&head),
        }
    }

    fn take(&mut self, messages: Option<Vec<Stored>>) {
        self.is_over = messages.is_none();
        for message in messages.into_iter().flatten() {
            let Some(frame) = self.quarantine.admit(Feed::Odds, &message) else {
                continue;
            };
            if frame.at.is_none_or(|at| at < self.since) {
                continue;
            }
            if self.left == 0 {
                self.next_page = Some(message.seq - 1);
                self.is_over = true;
                break;
            }
            self.left -= 1;
            self.out.item(frame.envelope.bytes());
        }
        if self.is_over {
            self.out.end("]", self.next_page);
        }
    }
}

impl Listing for History {
    async fn next(&mut self) -> Result<Part, ReadError> {
        while !self.is_over && !self.out.is_full() {
            let messages = self.read.next_page().await?;
            self.take(messages);
        }
        Ok(self.out.part(self.is_over))
    }
}
