//! All clients of one topic come back at once, and what they missed begins below the ring.

use super::past::Past;
use crate::{
    bench::{Bench, grouped},
    crowd::Crowd,
    report::short,
};
use anyhow::Result;

/// The table says it too.
/// The table names it.
const WITHIN_S: f64 = 120.0;
const READS_MAX: f64 = 20.0;
/// Their cursors end so far below the ring's floor that none of them needs no read.
const MARGIN: u64 = 200;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let clients = bench.options.many();
    let (mut reads, mut all, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.options.rounds() {
        let past = Past::new(bench)?;
        let (from, to) = (past.below(), past.floor - MARGIN);
        let wanted = (0..clients as u64)
            .map(|at| past.client(from + (to - from) * at / clients as u64))
            .collect();
        let mut crowd = Crowd::new()?;
        let mut count = 0;
        let nats = &mut bench.nats;
        nats.read(|_| {})?;
        let opening = crowd.open(
            past.server.address,
            wanted,
            clients,
            WITHIN_S,
            &bench.author,
            || nats.read(|_| count += 1),
        )?;
        let behind = crowd.behind(past.end());
        eprintln!(
            "  {count} reads, all in {} s, {} failed, {behind} did not get everything",
            short(opening.seconds),
            opening.failed
        );
        reads.push(f64::from(count));
        all.push(opening.seconds);
        // Most of those that failed are among those that lack something.
        failed.push(opening.failed.max(behind) as f64);
    }
    let scenario = format!("all come back at once, {} clients", grouped(clients));
    bench.rows(
        &scenario,
        [
            ("reads of the log", reads, Some(READS_MAX)),
            ("seconds until all are caught up, 120 at most", all, None),
            ("refused, cut, or without everything", failed, Some(0.0)),
        ],
    );
    Ok(())
}
