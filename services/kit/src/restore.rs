//! Whether streams that were put back from a backup fit together.

use crate::{bus::Bus, log::ReadError};
use std::{fmt, time::Duration};
use tokio::time::{Instant, sleep};

/// A copy that does not fit its origin, or of which nobody can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The copy.
    pub copy: String,
    /// The stream that it copies.
    pub origin: String,
    /// Why it is one.
    pub why: Why,
}

/// Why a copy is not known to fit its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It holds what its origin does not.
    Ahead {
        /// The sequence of the origin that it has a message of.
        seq: u64,
        /// The newest sequence of the origin.
        origin_last: u64,
    },
    /// Its newest message is gone, by age: nothing says up to where it has copied.
    Forgotten,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { copy, origin, why } = self;
        match why {
            Why::Ahead { seq, origin_last } => write!(
                f,
                "{copy} has a message {seq} of {origin} that {origin} (up to {origin_last}) has not: it was not put \
                 back together with it, and would not copy what comes."
            )?,
            Why::Forgotten => write!(
                f,
                "whether {copy} fits {origin} cannot be told: its newest message was too old and is gone. If it does \
                 not fit, it would not copy what comes."
            )?,
        }
        write!(
            f,
            " Delete it (`nats stream rm {copy}`) and have `oddswire provision` make it anew"
        )
    }
}

/// The copies that do not fit their origin, or of which nobody can tell. Waits for up to 30 s while a stream has no
/// leader.
///
/// # Errors
/// [`ReadError`].
pub async fn strays(bus: &Bus) -> Result<Vec<Stray>, ReadError> {
    let names = bus.names();
    let mut found = Vec::new();
    for (copy, origin) in [(&names.runs_last, &names.runs), (&names.history, &names.odds)] {
        let look = async || why_stray(bus, copy, origin).await;
        let passes = |error: &ReadError| !matches!(error, ReadError::NoStream | ReadError::Other(_));
        if let Some(why) = once_led(look, passes).await? {
            let (copy, origin) = (copy.clone(), origin.clone());
            found.push(Stray { copy, origin, why });
        }
    }
    Ok(found)
}

async fn why_stray(bus: &Bus, copy: &str, origin: &str) -> Result<Option<Why>, ReadError> {
    let (of_copy, of_origin) = (bus.stream_state(copy).await?, bus.stream_state(origin).await?);
    if of_copy.last_seq == 0 {
        return Ok(None);
    }
    let Some(last) = bus.leader_message(copy, of_copy.last_seq).await? else {
        return Ok(Some(Why::Forgotten));
    };
    let seq = last.origin_seq();
    let there = match bus.leader_message(origin, seq).await? {
        Some(there) => there.header("Nats-Msg-Id") == last.header("Nats-Msg-Id"),
        // Forgotten, or replaced by a newer one.
        None => seq <= of_origin.last_seq,
    };
    Ok((!there).then_some(Why::Ahead {
        seq,
        origin_last: of_origin.last_seq,
    }))
}

/// How long servers that were just started may take to elect the leader of a stream.
const LED_WITHIN: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(200);

/// Asks until the answer is no error that passes, for as long as an election may take.
pub(crate) async fn once_led<T, E>(
    ask: impl AsyncFn() -> Result<T, E>,
    passes: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let give_up = Instant::now() + LED_WITHIN;
    loop {
        match ask().await {
            Err(error) if passes(&error) && Instant::now() < give_up => sleep(RETRY).await,
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn an_election_is_waited_for_and_not_for_ever() {
        let asked = Cell::new(0);
        let elected_at = |count| {
            let asked = &asked;
            async move || {
                asked.set(asked.get() + 1);
                if asked.get() < count {
                    Err(ReadError::NoLeader)
                } else {
                    Ok(count)
                }
            }
        };
        let passes = |error: &ReadError| *error == ReadError::NoLeader;
        assert_eq!(once_led(elected_at(20), passes).await, Ok(20));
        let began = Instant::now();
        let never = once_led(elected_at(u32::MAX), passes).await;
        assert_eq!(never, Err(ReadError::NoLeader));
        assert_eq!(began.elapsed().as_secs(), LED_WITHIN.as_secs());
        let other = async || Err::<(), _>(ReadError::NoStream);
        assert_eq!(once_led(other, passes).await, Err(ReadError::NoStream));
    }
}
