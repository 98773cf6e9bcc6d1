//! How fast one connection is read.
//!
//! A gateway reads each connection only so fast. Whoever sends more is not refused: what it sends stays in the kernel,
//! TCP's window closes, and the sender waits. So a flood of whatever there is (texts, pings, empty fragments, deflated
//! messages, frames of HTTP/2, requests one behind the other) costs a bounded share of the processor, and nobody else
//! waits for it.

use std::time::Duration;
use tokio::time::Instant;

/// The budget of one connection: bytes that are read of it.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Bytes a second; zero: no limit.
    per_s: f64,
    /// Below zero while more was read than there was: the rest of one read.
    left: f64,
    at: Instant,
}

impl Pace {
    /// `per_s` bytes a second, 0 for no limit; twice as many may come at once.
    pub(crate) fn new(per_s: u32) -> Self {
        let per_s = f64::from(per_s);
        Self {
            per_s,
            left: per_s * 2.0,
            at: Instant::now(),
        }
    }

    fn now_left(&self, now: Instant) -> f64 {
        let refill = now.duration_since(self.at).as_secs_f64() * self.per_s;
        (self.left + refill).min(self.per_s * 2.0)
    }

    /// Counts what was read.
    pub(crate) fn spend(&mut self, bytes: usize) {
        let now = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let bytes = bytes as f64;
        self.left = self.now_left(now) - bytes;
        self.at = now;
    }

    /// When more may be read; `None`: now.
    pub(crate) fn next_read_at(&self) -> Option<Instant> {
        let now = Instant::now();
        let left = self.now_left(now);
        (self.per_s > 0.0 && left < 0.0).then(|| now + Duration::from_secs_f64(-left / self.per_s))
    }

    /// Whether at least half of what may come at once is left: the client has not sent much of late.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.now_left(Instant::now()) >= self.per_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_seconds_of_bytes_may_come_at_once_and_then_the_reader_waits() {
        let mut pace = Pace::new(1_000);
        assert!(pace.is_at_rest());
        pace.spend(2_000);
        assert_eq!(pace.next_read_at(), None);
        assert!(!pace.is_at_rest());
        pace.spend(500);
        assert_eq!(
            pace.next_read_at(),
            Some(Instant::now() + Duration::from_millis(500))
        );
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(pace.next_read_at(), None);
        tokio::time::advance(Duration::from_secs(60)).await;
        pace.spend(2_001);
        assert!(
            pace.next_read_at().is_some(),
            "silence saves up two seconds, not sixty"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let mut pace = Pace::new(0);
        pace.spend(1 << 30);
        assert_eq!(pace.next_read_at(), None);
    }
}
