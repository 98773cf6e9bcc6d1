//! How often in a row something was not there: what is missing once may be a hiccup of the site.
//!
//! Kept in CONTROL `misses.<source>`, so that the next run goes on counting whichever worker has it.

use oddswire_protocol::{EventId, Line, MarketToken, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes of the record at most; CONTROL takes 64 KiB and the rest is headers.
const RECORD_MAX_BYTES: usize = 60 * 1024;

/// What can be missing: an event from the site, a market from an event that was read, a line from a market that was
/// read. Only the outermost counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Missing<'a> {
    Event(&'a EventId),
    Market(&'a EventId, &'a MarketToken),
    Line(&'a EventId, &'a MarketToken, Option<Line>),
}

impl Missing<'_> {
    fn key(self) -> String {
        match self {
            Self::Event(event) => event.to_string(),
            Self::Market(event, market) => format!("{event}/{market}"),
            Self::Line(event, market, None) => format!("{event}/{market}/"),
            Self::Line(event, market, Some(line)) => format!("{event}/{market}/{line}"),
        }
    }
}

/// Counts of misses in a row, as the last run of a source left them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Misses {
    /// The run that counted last. A second attempt at it must not count again.
    run_id: Option<RunId>,
    counts: BTreeMap<String, u32>,
    /// What the last complete run found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    complete: Option<Complete>,
}

/// What a complete run found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Complete {
    events: usize,
    at: Timestamp,
}

/// So long the number of a complete run is compared with: a site that has shrunk for good is believed then.
const COMPARED_FOR_MS: u64 = 24 * 60 * 60 * 1_000;

impl Misses {
    /// Nothing is missing, as this run begins to count.
    pub(super) fn of_run(run_id: &RunId) -> Self {
        Self {
            run_id: Some(run_id.clone()),
            counts: BTreeMap::new(),
            complete: None,
        }
    }

    /// Takes over what the last complete run found, or remembers that this one was complete and found so many events.
    pub(crate) fn complete(&mut self, found: Option<usize>, at: Timestamp, before: &Self) {
        self.complete = found.map(|events| Complete { events, at }).or(before.complete);
    }

    /// How many events the last complete run found, when so few now are a greater drop than `most`, a share from 0 to
    /// 1. `None`: all is well, or there was none in the last 24 hours.
    #[expect(clippy::cast_precision_loss, reason = "numbers of events")]
    pub(crate) fn dropped_from(&self, found: usize, most: f64, now: Timestamp) -> Option<usize> {
        let last = self
            .complete
            .filter(|last| now.ms_since(last.at) < COMPARED_FOR_MS)?;
        let least = last.events as f64 * (1.0 - most);
        // Shares such as 10 % are not exact.
        ((found as f64) < least - 1e-6).then_some(last.events)
    }

    /// Counts one more miss on top of what was counted before; gives how many in a row that makes.
    pub(super) fn count(&mut self, missing: Missing<'_>, before: &Self) -> u32 {
        let key = missing.key();
        let counted = before.counts.get(&key).copied().unwrap_or(0);
        let again = before.run_id.is_some() && before.run_id == self.run_id;
        let count = if again && counted > 0 {
            counted
        } else {
            counted + 1
        };
        self.counts.insert(key, count);
        count
    }

    /// Keeps a count as it was: this run cannot tell.
    pub(super) fn keep(&mut self, missing: Missing<'_>, before: &Self) {
        let key = missing.key();
        if let Some(count) = before.counts.get(&key) {
            self.counts.insert(key, *count);
        }
    }

    /// The record, and how many counts had no room in it: those begin again, which only delays a withdrawal.
    pub(crate) fn to_record(&self) -> (Vec<u8>, usize) {
        let mut fitting = self.clone();
        loop {
            let record = serde_json::to_vec(&fitting).expect("text and numbers serialise without failing");
            if record.len() <= RECORD_MAX_BYTES {
                return (record, self.counts.len() - fitting.counts.len());
            }
            let keep = fitting.counts.len() * RECORD_MAX_BYTES / record.len();
            let keep = keep.min(fitting.counts.len().saturating_sub(1));
            fitting.counts = fitting.counts.into_iter().take(keep).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u32) -> EventId {
        EventId::of(&n.to_string())
    }

    #[test]
    fn misses_in_a_row_count_up_and_a_run_counts_once() {
        let (first, second) = (RunId::new(), RunId::new());
        let gone = event(1);
        let mut of_first = Misses::of_run(&first);
        assert_eq!(of_first.count(Missing::Event(&gone), &Misses::default()), 1);
        let mut again = Misses::of_run(&first);
        assert_eq!(again.count(Missing::Event(&gone), &of_first), 1);
        let mut of_second = Misses::of_run(&second);
        assert_eq!(of_second.count(Missing::Event(&gone), &again), 2);
    }

    #[test]
    fn a_drop_is_measured_against_the_last_complete_run_of_the_last_day() {
        let at: Timestamp = "2026-11-22T12:00:00.000Z".parse().unwrap();
        let soon: Timestamp = "2026-11-23T11:59:59.000Z".parse().unwrap();
        let late: Timestamp = "2026-11-23T12:00:00.000Z".parse().unwrap();
        let mut first = Misses::of_run(&RunId::new());
        assert_eq!(first.dropped_from(0, 0.5, at), None);
        first.complete(Some(10), at, &Misses::default());
        let mut second = Misses::of_run(&RunId::new());
        second.complete(None, soon, &first);
        for (found, most, expected) in [
            (5, 0.5, None),
            (4, 0.5, Some(10)),
            (9, 0.1, None),
            (9, 0.0, Some(10)),
            (0, 1.0, None),
            (20, 0.0, None),
        ] {
            assert_eq!(second.dropped_from(found, most, soon), expected, "{found} {most}");
        }
        assert_eq!(second.dropped_from(0, 0.5, late), None);
        let record: Misses = serde_json::from_slice(&second.to_record().0).unwrap();
        assert_eq!(record, second);
    }

    #[test]
    fn no_line_and_line_zero_are_counted_apart() {
        let (event, market): (_, MarketToken) = (event(1), "spreads-ft".parse().unwrap());
        let zero = Line::from_thousandths(0).unwrap();
        let mut misses = Misses::of_run(&RunId::new());
        let before = Misses::default();
        misses.count(Missing::Line(&event, &market, None), &before);
        misses.count(Missing::Line(&event, &market, Some(zero)), &before);
        misses.count(Missing::Market(&event, &market), &before);
        assert_eq!(misses.counts.len(), 3);
    }

    #[test]
    fn a_record_that_would_be_too_large_says_what_it_leaves_out() {
        let mut misses = Misses::of_run(&RunId::new());
        for n in 0..5_000 {
            misses.count(Missing::Event(&event(n)), &Misses::default());
        }
        let (record, left_out) = misses.to_record();
        assert!(record.len() <= RECORD_MAX_BYTES);
        let kept: Misses = serde_json::from_slice(&record).unwrap();
        assert_eq!(kept.counts.len() + left_out, 5_000);
        assert!(kept.counts.len() > 1_000);
    }
}
