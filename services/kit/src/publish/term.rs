//! The terms of ODDS, marked by whoever stores odds: before anything else is stored in one.

use super::{Ack, Failure, Publication, PublishError};
use crate::{
    bus::Bus,
    log::{ReadError, StreamState},
    restore,
};
use oddswire_protocol::{Feed, Subjects, header::TERM};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// What is known of the term.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    looked: Mutex<Option<Look>>,
    /// Whoever looks; others wait for the same look.
    looking: tokio::sync::Mutex<()>,
    /// The newest sequence that ODDS was seen to have.
    seen: AtomicU64,
}

/// The last look, after which the term was marked.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    /// The number of the connection.
    over: u64,
    term: u32,
}

/// How long a look holds. Servers that lost what they had acknowledged take longer than this to start and to elect a
/// leader.
const HOLDS: Duration = Duration::from_millis(500);

impl Marked {
    fn last(&self) -> Option<Look> {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self, over: u64) -> bool {
        let last = self.last();
        last.is_some_and(|look| look.over == over && look.at.elapsed() < HOLDS)
    }

    fn set(&self, look: Option<Look>) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = look;
    }
}

impl Bus {
    /// Marks the term of ODDS, unless somebody did.
    pub(super) async fn hold_term(&self) -> Result<(), Failure> {
        let over = self.connects();
        self.is_still(over)?;
        if self.marked.holds(over) {
            return Ok(());
        }
        let _one = self.marked.looking.lock().await;
        if self.marked.holds(over) {
            return self.is_still(over);
        }
        let at = Instant::now();
        // Read before ODDS is asked: what is acknowledged meanwhile need not be in the answer.
        let seen = self.marked.seen.load(Relaxed);
        let state = self.odds_state().await?;
        let term = state.term;
        if state.last_seq < seen {
            // Put back from a copy by the server that leads it, which goes on.
            self.mark_term(&unlike_any("shorter")).await?;
            self.marked.seen.store(state.last_seq, Relaxed);
        } else {
            let is_marked = |look: Look| (look.over, look.term) == (over, term);
            if !self.marked.last().is_some_and(is_marked) {
                self.mark_term(&format!("{term:08x}")).await?;
            }
            self.marked.seen.fetch_max(state.last_seq, Relaxed);
        }
        self.marked.set(Some(Look { at, over, term }));
        self.is_still(over)
    }

    /// Whether a connection is there and still the same. What is sent without one waits in the client, and the server of
    /// the next one would store it before anybody has marked its term.
    fn is_still(&self, over: u64) -> Result<(), Failure> {
        if self.is_connected() && self.connects() == over {
            Ok(())
        } else {
            Err(Failure::Silent)
        }
    }

    /// Keeps what became of a try to store odds. The term is looked at again before the next one where this one failed,
    /// perhaps because another has begun.
    pub(super) fn note_try(&self, tried: &Result<Ack, Failure>) {
        match tried {
            Ok(ack) => _ = self.marked.seen.fetch_max(ack.seq, Relaxed),
            Err(_) => self.marked.set(None),
        }
    }

    /// Has ODDS begin a new term now: what was stored before an operator put the stream back from a copy is of another
    /// history, whoever leads it. Waits for up to 30 s while ODDS has no leader.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn begin_term(&self) -> Result<(), PublishError> {
        let name = unlike_any("operator");
        let mark = async || self.mark_term(&name).await;
        let marked = restore::once_led(mark, |failure| matches!(failure, Failure::Silent)).await;
        marked.map_err(|failure| match failure {
            Failure::Final(error) => error,
            Failure::Refused(why) => PublishError::Refused(why),
            Failure::Silent => PublishError::Refused(format!(
                "{} takes nothing: too few of its nodes are up, or this key may not write its terms",
                self.names().odds
            )),
        })
    }

    async fn odds_state(&self) -> Result<StreamState, Failure> {
        let state = self.stream_state(self.names().feed(Feed::Odds)).await;
        state.map_err(unread)
    }

    /// Stores the mark of this term behind that of another.
    async fn mark_term(&self, term: &str) -> Result<(), Failure> {
        let stream = self.names().feed(Feed::Odds);
        let subjects = self.subjects();
        loop {
            let all = subjects.term_all();
            let last = self.leader_last_message(stream, &all).await.map_err(unread)?;
            let last = last.filter(|last| self.is_term(last));
            if last.as_ref().and_then(|last| last.header(TERM)) == Some(term) {
                return Ok(());
            }
            let before = last.and_then(|last| subjects.term_slot(&last.subject));
            let slot = before.map_or(0, |slot| (slot + 1) % Subjects::TERM_SLOTS);
            let subject = subjects.term(slot);
            let replaced = self.leader_last_message(stream, &subject).await.map_err(unread)?;
            let message = Publication {
                headers: vec![(TERM, term.to_owned())],
                expected: Some(replaced.map_or(0, |message| message.seq)),
                ..Publication::new(
                    subject,
                    format!("term:{:032x}", rand::random::<u128>()),
                    Vec::new().into(),
                )
            };
            match self.try_publish(message.outgoing(), &message.subject).await {
                Ok(_) => return Ok(()),
                // Somebody else marked a term just now: perhaps this one.
                Err(Failure::Final(PublishError::WrongLast)) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// A name that no term has.
fn unlike_any(why: &str) -> String {
    format!("{why}-{:016x}", rand::random::<u64>())
}

fn unread(error: ReadError) -> Failure {
    match error {
        ReadError::NoStream | ReadError::Other(_) => Failure::Refused(error.to_string()),
        ReadError::Timeout | ReadError::NoResponders | ReadError::NoLeader | ReadError::Behind => {
            Failure::Silent
        }
    }
}
