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
        let server = self.client().server_info();
        let connected = (server.server_name.as_str(), server.server_id.as_str());
        term_of(leader.as_deref(), since.as_deref(), connected)
    }

    /// Whether a stored message begins a term of ODDS.
    pub fn is_term(&self, message: &Stored) -> bool {
        self.subjects().term_slot(&message.subject).is_some()
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
            let terms = page.iter().filter(|message| self.is_term(message));
            marks.extend(terms.map(of));
        }
        Ok(marks)
    }
}

/// The term, by the leader, since when it leads, and name and id of the server of this connection.
fn term_of(leader: Option<&str>, since: Option<&str>, connected: (&str, &str)) -> u32 {
    let (name, id) = connected;
    let leader = leader.unwrap_or(name);
    let since = match since {
        Some(since) => since,
        // A server alone, or the only node that has the stream, does not say since when: each start of it has another id.
        // Of another node than the one of this connection nobody tells its id.
        None if leader == name => id,
        None => "",
    };
    cursor::epoch(&format!("{leader}@{since}"), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_N1: (&str, &str) = ("n1", "NA");
    const AT_N2: (&str, &str) = ("n2", "NB");

    #[test]
    fn a_term_is_named_by_its_leader_and_since_when_that_leads_whichever_node_one_asks() {
        let term = term_of(Some("n1"), Some("12:00"), AT_N1);
        assert_eq!(term_of(Some("n1"), Some("12:00"), AT_N2), term);
        assert_ne!(term_of(Some("n1"), Some("12:01"), AT_N1), term);
        assert_ne!(term_of(Some("n2"), Some("12:00"), AT_N1), term);
    }

    #[test]
    fn a_server_that_does_not_say_since_when_is_in_another_term_with_each_start() {
        assert_ne!(
            term_of(Some("n1"), None, AT_N1),
            term_of(Some("n1"), None, ("n1", "NC"))
        );
        assert_eq!(term_of(None, None, AT_N1), term_of(Some("n1"), None, AT_N1));
    }

    /// The id of the node that one happens to be connected to says nothing about the leader of a stream with one copy.
    #[test]
    fn a_leader_that_does_not_say_since_when_is_in_the_same_term_whichever_other_node_one_asks() {
        let term = term_of(Some("n1"), None, AT_N2);
        assert_eq!(term_of(Some("n1"), None, ("n3", "ND")), term);
        assert_eq!(term_of(Some("n1"), None, ("n2", "NE")), term);
        assert_ne!(term_of(Some("n3"), None, AT_N2), term);
    }
}
