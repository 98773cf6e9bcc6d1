//! What a process holds in memory, and in what, while it is under siege.

use std::{fmt, fs, time::Duration};
use tokio::time::Instant;

/// When caches, rings and pools have filled.
const WARM: Duration = Duration::from_secs(5 * 60);
/// How long the memory is looked at in the beginning and in the end.
const WINDOW: Duration = Duration::from_secs(3 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// What is looked at: a heading, and how it is read. All of it in one table tells what grew when memory did.
const COLUMNS: [(&str, Reading); 10] = [
    ("rss MiB", Reading::Kib("Rss:")),
    // Without the program itself and what else is read from files.
    ("anonymous", Reading::Kib("Anonymous:")),
    ("peak", Reading::Kib("VmHWM:")),
    ("threads", Reading::Count("Threads:")),
    ("files", Reading::Descriptors),
    ("ring MB", Reading::Metric("ring_bytes", 1e6)),
    ("queued MB", Reading::Metric("queue_bytes", 1e6)),
    ("sessions", Reading::Metric("sessions", 1.0)),
    ("connections", Reading::Metric("connections", 1.0)),
    // Every snapshot reads the last image of each.
    ("runs", Reading::Runs),
];
/// The column that is judged.
const RSS: usize = 0;

#[derive(Debug, Clone, Copy)]
enum Reading {
    /// A line of /proc in KiB; shown in MiB.
    Kib(&'static str),
    /// A line of /proc.
    Count(&'static str),
    Descriptors,
    /// A gauge of the gateway, and what it is divided by.
    Metric(&'static str, f64),
    /// The runs that were begun.
    Runs,
}

impl Reading {
    fn of(self, process: u32, system: &str, metrics: &str, runs: usize) -> f64 {
        match self {
            Self::Kib(name) => number(system, name) / 1_024.0,
            Self::Count(name) => number(system, name),
            Self::Descriptors => {
                count(fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count))
            }
            Self::Metric(name, unit) => number(metrics, &format!("oddswire_gateway_{name} ")) / unit,
            Self::Runs => count(runs),
        }
    }
}

/// The number behind `name` at the beginning of a line.
fn number(text: &str, name: &str) -> f64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn count(count: usize) -> f64 {
    count as f64
}

/// What a process held, over time.
#[derive(Debug)]
pub(super) struct Watch {
    process: u32,
    began: Instant,
    seen: Vec<(Duration, [f64; COLUMNS.len()])>,
}

impl Watch {
    pub(super) fn begin(process: u32) -> Self {
        Self {
            process,
            began: Instant::now(),
            seen: Vec::new(),
        }
    }

    /// Looks at the process, whose metrics are these, when so many runs were begun.
    pub(super) fn look(&mut self, metrics: &str, runs: usize) {
        let read = |name| fs::read_to_string(format!("/proc/{}/{name}", self.process)).unwrap_or_default();
        let system = read("status") + &read("smaps_rollup");
        let row = COLUMNS.map(|(_, reading)| reading.of(self.process, &system, metrics, runs));
        if !row[RSS].is_nan() {
            self.seen.push((self.began.elapsed(), row));
        }
    }

    /// MiB after it was warm, and in the end: medians. `None` when it was too short to tell.
    pub(super) fn memory(&self) -> Option<(f64, f64)> {
        let end = self.seen.last()?.0;
        if end < WARM + 2 * WINDOW {
            return None;
        }
        Some((
            self.median(RSS, WARM, WARM + WINDOW),
            self.median(RSS, end.saturating_sub(WINDOW), end),
        ))
    }

    fn median(&self, column: usize, from: Duration, to: Duration) -> f64 {
        let within = self.seen.iter().filter(|(at, _)| (from..=to).contains(at));
        let mut seen: Vec<f64> = within.map(|(_, row)| row[column]).collect();
        seen.sort_by(f64::total_cmp);
        seen.get(seen.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the survivor, medians of each minute:\nminute")?;
        for (heading, _) in COLUMNS {
            write!(f, " {heading:>11}")?;
        }
        let last = self.seen.last().map_or(Duration::ZERO, |(at, _)| *at);
        let mut from = Duration::ZERO;
        while from <= last {
            write!(f, "\n{:>6}", from.as_secs() / 60)?;
            for column in 0..COLUMNS.len() {
                write!(f, " {:>11.1}", self.median(column, from, from + MINUTE))?;
            }
            from += MINUTE;
        }
        Ok(())
    }
}
