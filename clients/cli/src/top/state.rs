//! What is known now.

use super::{gateway::Sign, snapshot::Snapshot};
use crate::{
    connection::Error,
    image::{Confirmation, RunImage},
    sse::SseEvent,
    stream::{Envelope, LeftOut},
};
use oddswire_protocol::{SourceKey, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Looks at gateways over which their rates are taken: about ten seconds.
const LOOKS: usize = 5;

/// The last answers, and what the streams brought since.
#[derive(Debug)]
pub(super) struct State {
    pub(super) snapshot: Snapshot,
    /// Runs that are not over.
    pub(super) going: BTreeMap<SourceKey, RunImage>,
    /// The last run of each source that is over.
    pub(super) over: BTreeMap<SourceKey, RunImage>,
    /// Why what is shown may be old.
    pub(super) trouble: Option<String>,
    /// The gateways at the looks before, the oldest first, to tell what they did meanwhile.
    pub(super) before: VecDeque<(Timestamp, Vec<Sign>)>,
    /// When `snapshot` was taken.
    pub(super) taken_at: Timestamp,
    left_out: LeftOut,
}

impl State {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        let mut state = Self {
            taken_at: snapshot.clock.now(),
            going: BTreeMap::new(),
            over: BTreeMap::new(),
            trouble: None,
            before: VecDeque::new(),
            left_out: LeftOut::default(),
            snapshot,
        };
        state.put_runs();
        state
    }

    /// The time at the gateway.
    pub(super) fn now(&self) -> Timestamp {
        self.snapshot.clock.now()
    }

    /// Takes new answers in place of the old ones, which stay when there are none.
    pub(super) fn renew(&mut self, answer: Result<Snapshot, Error>) {
        match answer {
            Ok(mut snapshot) => {
                let gateways = std::mem::take(&mut self.snapshot.gateways);
                self.before.push_back((self.taken_at, gateways));
                if self.before.len() > LOOKS {
                    self.before.pop_front();
                }
                self.taken_at = snapshot.clock.now();
                for (source, known) in self.snapshot.confirmed.drain() {
                    let newest = snapshot.confirmed.entry(source).or_insert_with(|| known.clone());
                    if known.confirmed_at > newest.confirmed_at {
                        *newest = known;
                    }
                }
                self.snapshot = snapshot;
                self.put_runs();
                self.trouble = None;
            }
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    fn put_runs(&mut self) {
        for run in std::mem::take(&mut self.snapshot.runs) {
            self.put(run);
        }
    }

    /// Takes an event of a stream.
    pub(super) fn take(&mut self, event: &SseEvent) {
        let Some(envelope) = Envelope::of(event) else {
            return;
        };
        match envelope.message_type.as_str() {
            "scrape_progress" => {
                if let Some(run) = envelope.read_event(&mut self.left_out) {
                    self.put(run);
                }
            }
            "odds_confirmed" => {
                if let Some(confirmed) = envelope.read_event::<Confirmation>(&mut self.left_out) {
                    let source = confirmed.source.clone();
                    self.snapshot.confirmed.insert(source, confirmed);
                }
            }
            "connection_ack" => self.trouble = None,
            _ => {}
        }
        if let Some(news) = self.left_out.news() {
            self.trouble = Some(news);
        }
    }

    /// Takes an image of a run, unless a newer one is here. Run ids sort by time.
    fn put(&mut self, run: RunImage) {
        let source = run.source.clone();
        if self
            .over
            .get(&source)
            .is_some_and(|over| over.run_id >= run.run_id)
        {
            return;
        }
        let held = self.going.get(&source);
        if run.status.is_terminal() {
            if held.is_some_and(|held| held.run_id <= run.run_id) {
                self.going.remove(&source);
            }
            self.over.insert(source, run);
        } else if held.is_none_or(|held| (&held.run_id, held.seq) <= (&run.run_id, run.seq)) {
            self.going.insert(source, run);
        }
    }
}
