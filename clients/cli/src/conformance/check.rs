//! What a check is, and how it can end.

use super::probe::Probe;
use clap::ValueEnum;
use futures_util::future::BoxFuture;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Checks that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Group {
    /// How the two streams open, and what keeps them open.
    Transports,
    /// The form of every message, and of the data of events.
    Envelope,
    /// What is delivered for which topics, and which are refused.
    Topics,
    /// Where a stream begins, and how it goes on.
    Resume,
    /// What a WebSocket client may send, and what it must not.
    Commands,
    /// The addresses that are no streams.
    Http,
    /// Who is not let in; only where tokens are asked for.
    Auth,
    /// The operations port; only with --ops.
    Health,
    /// Runs from their start to their end; only with --start.
    Runs,
}

impl Group {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Transports => "transports",
            Self::Envelope => "envelope",
            Self::Topics => "topics",
            Self::Resume => "resume",
            Self::Commands => "commands",
            Self::Http => "http",
            Self::Auth => "auth",
            Self::Health => "health",
            Self::Runs => "runs",
        }
    }
}

/// One thing that the contract says, and how it is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check {
    pub(crate) group: Group,
    /// Unique, and stable: scripts name it.
    pub(crate) name: &'static str,
    /// The contract's sentence.
    pub(crate) says: &'static str,
    pub(crate) run: fn(Probe) -> BoxFuture<'static, Judged>,
}

/// Why a check did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Miss {
    /// It could not be looked at here.
    Skipped(String),
    /// The gateway does something else than the contract says.
    Failed(String),
}

/// How a check ended.
pub(crate) type Judged = Result<(), Miss>;

/// The judges of what came are pure, and have but a complaint.
impl From<String> for Miss {
    fn from(complaint: String) -> Self {
        Self::Failed(complaint)
    }
}

impl From<&str> for Miss {
    fn from(complaint: &str) -> Self {
        Self::Failed(complaint.to_owned())
    }
}

/// A complaint, unless this holds.
pub(crate) fn ensure(holds: bool, complaint: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(complaint()) }
}

/// Cannot be looked at here.
pub(crate) fn skip<T>(reason: impl Into<String>) -> Result<T, Miss> {
    Err(Miss::Skipped(reason.into()))
}

/// Lines that are kept of each direction.
const LINES_MAX: usize = 6;
/// Characters that are kept of a line.
const LINE_MAX: usize = 400;

/// What a check sent and what came, the newest last: for the one who has to find out why it failed.
#[derive(Debug, Default)]
pub(crate) struct Log {
    sent: Mutex<VecDeque<String>>,
    came: Mutex<VecDeque<String>>,
}

impl Log {
    pub(crate) fn sent(&self, line: &str) {
        keep(&self.sent, line);
    }

    pub(crate) fn came(&self, line: &str) {
        keep(&self.came, line);
    }

    /// What was sent, and what came.
    pub(crate) fn lines(&self) -> [Vec<String>; 2] {
        [&self.sent, &self.came].map(|lines| {
            let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.iter().cloned().collect()
        })
    }
}

fn keep(lines: &Mutex<VecDeque<String>>, line: &str) {
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.len() == LINES_MAX {
        lines.pop_front();
    }
    lines.push_back(shortened(line, LINE_MAX));
}

/// The text, or its beginning.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_the_newest_lines_and_the_beginning_of_each() {
        let log = Log::default();
        for number in 0..20 {
            log.sent(&format!("{number}{}", "ü".repeat(1_000)));
        }
        let [sent, came] = log.lines();
        assert_eq!((sent.len(), came.len()), (LINES_MAX, 0));
        assert!(sent[LINES_MAX - 1].starts_with("19ü"), "{sent:?}");
        assert!(sent.iter().all(|line| line.chars().count() == LINE_MAX + 1));
    }
}
