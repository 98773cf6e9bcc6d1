//! Whether streams that were put back from a backup fit together.

use crate::{bus::Bus, log::ReadError};
use std::fmt;

/// A copy that holds what its origin does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The copy.
    pub copy: String,
    /// The stream that it copies.
    pub origin: String,
    /// The sequence of the origin that it has a message of.
    pub seq: u64,
    /// The newest sequence of the origin.
    pub origin_last: u64,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            copy,
            origin,
            seq,
            origin_last,
        } = self;
        write!(
            f,
            "{copy} has a message {seq} of {origin} that {origin} (up to {origin_last}) has not: it was not put back \
             together with it, and would not copy what comes. Delete it (`nats stream rm {copy}`) and have `oddswire \
             provision` make it anew"
        )
    }
}

/// The copies that do not fit their origin.
///
/// # Errors
/// [`ReadError`].
pub async fn strays(bus: &Bus) -> Result<Vec<Stray>, ReadError> {
    let names = bus.names();
    let mut found = Vec::new();
    for (copy, origin) in [(&names.runs_last, &names.runs), (&names.history, &names.odds)] {
        let (of_copy, of_origin) = (bus.stream_state(copy).await?, bus.stream_state(origin).await?);
        let Some(last) = bus.leader_message(copy, of_copy.last_seq.max(1)).await? else {
            continue;
        };
        let seq = last.origin_seq();
        let there = match bus.leader_message(origin, seq).await? {
            Some(there) => there.header("Nats-Msg-Id") == last.header("Nats-Msg-Id"),
            // Forgotten, or replaced by a newer one.
            None => seq <= of_origin.last_seq,
        };
        if !there {
            found.push(Stray {
                copy: copy.clone(),
                origin: origin.clone(),
                seq,
                origin_last: of_origin.last_seq,
            });
        }
    }
    Ok(found)
}
