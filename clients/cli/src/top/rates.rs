//! How many events came by lately.

use crate::{sse::SseEvent, stream::Envelope};
use oddswire_protocol::SourceKey;
use serde::Deserialize;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// Seconds over which rates are taken.
const SECONDS: usize = 10;

/// Events of the last seconds, by second.
#[derive(Debug)]
pub(super) struct Rates {
    began: Instant,
    /// The newest at the front.
    seconds: VecDeque<Second>,
    turned: u64,
}

#[derive(Debug, Default)]
struct Second {
    runs: u64,
    odds: u64,
    by_source: HashMap<SourceKey, u64>,
}

impl Rates {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            seconds: VecDeque::from([Second::default()]),
            turned: 0,
        }
    }

    pub(super) fn count(&mut self, event: &SseEvent) {
        #[derive(Deserialize)]
        struct OfSource {
            source: SourceKey,
        }
        let Some(second) = self.seconds.front_mut() else {
            return;
        };
        match event.event.as_str() {
            "scrape_progress" => second.runs += 1,
            "odds_update" => {
                second.odds += 1;
                let source = Envelope::of(event).and_then(|envelope| envelope.read::<OfSource>());
                if let Some(OfSource { source }) = source {
                    *second.by_source.entry(source).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// Begins new seconds as the time goes.
    pub(super) fn turn(&mut self, now: Instant) {
        let passed = now.duration_since(self.began).as_secs();
        // More than there is room for would all be empty.
        for _ in 0..(passed - self.turned).min(SECONDS as u64 + 1) {
            self.seconds.push_front(Second::default());
        }
        self.turned = passed;
        self.seconds.truncate(SECONDS + 1);
    }

    /// Events of runs a second.
    pub(super) fn runs(&self) -> f64 {
        self.rate(|second| second.runs)
    }

    /// Images of odds a second.
    pub(super) fn odds(&self) -> f64 {
        self.rate(|second| second.odds)
    }

    /// Images of odds a second of a source.
    pub(super) fn of_source(&self, source: &SourceKey) -> f64 {
        self.rate(|second| second.by_source.get(source).copied().unwrap_or(0))
    }

    /// Over the seconds that are whole.
    fn rate(&self, count: impl Fn(&Second) -> u64) -> f64 {
        let whole = self.seconds.iter().skip(1);
        let seconds = Duration::from_secs(whole.len().max(1) as u64);
        let events: u64 = whole.map(count).sum();
        // A count of seconds is far below what a float holds.
        u32::try_from(events).map_or(f64::INFINITY, f64::from) / seconds.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_whole_seconds() {
        let began = Instant::now();
        let mut rates = Rates::new(began);
        let odds = SseEvent {
            id: None,
            event: "odds_update".into(),
            data:
                r#"{"type":"odds_update","timestamp":"2026-02-06T01:30:00.123Z","data":{"source":"alpha"}}"#
                    .into(),
        };
        for second in 0..4 {
            rates.turn(began + Duration::from_secs(second));
            for _ in 0..6 {
                rates.count(&odds);
            }
        }
        let alpha = "alpha".parse().unwrap();
        assert_eq!((rates.odds(), rates.of_source(&alpha)), (6.0, 6.0));
        rates.turn(began + Duration::from_secs(8));
        assert_eq!((rates.odds(), rates.runs()), (3.0, 0.0));
        rates.turn(began + Duration::from_secs(1_000));
        assert_eq!((rates.odds(), rates.runs()), (0.0, 0.0));
    }
}
