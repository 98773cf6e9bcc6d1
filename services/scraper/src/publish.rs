//! Writes events as they cross the bus: subject, headers, payload.

use crate::diff::{QuoteKey, WITHDRAWN_FOR_MS, is_withdrawn};
use oddswire_kit::{publish::Publication, trace::Trace};
use oddswire_protocol::{
    EventKey, PAYLOAD_MAX_BYTES, RunId, SourceKey, Subjects, Timestamp,
    envelope::Data,
    header::{
        AFTER, ATTEMPT, BATCH, CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TIME, CE_TYPE, FENCE, STATUS, TRACEPARENT,
    },
    odds::{OddsConfirmed, OddsUpdate},
    progress::ScrapeProgress,
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The event is larger than one may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes, and an event has at most {PAYLOAD_MAX_BYTES}")]
pub(crate) struct TooLarge {
    bytes: usize,
}

/// Writes the events of one run in this worker's name.
#[derive(Debug)]
pub(crate) struct Author {
    subjects: Subjects,
    ce_source: String,
    source: SourceKey,
    run_id: RunId,
    /// The trace of the run, the same in every attempt: each event is a span of it.
    trace: Trace,
    /// Messages of odds written so far: each has an id of its own.
    written: AtomicU64,
}

impl Author {
    /// The author of a run that was asked for within `trace`.
    pub(crate) fn new(
        subjects: &Subjects,
        worker_id: &str,
        source: &SourceKey,
        run_id: &RunId,
        trace: Trace,
    ) -> Self {
        Self {
            subjects: subjects.clone(),
            ce_source: format!("/oddswire/scraper/{worker_id}"),
            source: source.clone(),
            run_id: run_id.clone(),
            trace,
            written: AtomicU64::new(0),
        }
    }

    /// What the run's own events are about.
    pub(crate) fn run_key(&self) -> EventKey {
        EventKey::Run {
            source: self.source.clone(),
            run_id: self.run_id.clone(),
        }
    }

    /// An event of the run, behind the one that `expected` is the sequence of. A terminal one is shown after the
    /// odds up to `after`.
    pub(crate) fn run(
        &self,
        image: &ScrapeProgress,
        at: Timestamp,
        expected: u64,
        after: Option<u64>,
    ) -> Result<Publication, TooLarge> {
        let id = format!("{}:{}:{}", self.run_id, image.attempt, image.seq);
        let mut message = self.event(&self.run_key(), id, image, at)?;
        message.expected = Some(expected);
        message.headers.extend([
            (STATUS, image.status.as_str().to_owned()),
            (ATTEMPT, image.attempt.to_string()),
            (BATCH, image.batch_id.to_string()),
        ]);
        if let Some(after) = after.filter(|_| image.status.is_terminal()) {
            message.headers.push((AFTER, after.to_string()));
        }
        Ok(message)
    }

    /// The source's fence, behind the one that `expected` is the sequence of: what stands first in each batch of odds.
    pub(crate) fn fence(&self, claim: Claim, expected: u64) -> Publication {
        let id = self.id_of_odds(claim);
        Publication {
            headers: vec![
                (CE_SOURCE, self.ce_source.clone()),
                (FENCE, claim.fence.to_string()),
            ],
            expected: Some(expected),
            ..Publication::new(self.subjects.fence(&self.source), id, Vec::new().into())
        }
    }

    /// The image of a market. One of which nothing is offered any more vanishes from the bus after a week.
    pub(crate) fn quote(
        &self,
        key: &QuoteKey,
        image: &OddsUpdate,
        claim: Claim,
    ) -> Result<Publication, TooLarge> {
        let mut message = self.odds(&key.event_key(&self.source), image, claim)?;
        message.ttl = is_withdrawn(image).then_some(Duration::from_millis(WITHDRAWN_FOR_MS));
        Ok(message)
    }

    /// That the source was checked.
    pub(crate) fn confirmed(&self, confirmed: &OddsConfirmed, claim: Claim) -> Result<Publication, TooLarge> {
        let key = EventKey::Confirmed {
            source: self.source.clone(),
        };
        self.odds(&key, confirmed, claim)
    }

    fn id_of_odds(&self, claim: Claim) -> String {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        format!("{}:{}:o{number}", self.run_id, claim.attempt)
    }

    fn odds(&self, key: &EventKey, data: &impl Data, claim: Claim) -> Result<Publication, TooLarge> {
        let mut message = self.event(key, self.id_of_odds(claim), data, Timestamp::now())?;
        message.headers.push((FENCE, claim.fence.to_string()));
        Ok(message)
    }

    fn event<D: Data>(
        &self,
        key: &EventKey,
        id: String,
        data: &D,
        at: Timestamp,
    ) -> Result<Publication, TooLarge> {
        let payload = serde_json::to_vec(data).expect("data types serialise without failing");
        if payload.len() > PAYLOAD_MAX_BYTES {
            return Err(TooLarge { bytes: payload.len() });
        }
        let headers = vec![
            (CE_SPECVERSION, "1.0".to_owned()),
            (CE_ID, id.clone()),
            (CE_SOURCE, self.ce_source.clone()),
            (CE_TYPE, D::TYPE.as_str().to_owned()),
            (CE_TIME, at.to_string()),
            (TRACEPARENT, self.trace.child().to_string()),
        ];
        Ok(Publication {
            headers,
            within: Some(self.trace),
            ..Publication::new(self.subjects.feed(key), id, payload.into())
        })
    }
}

/// What a worker holds once its claim is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The claim's sequence in RUNS: a later claim has a greater one.
    pub(crate) fence: u64,
    /// The number of the attempt.
    pub(crate) attempt: u32,
}

