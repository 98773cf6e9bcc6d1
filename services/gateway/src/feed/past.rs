//! Whether the stream still has the past that this gateway showed.
//!
//! A stream that was put back from a copy, or that lost its newest messages, goes on under the same sequences. Once it is
//! as long as before its state does not tell: the messages do.

use super::{FeedActor, Listener};
use oddswire_kit::log::{ReadError, Stored, StreamState};
use oddswire_protocol::Feed;

impl FeedActor {
    /// Whether the stream, in this state, has another past than the one that was shown.
    pub(super) async fn has_forked(&self, state: &StreamState) -> Result<bool, ReadError> {
        if state.last_seq < self.high {
            return Ok(true);
        }
        if self.high == 0 || self.context.trial.no_proofs {
            return Ok(false);
        }
        let there = self
            .context
            .bus
            .leader_message(&self.stream, self.high)
            .await?
            .map(|message| message.mark());
        let other = match (self.feed, there) {
            (_, Some(mark)) => self.high_mark.is_some_and(|shown| shown != mark),
            // Runs keep every message until it is old.
            (Feed::Run, None) => state.first_seq <= self.high,
            // It was replaced.
            (Feed::Odds, None) => false,
        };
        Ok(other || (self.feed == Feed::Odds && self.has_other_terms().await?))
    }

    /// Whether ODDS has another term at `high` than the one that was shown.
    async fn has_other_terms(&self) -> Result<bool, ReadError> {
        let bus = &self.context.bus;
        let last = bus
            .leader_last_message(&self.stream, &bus.subjects().term_all())
            .await?;
        let shown = self.context.hub.mark_at(self.feed, self.high);
        let Some(shown) = shown else { return Ok(false) };
        let there = match last {
            None => 0,
            Some(last) if last.seq <= self.high && bus.is_term(&last) => last.mark(),
            // Newer than what was shown, or none of the contract's: the one before tells.
            Some(_) => {
                let marks = bus.marks(self.feed, self.high).await?;
                marks.last().map_or(0, |(_, mark)| *mark)
            }
        };
        Ok(there != shown)
    }

    /// Before a live message is shown: looks at the past first where the connection is another one than it was seen over.
    pub(super) async fn look_back(&mut self, message: &Stored, listener: &mut Listener) {
        let elsewhere = self.context.bus.connects() != self.seen_over;
        if self.context.trial.no_proofs {
            return;
        }
        if !elsewhere && message.seq <= self.high {
            self.suspect(message);
        }
        if elsewhere || self.suspects {
            // Nothing of another history is shown before it was told.
            self.suspects = true;
            self.audit(listener).await;
        }
    }

    /// Notices a message under a sequence that was shown with another one.
    pub(super) fn suspect(&mut self, message: &Stored) {
        let shown = if message.seq == self.high {
            self.high_mark
        } else if self.feed == Feed::Run {
            self.context.hub.mark_at(self.feed, message.seq)
        } else {
            None
        };
        self.suspects |= !self.context.trial.no_proofs && shown.is_some_and(|shown| shown != message.mark());
    }

    /// Keeps what proves the past up to a message that is about to be shown.
    pub(super) fn witness(&mut self, message: &Stored) {
        let mark = message.mark();
        self.high_mark = Some(mark);
        let is_kept = self.feed == Feed::Run || self.context.bus.is_term(message);
        if is_kept {
            self.context.hub.witness(self.feed, message.seq, mark);
        }
    }
}
