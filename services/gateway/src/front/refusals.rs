//! Refusals in the log: each reason is told at once, and then seldom, however many come.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A reason that was told is not told again for this long.
const QUIET_FOR: Duration = Duration::from_secs(10);

/// When each reason was told last, and how many refusals were left out since.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<&'static str, (Instant, u64)>>);

impl Refusals {
    /// Whether a refusal for this reason is to be logged now: with how many of the same were left out since the last.
    pub(crate) fn due(&self, reason: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((at, left_out)) = told.get_mut(reason) else {
            told.insert(reason, (now, 0));
            return Some(0);
        };
        if now.duration_since(*at) < QUIET_FOR {
            *left_out += 1;
            return None;
        }
        *at = now;
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_refusals_is_one_line_a_reason_and_its_number() {
        let refusals = Refusals::default();
        assert_eq!(refusals.due("origin"), Some(0));
        assert_eq!((0..500).filter_map(|_| refusals.due("origin")).count(), 0);
        assert_eq!(refusals.due("host"), Some(0), "another reason is told at once");
        tokio::time::advance(QUIET_FOR).await;
        assert_eq!(refusals.due("origin"), Some(500));
        assert_eq!(refusals.due("origin"), None);
    }
}