/// The trace of a job: the one that its request came with, else one that follows from the run.
pub(crate) fn trace_of(run_id: &RunId, traceparent: Option<&str>) -> Trace {
    traceparent
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| Trace::of_id(run_id.trace_id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oddswire_protocol::event::check_event;

    fn author(run_id: &RunId) -> Author {
        let trace = trace_of(run_id, None);
        Author::new(
            &Subjects::default(),
            "w-1",
            &"alpha".parse().unwrap(),
            run_id,
            trace,
        )
    }

    fn header<'a>(message: &'a Publication, name: &str) -> Option<&'a str> {
        let mut found = message.headers.iter().filter(|(key, _)| *key == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice");
        value
    }

    #[test]
    fn an_event_is_what_the_contract_says() {
        let run_id = RunId::new();
        let confirmed = OddsConfirmed {
            source: "alpha".parse().unwrap(),
            run_id: run_id.clone(),
            confirmed_at: Timestamp::now(),
            unconfirmed_event_ids: Vec::new(),
            all_unconfirmed: false,
        };
        let claim = Claim {
            fence: 17,
            attempt: 2,
        };
        let author = author(&run_id);
        let message = author.confirmed(&confirmed, claim).unwrap();
        let key = Subjects::default().parse(&message.subject).unwrap();
        check_event(&key, |name| header(&message, name), &message.payload).unwrap();
        assert_eq!(header(&message, CE_ID), Some(message.id.as_str()));
        assert_eq!(header(&message, FENCE), Some("17"));
        assert_eq!((message.expected, message.ttl), (None, None));
        let again = author.confirmed(&confirmed, claim).unwrap();
        assert_ne!(message.id, again.id);
        let fence = author.fence(claim, 5);
        assert!(Subjects::default().is_fence(&fence.subject));
        assert_eq!(
            (header(&fence, FENCE), fence.expected, fence.ttl),
            (Some("17"), Some(5), None)
        );
    }

    #[test]
    fn all_events_of_a_run_are_of_the_trace_of_its_job() {
        let run_id = RunId::new();
        let own = trace_of(&run_id, None);
        assert_eq!(own.trace_id(), run_id.as_str().replace('-', ""));
        assert_eq!(trace_of(&run_id, Some("nonsense")).trace_id(), own.trace_id());
        let asked = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_of(&run_id, Some(asked)).to_string(), asked);
    }
}
