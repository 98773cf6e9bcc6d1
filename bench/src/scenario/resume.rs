//! One client comes back, again and again: what it missed is in the ring, or has to be read from the log.

use super::past::Past;
use crate::{
    bench::Bench,
    figures::median,
    report::{Row, short},
};
use anyhow::Result;

const TIMES: u64 = 100;
const RING_MS: f64 = 1.0;
const LOG_MS: f64 = 5.0;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let (mut ring, mut log, mut reads) = (Vec::new(), Vec::new(), 0);
    for _ in 0..bench.options.rounds() {
        let past = Past::new(bench)?;
        let (of_ring, _) = median_of(bench, &past, past.floor, past.end())?;
        let (of_log, read) = median_of(bench, &past, past.below(), past.floor - 200)?;
        eprintln!(
            "  from the ring {} ms, from the log {} ms",
            short(of_ring),
            short(of_log)
        );
        ring.push(of_ring);
        log.push(of_log);
        reads += read;
    }
    let times = TIMES * bench.options.rounds() as u64;
    for (figure, rounds, target, note) in [
        (
            "ms from connecting to caught_up, from the ring, p50",
            ring,
            RING_MS,
            String::new(),
        ),
        (
            "ms from connecting to caught_up, from the log, p50",
            log,
            LOG_MS,
            format!("{reads} reads for {times} clients"),
        ),
    ] {
        bench.row(Row {
            scenario: "one client comes back".into(),
            figure,
            rounds,
            target: Some(target),
            note,
        });
    }
    Ok(())
}

/// Comes back from places spread over a range of events, one after the other.
fn median_of(bench: &mut Bench, past: &Past, from: u64, to: u64) -> Result<(f64, u64)> {
    let (mut all, mut reads) = (Vec::new(), 0);
    for time in 0..TIMES {
        let at = from + (to - from) * time / TIMES;
        let (ms, read) = past.come_back(bench, at, time)?;
        all.push(ms);
        reads += read;
    }
    Ok((median(&all).unwrap_or(0.0), reads))
}
