//! What this process has used, as the kernel counts it.

use std::fs;

/// Ticks of the kernel's accounting in a second: fixed for user space on Linux.
const TICKS: f64 = 100.0;

/// Time and memory of this process.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) cpu_s: f64,
    pub(crate) rss_mib: u64,
    pub(crate) peak_mib: u64,
}

impl Usage {
    /// Until now.
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Behind the name, which may hold anything: state is the first field, utime the 12th, stime the 13th.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            kib.unwrap_or(0) / 1024
        };
        Self {
            cpu_s: ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS,
            rss_mib: mib("VmRSS:"),
            peak_mib: mib("VmHWM:"),
        }
    }
}
