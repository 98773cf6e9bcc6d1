//! The terms of ODDS, marked by whoever stores odds: before anything else is stored in one.

use super::{Failure, Publication, PublishError};
use crate::{bus::Bus, log::StreamState};
use oddswire_protocol::{Feed, Subjects, header::TERM};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The last look at the term.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    looked: Mutex<Option<Look>>,
    /// Whoever looks; others wait for the same look.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    /// The number of the connection.
    over: u64,
}

/// How long a look holds. Servers that lost what they had acknowledged take longer than this to start and to elect a
/// leader.
const HOLDS: Duration = Duration::from_millis(500);

impl Marked {
    fn holds(&self, over: u64) -> bool {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.is_some_and(|look| look.over == over && look.at.elapsed() < HOLDS)
    }

    fn set(&self, look: Option<Look>) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = look;
    }
}

impl Bus {
    /// Marks the term of ODDS, unless somebody did.
    pub(super) async fn hold_term(&self) -> Result<(), Failure> {
        let over = self.connects();
        if self.marked.holds(over) {
            return Ok(());
        }
        let _one = self.marked.looking.lock().await;
        if self.marked.holds(over) {
            return Ok(());
        }
        let at = Instant::now();
        let state = self.odds_state().await?;
        self.mark_term(&format!("{:08x}", state.term)).await?;
        self.marked.set(Some(Look { at, over }));
        Ok(())
    }

    /// Has the term looked at again before the next try: this one failed, perhaps because another has begun.
    pub(super) fn doubt_term(&self) {
        self.marked.set(None);
    }

    /// Has ODDS begin a new term now: what was stored before an operator put the stream back from a copy is of another
    /// history, whoever leads it.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn begin_term(&self) -> Result<(), PublishError> {
        let name = format!("operator-{:016x}", rand::random::<u64>());
        self.mark_term(&name).await.map_err(|failure| match failure {
            Failure::Final(error) => error,
            Failure::Refused(why) => PublishError::Refused(why),
            Failure::Silent => PublishError::Refused("the bus does not answer".into()),
        })
    }

    async fn odds_state(&self) -> Result<StreamState, Failure> {
        let state = self.stream_state(self.names().feed(Feed::Odds)).await;
        state.map_err(|_| Failure::Silent)
    }

    /// Stores the mark of this term behind that of another.
    async fn mark_term(&self, term: &str) -> Result<(), Failure> {
        let stream = self.names().feed(Feed::Odds);
        let subjects = self.subjects();
        loop {
            let all = subjects.term_all();
            let last = self.leader_last_message(stream, &all).await;
            let last = last.map_err(|_| Failure::Silent)?;
            if last.as_ref().and_then(|last| last.header(TERM)) == Some(term) {
                return Ok(());
            }
            let before = last.and_then(|last| subjects.term_slot(&last.subject));
            let slot = before.map_or(0, |slot| (slot + 1) % Subjects::TERM_SLOTS);
            let subject = subjects.term(slot);
            let replaced = self.leader_last_message(stream, &subject).await;
            let replaced = replaced.map_err(|_| Failure::Silent)?;
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
