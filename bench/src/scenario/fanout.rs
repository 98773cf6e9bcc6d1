//! One event to many: the gateway against the floor, transport by transport, and many topics against one.

use super::{Sample, settle};
use crate::{
    audience::Audience,
    bench::{Bench, FOREIGN_MAX_PERCENT, grouped, tell},
    load::{Measured, Pace},
    options::Scenario,
    report::{Row, short},
    server::Kind,
};
use anyhow::Result;

/// What one contender showed in one round.
#[derive(Debug)]
struct Taken {
    who: (Kind, Audience),
    unbatched: Measured,
    batched: Measured,
    idle_kib: f64,
}

/// One message outstanding leaves nothing to put together.
pub(super) const UNBATCHED: Pace = Pace::Outstanding(1);
/// Enough for a server that can put together.
pub(super) const BATCHED: Pace = Pace::Outstanding(64);
/// Rounds that may be taken again because somebody disturbed them, where it need not be quick.
const AGAIN: usize = 2;
const IDLE_KIB_MAX: f64 = 4.0;
/// What the memory of connections is called in the table.
pub(super) const IDLE_KIB: &str = "KiB an idle connection";

/// The transports with their targets, unbatched and batched.
const AGAINST_FLOOR: [(Scenario, Audience, [Option<f64>; 2]); 3] = [
    (Scenario::Ws, Audience::Ws, [Some(1.15), Some(1.5)]),
    (Scenario::Sse, Audience::Sse, [Some(1.25), Some(1.6)]),
    (Scenario::Mixed, Audience::Mixed, [None, None]),
];
const TOPICS_MAX: f64 = 1.3;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let contenders = contenders(bench);
    if contenders.is_empty() {
        return Ok(());
    }
    for clients in bench.options.sizes() {
        let mut rounds: Vec<Vec<Taken>> = Vec::new();
        let wanted = bench.options.rounds();
        let again = if bench.options.quick { 0 } else { AGAIN };
        let mut disturbed = 0;
        while rounds.len() < wanted + disturbed.min(again) {
            eprintln!(
                "fan-out, {} clients, round {}",
                grouped(clients),
                rounds.len() + 1
            );
            let mut order = contenders.clone();
            if rounds.len() % 2 == 1 {
                order.reverse();
            }
            let mut round = Vec::new();
            for who in order {
                round.push(take(bench, who, clients)?);
            }
            disturbed += usize::from(round.iter().any(Taken::is_disturbed));
            rounds.push(round);
        }
        tabulate(bench, clients, &rounds);
    }
    Ok(())
}

/// Who runs, each next to the one that it is compared with.
fn contenders(bench: &Bench) -> Vec<(Kind, Audience)> {
    let mut all = Vec::new();
    for (scenario, audience, _) in AGAINST_FLOOR {
        if bench.options.wants(scenario) {
            all.extend([(Kind::Floor, audience), (Kind::Gateway, audience)]);
        }
        if scenario == Scenario::Ws && bench.options.wants(Scenario::Topics) {
            let one_topic = (Kind::Gateway, Audience::Ws);
            if !all.contains(&one_topic) {
                all.push(one_topic);
            }
            all.push((Kind::Gateway, Audience::Topics));
        }
    }
    all
}

fn take(bench: &mut Bench, who: (Kind, Audience), clients: usize) -> Result<Taken> {
    let (kind, audience) = who;
    let name = format!("{kind:?} {audience:?}");
    let mut session = bench.session(kind, audience, clients)?;
    eprintln!(
        "  {name}: open in {} s, {} KiB a connection",
        short(session.opening.seconds),
        short(session.idle_kib)
    );
    let for_s = bench.options.stretch_s();
    let unbatched = bench.load(&mut session, UNBATCHED, for_s)?;
    tell(&format!("{name}, 1 outstanding"), &unbatched);
    let batched = bench.load(&mut session, BATCHED, for_s)?;
    tell(&format!("{name}, 64 outstanding"), &batched);
    Ok(Taken {
        who,
        unbatched,
        batched,
        idle_kib: session.idle_kib,
    })
}

