//! What is known of runs: which are waited for, what was shown.

use super::exit;
use crate::{
    image::RunImage,
    sse::SseEvent,
    stream::{Envelope, LeftOut},
};
use oddswire_protocol::RunId;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Runs of which the last event shown is remembered. Run ids sort by time, so the oldest are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// The runs that a stream tells of.
#[derive(Debug)]
pub(crate) struct Runs {
    /// Whether runs that nobody waits for are shown.
    shows_all: bool,
    /// The number of the last event shown.
    shown: BTreeMap<RunId, u64>,
    /// Those that are followed to their end, and how they ended.
    awaited: BTreeMap<RunId, Option<u8>>,
    /// Whether what comes is from before, not news.
    is_snapshot: bool,
    /// Whether history was lost since the last look.
    has_gap: bool,
    trouble: Option<String>,
    left_out: LeftOut,
}

impl Runs {
    pub(crate) fn new(shows_all: bool) -> Self {
        Self {
            shows_all,
            shown: BTreeMap::new(),
            awaited: BTreeMap::new(),
            is_snapshot: false,
            has_gap: false,
            trouble: None,
            left_out: LeftOut::default(),
        }
    }

    /// Waits for this one.
    pub(crate) fn expect(&mut self, run: RunId) {
        self.awaited.entry(run).or_default();
    }

    /// Follows what the gateway says of the connection.
    pub(crate) fn notice(&mut self, event: &SseEvent) {
        #[derive(Deserialize)]
        struct Resume {
            verdict: String,
        }
        #[derive(Deserialize)]
        struct Ack {
            resume: Resume,
        }
        #[derive(Deserialize)]
        struct Detail {
            #[serde(default)]
            detail: String,
        }
        let Some(envelope) = Envelope::of(event) else {
            return;
        };
        let verdict = match envelope.message_type.as_str() {
            "connection_ack" => envelope.read::<Ack>().map(|ack| ack.resume.verdict),
            "resume" => envelope.read::<Resume>().map(|resume| resume.verdict),
            "caught_up" => {
                self.is_snapshot = false;
                None
            }
            "error" => {
                self.trouble = envelope.read::<Detail>().map(|error| error.detail);
                None
            }
            _ => None,
        };
        match verdict.as_deref() {
            Some("snapshot") => self.is_snapshot = true,
            Some("gap") => (self.is_snapshot, self.has_gap) = (true, true),
            Some("unavailable") => {
                self.trouble = Some("the gateway has no bus now; it goes on when that is back".into());
            }
            _ => {}
        }
    }

    /// What a person should know of the connection, once.
    pub(crate) fn trouble(&mut self) -> Option<String> {
        self.trouble.take().or_else(|| self.left_out.news())
    }

    /// The run of an event that is to be shown: one that was not shown, of a run that somebody wants to see.
    pub(crate) fn news(&mut self, event: &SseEvent) -> Option<RunImage> {
        if event.event != "scrape_progress" {
            return None;
        }
        let run: RunImage = Envelope::of(event)?.read_event(&mut self.left_out)?;
        let is_awaited = self.awaited.contains_key(&run.run_id);
        if !is_awaited && !self.shows_all {
            return None;
        }
        let before = self.shown.insert(run.run_id.clone(), run.seq);
        if let Some(before) = before.filter(|before| *before >= run.seq) {
            self.shown.insert(run.run_id, before);
            return None;
        }
        while self.shown.len() > REMEMBERED_MAX {
            self.shown.pop_first();
        }
        // What was over before anybody looked is no news.
        if run.status.is_terminal() && before.is_none() && self.is_snapshot && !is_awaited {
            return None;
        }
        self.end(&run);
        Some(run)
    }

    /// Notes how a run that is waited for ended; whether that was not known.
    pub(crate) fn end(&mut self, run: &RunImage) -> bool {
        let Some(ended) = self.awaited.get_mut(&run.run_id) else {
            return false;
        };
        let is_new = ended.is_none() && run.status.is_terminal();
        if is_new {
            *ended = Some(exit::of_run(run));
        }
        is_new
    }

