//! A tenth of the clients stops reading for good: what the others notice, and what it costs in memory.

use super::{Sample, fanout::BATCHED, settle};
use crate::{
    audience::Audience,
    bench::{Bench, grouped, tell},
    load::{Measured, Pace},
    report::Row,
    server::Kind,
};
use anyhow::Result;

/// One in so many clients stalls.
const EVERY: usize = 10;
/// Between two messages to any client: less than half of what a core can send.
const MESSAGE_NS: u64 = 20_000;
/// Longer than it takes to fill the buffers of those that do not read.
const FILL_S: f64 = 4.0;
const P99_MAX: f64 = 1.2;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let clients = bench.options.few();
    let (mut latency, mut memory) = (Vec::new(), Vec::new());
    for round in 0..bench.options.rounds() {
        let mut order = [false, true];
        if round % 2 == 1 {
            order.reverse();
        }
        let [first, second] = [take(bench, clients, order[0])?, take(bench, clients, order[1])?];
        let (all_read, some_stall) = if order[0] {
            (second, first)
        } else {
            (first, second)
        };
        let ratio = some_stall.latency.ms(0.99) / all_read.latency.ms(0.99).max(0.001);
        latency.push(Sample::of(ratio, &[&all_read, &some_stall]));
        memory.push((some_stall.peak_kib as f64 - all_read.peak_kib as f64) / 1024.0);
    }
    let scenario = format!("a tenth stalled, {} clients", grouped(clients));
    let (rounds, note) = settle(&latency);
    bench.row(Row {
        scenario: scenario.clone(),
        figure: "p99 of the others ÷ p99 when all read",
        rounds,
        target: Some(P99_MAX),
        note,
    });
    bench.row(Row {
        scenario,
        figure: "MiB more than when all read",
        rounds: memory,
        target: None,
        note: "without the kernel's buffers".into(),
    });
    Ok(())
}

/// Fills the buffers of those that do not read, if any, then measures the others at an even pace.
fn take(bench: &mut Bench, clients: usize, some_stall: bool) -> Result<Measured> {
    let name = if some_stall { "a tenth stalled" } else { "all read" };
    let mut session = bench.session(Kind::Gateway, Audience::Ws, clients)?;
    let stalled = if some_stall {
        session.crowd.stall(EVERY)?
    } else {
        0
    };
    let filled = bench.load_without(&mut session, stalled, BATCHED, FILL_S)?;
    tell(&format!("{name}, filling"), &filled);
    let pace = Pace::EveryNs(MESSAGE_NS * clients as u64);
    let for_s = bench.options.stretch_s() * 2.0;
    let mut measured = bench.load_without(&mut session, stalled, pace, for_s)?;
    tell(&format!("{name}, even pace"), &measured);
    measured.peak_kib = measured.peak_kib.max(filled.peak_kib);
    Ok(measured)
}