impl Taken {
    fn is_disturbed(&self) -> bool {
        [&self.unbatched, &self.batched]
            .iter()
            .any(|m| m.foreign_percent > FOREIGN_MAX_PERCENT)
    }

    fn stretch(&self, is_batched: bool) -> &Measured {
        if is_batched {
            &self.batched
        } else {
            &self.unbatched
        }
    }
}

fn tabulate(bench: &mut Bench, clients: usize, rounds: &[Vec<Taken>]) {
    for (scenario, audience, targets) in AGAINST_FLOOR {
        if !bench.options.wants(scenario) {
            continue;
        }
        let name = format!("{}, {} clients", name(audience), grouped(clients));
        let (gateway, floor) = ((Kind::Gateway, audience), (Kind::Floor, audience));
        for (is_batched, figure) in [
            (false, "CPU a message ÷ floor, 1 outstanding"),
            (true, "CPU a message ÷ floor, 64 outstanding"),
        ] {
            let samples = ratios(rounds, (gateway, is_batched), (floor, is_batched));
            push(bench, &name, figure, &samples, targets[usize::from(is_batched)]);
        }
        // The fixed part of a process weighs a few KiB a connection where there are few.
        let target = (clients >= 10_000 && audience != Audience::Mixed).then_some(IDLE_KIB_MAX);
        idle(bench, name, rounds, gateway, target);
    }
    if bench.options.wants(Scenario::Topics) {
        let name = format!("1,000 topics, 3 a client, {} clients", grouped(clients));
        let (many, one) = ((Kind::Gateway, Audience::Topics), (Kind::Gateway, Audience::Ws));
        // Below some clients a topic, what is measured is the cost of an event and not of its delivery.
        let target = (clients >= 10_000).then_some(TOPICS_MAX);
        let samples = ratios(rounds, (many, true), (one, false));
        let figure = "CPU a message, 64 outstanding ÷ one topic, 1 outstanding";
        push(bench, &name, figure, &samples, target);
        let samples = ratios(rounds, (many, false), (one, false));
        push(
            bench,
            &name,
            "CPU a message ÷ one topic, 1 outstanding",
            &samples,
            None,
        );
        idle(bench, name, rounds, many, None);
    }
}

fn idle(
    bench: &mut Bench,
    scenario: String,
    rounds: &[Vec<Taken>],
    who: (Kind, Audience),
    target: Option<f64>,
) {
    let rounds = of(rounds, who).map(|taken| taken.idle_kib).collect();
    bench.row(Row {
        scenario,
        figure: IDLE_KIB,
        rounds,
        target,
        note: String::new(),
    });
}

fn push(bench: &mut Bench, name: &str, figure: &'static str, samples: &[Sample], target: Option<f64>) {
    let (rounds, note) = settle(samples);
    bench.row(Row {
        scenario: name.to_owned(),
        figure,
        rounds,
        target,
        note,
    });
}

fn of(rounds: &[Vec<Taken>], who: (Kind, Audience)) -> impl Iterator<Item = &Taken> {
    rounds.iter().flatten().filter(move |taken| taken.who == who)
}

/// What one costs over what the other costs, round by round.
fn ratios(
    rounds: &[Vec<Taken>],
    (one, one_batched): ((Kind, Audience), bool),
    (other, other_batched): ((Kind, Audience), bool),
) -> Vec<Sample> {
    of(rounds, one)
        .zip(of(rounds, other))
        .map(|(one, other)| (one.stretch(one_batched), other.stretch(other_batched)))
        .map(|(one, other)| Sample::of(one.us_each / other.us_each, &[one, other]))
        .collect()
}

fn name(audience: Audience) -> &'static str {
    match audience {
        Audience::Sse => "SSE",
        Audience::Mixed => "half WebSocket, half SSE",
        _ => "WebSocket",
    }
}
