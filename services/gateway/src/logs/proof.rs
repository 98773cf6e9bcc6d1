//! Proofs of positions that a gateway cannot judge by what it saw: asked of the leader, once for all who bring the same.

use super::Logs;
use oddswire_kit::log::ReadError;
use oddswire_protocol::{Feed, cursor::Proof};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

/// What the leader has at the end of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// What the position says.
    Same,
    /// Something else.
    Other,
    /// Nothing any more: it was too old.
    Forgotten,
}

/// A feed, one of its lives, and the end of a position.
type Place = (Feed, u64, u64);

/// What the leader told of a place, or is asked.
type Mark = Arc<OnceCell<u32>>;

/// The marks that the leader told, by place.
#[derive(Debug, Default)]
pub(super) struct Proved(Mutex<Kept>);

/// Two generations: a place that is asked for again is of the newer one, so whoever asks for many others does not have
/// it forgotten.
#[derive(Debug, Default)]
struct Kept {
    newer: HashMap<Place, Mark>,
    older: HashMap<Place, Mark>,
}

/// Marks that a generation has at most, some 100 bytes each.
const GENERATION_MAX: usize = 2_048;

impl Kept {
    fn mark(&mut self, place: Place) -> Mark {
        if let Some(mark) = self.newer.get(&place) {
            return Arc::clone(mark);
        }
        let mark = self.older.remove(&place).unwrap_or_default();
        if self.newer.len() >= GENERATION_MAX {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(place, Arc::clone(&mark));
        mark
    }
}

/// Why there is no mark.
enum NoMark {
    /// The stream forgot what was there: it was too old.
    Forgotten,
    /// It has nothing there, though it has what is before.
    Missing,
    Read(ReadError),
}

impl Logs {
    /// What the leader of a feed's stream has at the end of a position. `life` is that of the feed: in another one it is
    /// asked again.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn past(&self, feed: Feed, life: u64, proof: Proof) -> Result<Past, ReadError> {
        let mark = {
            let mut kept = self.proved.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.mark((feed, life, proof.end))
        };
        let told = mark.get_or_try_init(|| self.read_mark(feed, proof.end)).await;
        judge(told.copied(), proof)
    }

    /// The same as the leader has it now, whatever it told before.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn past_now(&self, feed: Feed, proof: Proof) -> Result<Past, ReadError> {
        judge(self.read_mark(feed, proof.end).await, proof)
    }

    async fn read_mark(&self, feed: Feed, end: u64) -> Result<u32, NoMark> {
        let _permit = self.admit().await;
        let found = self.bus.marks(feed, end).await.map_err(NoMark::Read)?;
        if let Some((_, mark)) = found.last() {
            return Ok(*mark);
        }
        let oldest = self.state(feed).await.map_err(NoMark::Read)?.first_seq;
        Err(if oldest > end {
            NoMark::Forgotten
        } else {
            NoMark::Missing
        })
    }
}

fn judge(mark: Result<u32, NoMark>, proof: Proof) -> Result<Past, ReadError> {
    match mark {
        Ok(mark) if mark == proof.mark => Ok(Past::Same),
        Ok(_) | Err(NoMark::Missing) => Ok(Past::Other),
        Err(NoMark::Forgotten) => Ok(Past::Forgotten),
        Err(NoMark::Read(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_is_asked_for_stays_however_many_others_are() {
        let mut kept = Kept::default();
        let asked = kept.mark((Feed::Run, 1, 0));
        for end in 1..10 * GENERATION_MAX as u64 {
            kept.mark((Feed::Run, 1, end));
            if end % 1_000 == 0 {
                assert!(Arc::ptr_eq(&asked, &kept.mark((Feed::Run, 1, 0))));
            }
            assert!(kept.newer.len() + kept.older.len() <= 2 * GENERATION_MAX);
        }
    }
}
