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

/// The marks that the leader told, by place.
#[derive(Debug, Default)]
pub(super) struct Proved(Mutex<HashMap<Place, Arc<OnceCell<u32>>>>);

/// Marks that are kept at most, some 100 bytes each.
const KEPT_MAX: usize = 4_096;

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
        let cell = {
            let mut kept = self.proved.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            Arc::clone(kept.entry((feed, life, proof.end)).or_default())
        };
        let mark = cell.get_or_try_init(|| self.read_mark(feed, proof.end));
        match mark.await {
            Ok(mark) if *mark == proof.mark => Ok(Past::Same),
            Ok(_) | Err(NoMark::Missing) => Ok(Past::Other),
            Err(NoMark::Forgotten) => Ok(Past::Forgotten),
            Err(NoMark::Read(error)) => Err(error),
        }
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
