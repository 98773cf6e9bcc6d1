//! How a gateway says goodbye: unready first, then each client at a slot of its own, then whoever is left.
//!
//! Clients that were all closed at once would all come back at once. Each is told when it will be closed, at a moment
//! drawn for it alone, and is served until then.

use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What sessions watch.
#[derive(Debug, Clone)]
pub struct Farewell {
    spread: watch::Receiver<Option<Duration>>,
    force: CancellationToken,
}

/// What the one who stops the gateway holds.
#[derive(Debug)]
pub struct Drain {
    spread: watch::Sender<Option<Duration>>,
    force: CancellationToken,
}

impl Drain {
    /// A drain that has not begun, and what sessions watch for it.
    pub fn new() -> (Self, Farewell) {
        let (sender, spread) = watch::channel(None);
        let force = CancellationToken::new();
        (
            Self {
                spread: sender,
                force: force.clone(),
            },
            Farewell { spread, force },
        )
    }

    /// Tells every session, and each that begins later, to end within `spread`.
    pub fn begin(&self, spread: Duration) {
        self.spread.send_replace(Some(spread));
    }

    /// Ends the sessions that are left.
    pub fn force(&self) {
        self.force.cancel();
    }
}

impl Farewell {
    /// Waits until the gateway is to end, and gives the time from then to this session's slot.
    ///
    /// # Cancel safety
    /// Dropping this future changes nothing.
    pub async fn slot(&mut self) -> Duration {
        let spread = match self.spread.wait_for(Option::is_some).await {
            Ok(spread) => spread.unwrap_or_default(),
            // Nobody is left who could say when: at once.
            Err(_) => Duration::ZERO,
        };
        spread.mul_f64(rand::random_range(0.0..1.0))
    }

    /// Whether the gateway is to end.
    pub fn has_begun(&self) -> bool {
        self.spread.borrow().is_some()
    }

    /// Waits until the gateway is to end.
    pub async fn begun(&mut self) {
        // Nobody is left who could say it: that is the end as well.
        let _ = self.spread.wait_for(Option::is_some).await;
    }

    /// Waits until the time is over.
    pub async fn forced(&self) {
        self.force.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_session_has_a_slot_of_its_own_within_the_spread() {
        let (drain, farewell) = Drain::new();
        let early = farewell.clone();
        drain.begin(Duration::from_secs(100));
        let mut slots = Vec::new();
        for mut session in [early, farewell.clone(), farewell.clone(), farewell] {
            slots.push(session.slot().await);
        }
        assert!(slots.iter().all(|slot| *slot < Duration::from_secs(100)));
        slots.sort();
        slots.dedup();
        assert_eq!(slots.len(), 4);
    }
}
