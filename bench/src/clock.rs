//! The bench's clock, and how it waits.

use std::{
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// Nanoseconds since the first call.
pub(crate) fn now_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "latencies are real time, outside of any runtime"
    )]
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds from one reading to another.
pub(crate) fn seconds(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e9
}

/// Does nothing for a while, outside of any runtime.
pub(crate) fn nap(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "there is no runtime on this thread")]
    thread::sleep(time);
}
