//! What a client may ask for and a gateway may grant: conflation and compression.

use super::{
    Sample,
    fanout::{BATCHED, IDLE_KIB},
    settle,
};
use crate::{
    audience::{Audience, CONFLATE_MS},
    author::EVENTS,
    bench::{Bench, Session, grouped, tell},
    load::{Measured, Pace},
    report::Row,
    server::Kind,
};
use anyhow::Result;

/// Between two events, and of how many keys they are: five of each in the time for which odds are held back.
const EVENT_NS: u64 = 1_000_000;
const KEYS: u64 = 100;

/// Conflating clients against others, event by event.
pub(super) fn conflate(bench: &mut Bench) -> Result<()> {
    bench.author.keys = KEYS;
    let outcome = compare(
        bench,
        &format!("conflated by {CONFLATE_MS} ms"),
        Audience::Conflating,
        Pace::EveryNs(EVENT_NS),
        |session| session.crowd.tally.conflate_ms > 0,
        &[
            ("CPU an event and client ÷ without conflation", |measured| {
                measured.us_each * measured.delivered as f64 / measured.published as f64
            }),
            ("messages ÷ without conflation", |measured| {
                measured.delivered as f64 / measured.published as f64
            }),
        ],
    );
    bench.author.keys = EVENTS;
    outcome
}

/// Clients with permessage-deflate against others.
pub(super) fn deflate(bench: &mut Bench) -> Result<()> {
    compare(
        bench,
        "permessage-deflate",
        Audience::Deflate,
        BATCHED,
        |session| session.crowd.tally.deflated > 0,
        &[
            ("CPU a message ÷ without, 64 outstanding", |measured| {
                measured.us_each
            }),
            ("bytes ÷ without", |measured| measured.bytes_each),
        ],
    )
}

/// What a figure is called, and how it is read from a stretch of load.
type Figure = (&'static str, fn(&Measured) -> f64);

fn compare(
    bench: &mut Bench,
    name: &str,
    audience: Audience,
    pace: Pace,
    is_granted: fn(&Session) -> bool,
    figures: &[Figure],
) -> Result<()> {
    let clients = bench.options.few();
    let scenario = format!("{name}, {} clients", grouped(clients));
    let mut samples: Vec<Vec<Sample>> = figures.iter().map(|_| Vec::new()).collect();
    let mut idle = Vec::new();
    for _ in 0..bench.options.rounds() {
        let mut session = bench.session(Kind::Gateway, audience, clients)?;
        if !is_granted(&session) {
            eprintln!("  {name}: not granted");
            bench.row(Row {
                scenario,
                figure: figures[0].0,
                rounds: Vec::new(),
                target: None,
                note: "not granted".into(),
            });
            return Ok(());
        }
        idle.push(session.idle_kib);
        let for_s = bench.options.stretch_s();
        let with = bench.load(&mut session, pace, for_s)?;
        tell(name, &with);
        drop(session);
        let mut session = bench.session(Kind::Gateway, Audience::Ws, clients)?;
        let without = bench.load(&mut session, pace, for_s)?;
        tell("without", &without);
        for ((_, read), samples) in figures.iter().zip(&mut samples) {
            samples.push(Sample::of(read(&with) / read(&without), &[&with, &without]));
        }
    }
    for ((figure, _), samples) in figures.iter().zip(&samples) {
        let (rounds, note) = settle(samples);
        bench.row(Row {
            scenario: scenario.clone(),
            figure,
            rounds,
            target: None,
            note,
        });
    }
    bench.row(Row {
        scenario,
        figure: IDLE_KIB,
        rounds: idle,
        target: None,
        note: String::new(),
    });
    Ok(())
}