    /// Those that are waited for and not over.
    pub(crate) fn open(&self) -> Vec<RunId> {
        let open = self.awaited.iter().filter(|(_, code)| code.is_none());
        open.map(|(run, _)| run.clone()).collect()
    }

    /// Whether an awaited end may have gone by unseen; asked once.
    pub(crate) fn may_have_missed(&mut self) -> bool {
        self.has_gap && !self.is_snapshot && std::mem::take(&mut self.has_gap)
    }

    /// The exit status once all that is waited for is over: that of the worst. Never where all runs are shown.
    pub(crate) fn code(&self) -> Option<u8> {
        if self.shows_all || self.awaited.is_empty() {
            return None;
        }
        self.awaited
            .values()
            .copied()
            .collect::<Option<Vec<u8>>>()
            .and_then(|codes| codes.into_iter().max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message_type: &str, data: &str) -> SseEvent {
        SseEvent {
            id: None,
            event: message_type.into(),
            data: format!(
                r#"{{"type":"{message_type}","timestamp":"2026-02-06T01:30:00.123Z","data":{data}}}"#
            ),
        }
    }

    fn progress(run: &str, seq: u64, status: &str, outcome: &str) -> SseEvent {
        event(
            "scrape_progress",
            &format!(
                r#"{{"run_id":"{run}","batch_id":"b","source":"alpha","seq":{seq},"status":"{status}","phase":"scraping","outcome":{outcome}}}"#
            ),
        )
    }

    fn ack(verdict: &str) -> SseEvent {
        event(
            "connection_ack",
            &format!(r#"{{"resume":{{"verdict":"{verdict}"}}}}"#),
        )
    }

    fn id(run: &str) -> RunId {
        run.parse().unwrap()
    }

    #[test]
    fn an_event_that_comes_again_after_a_cut_is_shown_once() {
        let mut runs = Runs::new(true);
        let seen: Vec<bool> = [1, 2, 2, 1, 3]
            .iter()
            .map(|seq| runs.news(&progress("r", *seq, "running", "null")).is_some())
            .collect();
        assert_eq!(seen, [true, true, false, false, true]);
    }

    #[test]
    fn what_was_over_before_is_no_news_but_an_end_that_was_missed_is() {
        let mut runs = Runs::new(true);
        runs.notice(&ack("snapshot"));
        assert!(
            runs.news(&progress("old", 9, "completed", "\"complete\""))
                .is_none()
        );
        assert!(runs.news(&progress("seen", 1, "running", "null")).is_some());
        runs.notice(&event("caught_up", "{}"));
        assert!(
            runs.news(&progress("quick", 5, "completed", "\"complete\""))
                .is_some()
        );
        runs.notice(&ack("gap"));
        assert!(
            runs.news(&progress("seen", 9, "completed", "\"complete\""))
                .is_some()
        );
    }

    #[test]
    fn the_status_of_a_batch_is_that_of_its_worst_run() {
        let mut runs = Runs::new(false);
        assert_eq!(runs.code(), None);
        for run in ["r1", "r2", "r3"] {
            runs.expect(id(run));
        }
        assert!(runs.news(&progress("other", 1, "failed", "\"broken\"")).is_none());
        runs.news(&progress("r1", 9, "completed", "\"partial\""));
        runs.news(&progress("r2", 9, "failed", "\"blocked\""));
        assert_eq!((runs.code(), runs.open()), (None, vec![id("r3")]));
        runs.news(&progress("r3", 9, "completed", "\"complete\""));
        assert_eq!(runs.code(), Some(7));
    }

    #[test]
    fn a_lost_history_is_looked_up_once_it_is_whole_again() {
        let mut runs = Runs::new(false);
        runs.expect(id("r1"));
        runs.notice(&ack("gap"));
        assert!(!runs.may_have_missed());
        runs.notice(&event("caught_up", "{}"));
        assert!(runs.may_have_missed());
        assert!(!runs.may_have_missed());
    }
}
