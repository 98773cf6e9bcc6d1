//! The check of every message of the feeds, and what is known of those that failed it.
//!
//! All that reads a feed asks here for a [`Frame`]: the live side, reads of the log, the board, the past, lists of runs.
//! A message that is not what docs/protocol.md says is shown on none of these ways. It keeps its place in the chain of
//! sequences. It is counted when it is met first, however often it is met again, and the newest are kept for operators,
//! who ask for them at `/quarantine` of the operations port. The log tells each reason at once, and then seldom.

use crate::{
    frame::{Frame, FrameFault},
    front::Refusals,
    metrics::Metrics,
    trial::Trial,
};
use oddswire_kit::{log::Stored, metrics::LabelNames};
use oddswire_protocol::{
    Feed, Subjects, Timestamp,
    api::{Quarantined, QuarantinedEvents},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

/// Messages that operators are shown, the newest.
const SHOWN_MAX: usize = 256;
/// Messages that are remembered, so that they count once: some 4 MB. With more of them stored, those that are met again
/// count again.
const REMEMBERED_MAX: usize = 1 << 17;
/// Bytes of a subject that are kept. One of the contract is shorter.
const SUBJECT_MAX: usize = 400;

/// Checks messages, and remembers those that failed.
#[derive(Debug)]
pub struct Quarantine {
    subjects: Subjects,
    metrics: Arc<Metrics>,
    /// Only on trial: whether what fails is shown nevertheless.
    unchecked: bool,
    met: Mutex<Met>,
    hasher: RandomState,
    told: Refusals,
}

#[derive(Debug, Default)]
struct Met {
    count: u64,
    shown: VecDeque<Quarantined>,
    known: HashSet<Identity>,
    order: VecDeque<Identity>,
}

/// The same message, wherever it is read: a hash of its feed, its sequence there and what it says, since a stream that
/// was made anew uses sequences again. Two different ones look alike once in 10^9 gateways.
type Identity = u64;

impl Quarantine {
    /// An empty one.
    pub fn new(subjects: &Subjects, metrics: &Arc<Metrics>, trial: Trial) -> Self {
        Self {
            subjects: subjects.clone(),
            metrics: Arc::clone(metrics),
            unchecked: trial.no_quarantine,
            met: Mutex::default(),
            hasher: RandomState::new(),
            told: Refusals::default(),
        }
    }

    /// The event that a stored message of a feed, or of a copy of its stream, is. `None` when it is none, or not what
    /// the contract says.
    pub fn admit(&self, feed: Feed, stored: &Stored) -> Option<Frame> {
        match Frame::new(&self.subjects, stored) {
            Ok(frame) => Some(frame),
            Err(FrameFault::Fence) => None,
            Err(_) if self.unchecked => Frame::unchecked(&self.subjects, stored),
            Err(fault) => {
                self.meet(feed, stored, &fault);
                None
            }
        }
    }

    fn meet(&self, feed: Feed, stored: &Stored, fault: &FrameFault) {
        let seq = stored.origin_seq();
        let says = (feed.index(), seq, &stored.subject, &stored.payload);
        let message = self.hasher.hash_one(says);
        let event = {
            let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
            if !met.remember(message) {
                return;
            }
            met.count += 1;
            let event = Quarantined {
                feed: feed.as_str().to_owned(),
                seq,
                subject: printable(&stored.subject),
                reason: fault.reason().to_owned(),
                detail: fault.to_string(),
                stored_at: stored.stored_at,
                met_at: Timestamp::now(),
            };
            met.shown.push_front(event.clone());
            met.shown.truncate(SHOWN_MAX);
            event
        };
        let label = QuarantineLabel {
            feed: feed.as_str(),
            reason: fault.reason(),
        };
        self.metrics.quarantined.get_or_create(&label).inc();
        let Some(left_out) = self.told.due(fault.reason()) else {
            return;
        };
        tracing::warn!(
            %feed,
            seq,
            subject = event.subject,
            reason = event.reason,
            detail = event.detail,
            left_out,
            "event quarantined: it is not what docs/protocol.md says, and is not shown"
        );
    }

    /// How many were met since the start, and the newest of them, the newest first.
    pub fn events(&self) -> QuarantinedEvents {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        QuarantinedEvents {
            count: met.count,
            events: met.shown.iter().cloned().collect(),
        }
    }
}

impl Met {
    /// Whether it is met for the first time.
    fn remember(&mut self, message: Identity) -> bool {
        if !self.known.insert(message) {
            return false;
        }
        self.order.push_back(message);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// A subject as it can be written into a log and shown on a terminal: NATS takes any bytes but white space.
fn printable(subject: &str) -> String {
    let signs = subject.escape_debug().scan(0, |length, sign| {
        *length += sign.len_utf8();
        (*length <= SUBJECT_MAX).then_some(sign)
    });
    signs.collect()
}

/// The labels of a message that is not shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct QuarantineLabel {
    /// `run` or `odds`.
    pub feed: &'static str,
    /// A word of [`FrameFault::REASONS`].
    pub reason: &'static str,
}

impl LabelNames for QuarantineLabel {
    const NAMES: &'static [&'static str] = &["feed", "reason"];
}

/// Nothing was met yet, which is not the same as no figure: Prometheus cannot see a count rise to 1 from nothing.
pub(crate) fn none_yet() -> Family<QuarantineLabel, Counter> {
    let quarantined = Family::<QuarantineLabel, Counter>::default();
    for feed in Feed::ALL.map(Feed::as_str) {
        for reason in FrameFault::REASONS {
            drop(quarantined.get_or_create(&QuarantineLabel { feed, reason }));
        }
    }
    quarantined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_met_is_remembered_up_to_a_bound() {
        let mut met = Met::default();
        assert!(met.remember(1));
        assert!(!met.remember(1));
        for message in 0..2 * REMEMBERED_MAX as u64 {
            met.remember(message);
        }
        assert_eq!(
            (met.known.len(), met.order.len()),
            (REMEMBERED_MAX, REMEMBERED_MAX)
        );
    }

    #[test]
    fn a_board_with_many_keys_that_are_none_counts_each_once_however_often_it_is_read() {
        let mut met = Met::default();
        let mut read = || (0..100_000).filter(|message| met.remember(*message)).count();
        assert_eq!([read(), read()], [100_000, 0]);
    }

    #[test]
    fn a_subject_is_shown_without_what_could_forge_a_line() {
        let text = printable(&format!(
            "oddswire.feed.run.\u{202e}a\u{1b}[2J.{}",
            "ü".repeat(1_000)
        ));
        assert!(text.starts_with("oddswire.feed.run.\\u{202e}a\\u{1b}[2J.ü"));
        assert!(text.len() <= SUBJECT_MAX && !text.contains('\u{1b}'));
    }
}
