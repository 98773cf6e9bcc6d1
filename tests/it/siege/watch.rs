//! What a process holds in memory, while it is under siege.

use std::{fmt, fs, time::Duration};
use tokio::time::Instant;

/// When caches, rings and pools have filled.
const WARM: Duration = Duration::from_secs(5 * 60);
/// How long the memory is looked at in the beginning and in the end.
const WINDOW: Duration = Duration::from_secs(3 * 60);

/// Resident memory and open descriptors of a process, over time.
#[derive(Debug)]
pub(super) struct Watch {
    process: u32,
    began: Instant,
    seen: Vec<(Duration, f64, usize)>,
}

impl Watch {
    pub(super) fn begin(process: u32) -> Self {
        Self {
            process,
            began: Instant::now(),
            seen: Vec::new(),
        }
    }

    pub(super) fn look(&mut self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap_or_default();
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.process)).map_or(0, Iterator::count);
        self.seen
            .extend(kib.map(|kib| (self.began.elapsed(), kib / 1_024.0, descriptors)));
    }

    /// MiB after it was warm, and in the end: medians. `None` when it was too short to tell.
    pub(super) fn memory(&self) -> Option<(f64, f64)> {
        let end = self.seen.last()?.0;
        if end < WARM + 2 * WINDOW {
            return None;
        }
        Some((
            self.median(WARM, WARM + WINDOW),
            self.median(end.saturating_sub(WINDOW), end),
        ))
    }

    fn median(&self, from: Duration, to: Duration) -> f64 {
        let mut seen: Vec<f64> = self
            .seen
            .iter()
            .filter(|(at, _, _)| (from..=to).contains(at))
            .map(|(_, mib, _)| *mib)
            .collect();
        seen.sort_by(f64::total_cmp);
        seen.get(seen.len() / 2).copied().unwrap_or(0.0)
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the survivor's memory in MiB (descriptors), a minute each:")?;
        let last = self.seen.last().map_or(0, |(at, _, _)| at.as_secs() / 60);
        for minute in 0..=last {
            let (from, to) = (
                Duration::from_secs(minute * 60),
                Duration::from_secs(minute * 60 + 60),
            );
            let descriptors = self
                .seen
                .iter()
                .filter(|(at, _, _)| (from..to).contains(at))
                .map(|(_, _, count)| *count)
                .max();
            write!(f, " {:.0} ({})", self.median(from, to), descriptors.unwrap_or(0))?;
        }
        Ok(())
    }
}
