//! What proves that a position is of a stream's present history.
//!
//! A stream that was put back from a copy, or that lost its newest messages, gives the same sequences again. RUNS keeps
//! every message, so the message at a sequence tells. ODDS keeps last images alone: what a position speaks of may be
//! replaced. There a **term** begins with a message that nothing replaces, whenever another server process leads the
//! stream. No history can fork while one process leads it, so the newest term at or before a sequence tells.

use crate::{
    bus::Bus,
    log::{ReadError, Stored},
};
use oddswire_protocol::{Feed, cursor};

impl Stored {
    /// Its mark.
    pub fn mark(&self) -> u32 {
        cursor::mark(self.seq, self.stored_at)
    }
}

impl Bus {
    /// The term that a stream is in, by who leads it and since when.
    pub(crate) fn term(&self, led: Option<(Option<String>, Option<String>)>) -> u32 {
        let (leader, since) = led.unwrap_or_default();
        // A server alone does not say since when; each start of it has another id.
        let since = since.unwrap_or_else(|| self.client().server_info().server_id);
        cursor::epoch(&format!("{}@{since}", leader.unwrap_or_default()), 0)
    }

    /// How often the connection was made. It moves before anything comes in over the new one.
    pub fn connects(&self) -> u64 {
        use std::sync::atomic::Ordering::SeqCst;
        self.client().statistics().connects.load(SeqCst)
    }

    /// The marks that hold up to `last_seq`, the newest sequence of a feed's stream, each with the sequence from which
    /// on it holds. Of runs the last one alone: none when the message there is forgotten. Of odds all.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn marks(&self, feed: Feed, last_seq: u64) -> Result<Vec<(u64, u32)>, ReadError> {
        if last_seq == 0 {
            return Ok(vec![(0, 0)]);
        }
        let stream = self.names().feed(feed);
        let of = |message: &Stored| (message.seq, message.mark());
        if feed == Feed::Run {
            let last = self.leader_message(stream, last_seq).await?;
            return Ok(last.iter().map(of).collect());
        }
        let mut marks = vec![(0, 0)];
        let mut read = self.read(stream, self.subjects().term_all(), 1, last_seq);
        while let Some(page) = read.next_page().await? {
            marks.extend(page.iter().map(of));
        }
        Ok(marks)
    }
}
