//! `check`: what the check of an event at ingest costs. Beside it the least that splicing a payload into an envelope asks
//! for: that it is one line of JSON in UTF-8, without a look at what it says. Both take turns, and the figures are the
//! medians of all rounds.

use crate::author::Author;
use anyhow::Result;
use oddswire_protocol::event::check_event;
use serde::de::IgnoredAny;
use std::hint::black_box;
use tokio::time::Instant;

/// Rounds, and checks a round: so short that hardly one is interrupted, whatever else the machine does.
const ROUNDS: usize = 4_001;
const CHECKS: u32 = 50;

/// Measures, and prints a line for each kind of event.
pub(crate) fn run() -> Result<()> {
    let author = Author::new()?;
    for (name, example) in author.examples() {
        let payload = example.payload.as_bytes();
        check_event(&example.key, |name| example.header(name), payload)?;
        let (mut whole, mut least) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            whole.push(ns(|| {
                check_event(&example.key, |name| example.header(name), black_box(payload)).is_ok()
            }));
            least.push(ns(|| is_one_line(black_box(payload))));
        }
        let (whole, least) = (median(&mut whole), median(&mut least));
        println!(
            "{name}: {} bytes, {whole:.0} ns an event, {:.2} times the look for one line of JSON ({least:.0} ns)",
            payload.len(),
            whole / least
        );
    }
    Ok(())
}

fn ns(check: impl Fn() -> bool) -> f64 {
    let began = Instant::now();
    for _ in 0..CHECKS {
        black_box(check());
    }
    began.elapsed().as_nanos() as f64 / f64::from(CHECKS)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What a gateway looked for before it checked what an event says.
fn is_one_line(payload: &[u8]) -> bool {
    payload.first() == Some(&b'{')
        && payload.last() == Some(&b'}')
        && !payload.iter().any(|b| matches!(b, b'\n' | b'\r'))
        && std::str::from_utf8(payload).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}
