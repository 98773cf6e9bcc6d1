//! The picture: lines of any width.

use super::{gateway::Sign, rates::Rates, state::State};
use crate::{
    follow::bar::{Frame, going, how},
    image::RunImage,
    table::{Cell, Side, Table, cell},
    text::{Look, TextLine, Tone, count, duration, seconds},
};
use oddswire_protocol::{
    SourceKey, Timestamp,
    job::{SourceHealth, SourceRecord},
    progress::Status,
};

/// A head, and a part each for runs, sources, workers and gateways. Rates only where somebody counted.
pub(super) fn lines(
    state: &State,
    rates: Option<&Rates>,
    now: Timestamp,
    width: usize,
    look: Look,
) -> Vec<TextLine> {
    let mut lines = vec![head(state, rates, now)];
    if let Some(trouble) = &state.trouble {
        lines.push(TextLine::of(Tone::Warn, &format!("▲ {trouble}")));
    }
    lines.extend(runs(state, width, look));
    lines.extend(sources(state, rates, now, width, look));
    lines.extend(workers(state, now, width, look));
    if !state.snapshot.gateways.is_empty() {
        lines.extend(gateways(state, width, look));
    }
    if rates.is_some() {
        lines.push(TextLine::new());
        lines.push(TextLine::of(Tone::Dim, "q leaves"));
    }
    lines.into_iter().map(|line| line.cut(width, look)).collect()
}

fn head(state: &State, rates: Option<&Rates>, now: Timestamp) -> TextLine {
    let now = now.to_string();
    let time = now.get(11..19).unwrap_or_default();
    let line = TextLine::of(Tone::Bold, "oddswire top")
        .with(Tone::Plain, &format!("  {}", state.snapshot.address))
        .with(Tone::Dim, &format!("  {time} UTC"));
    match rates {
        Some(rates) => line.with(
            Tone::Plain,
            &format!("  odds {:.1}/s  runs {:.1}/s", rates.odds(), rates.runs()),
        ),
        None => line,
    }
}

/// The title of a part, behind an empty line.
fn title(lines: &mut Vec<TextLine>, word: &str, more: &str) {
    lines.push(TextLine::new());
    let line = TextLine::of(Tone::Accent, word);
    lines.push(if more.is_empty() {
        line
    } else {
        line.with(Tone::Dim, &format!("  {more}"))
    });
}

fn runs(state: &State, width: usize, look: Look) -> Vec<TextLine> {
    let queued = state
        .going
        .values()
        .filter(|run| run.status == Status::Queued)
        .count();
    let mut lines = Vec::new();
    let going_on = state.going.len() - queued;
    title(
        &mut lines,
        "RUNS",
        &format!("{going_on} going on, {queued} queued"),
    );
    let names = state.snapshot.sources.iter().map(|source| source.source.as_str());
    let names = names.chain(state.going.keys().map(SourceKey::as_str));
    let frame = Frame::over(width, look, names);
    lines.extend(state.going.values().map(|run| going(run, frame)));
    lines
}

fn sources(state: &State, rates: Option<&Rates>, now: Timestamp, width: usize, look: Look) -> Vec<TextLine> {
    let mut lines = Vec::new();
    title(&mut lines, "SOURCES", "");
    let mut columns = vec![
        (Side::Left, "source"),
        (Side::Left, "health"),
        (Side::Right, "confirmed"),
        (Side::Right, "next"),
    ];
    if rates.is_some() {
        columns.push((Side::Right, "odds/s"));
    }
    columns.push((Side::Left, "last run"));
    let mut table = Table::new(&columns);
    for source in &state.snapshot.sources {
        let mut row = vec![
            cell(Tone::Bold, source.source.as_str()),
            health(source.health),
            confirmed(state, source, now),
            next(state, source, now),
        ];
        row.extend(rates.map(|rates| {
            let rate = rates.of_source(&source.source);
            cell(Tone::Plain, format!("{rate:.1}"))
        }));
        row.push(last(state.over.get(&source.source), now));
        table.row(row);
    }
    lines.extend(table.lines(2, width, look));
    lines
}

fn health(health: SourceHealth) -> Cell {
    match health {
        SourceHealth::Unknown => cell(Tone::Dim, "unknown"),
        SourceHealth::Ok => cell(Tone::Good, "ok"),
        SourceHealth::Degraded => cell(Tone::Warn, "degraded"),
        SourceHealth::Down => cell(Tone::Bad, "down"),
    }
}

fn confirmed(state: &State, source: &SourceRecord, now: Timestamp) -> Cell {
    match state.snapshot.confirmed.get(&source.source) {
        None => cell(Tone::Dim, "never"),
        Some(confirmed) => {
            let age = now.ms_since(confirmed.confirmed_at);
            let is_stale = age > source.stale_after_ms || confirmed.all_unconfirmed;
            cell(if is_stale { Tone::Warn } else { Tone::Plain }, seconds(age))
        }
    }
}

/// When it is scraped next, at the earliest: intervals are counted on the clock.
fn next(state: &State, source: &SourceRecord, now: Timestamp) -> Cell {
    if state.going.contains_key(&source.source) {
        return cell(Tone::Accent, "now");
    }
    match (source.enabled, source.interval_ms, &source.cron) {
        (false, _, _) => cell(Tone::Dim, "disabled"),
        (true, Some(interval), _) => {
            let now = u64::try_from(now.unix_ms()).unwrap_or(0);
            let interval = interval.max(1);
            cell(Tone::Plain, seconds(interval - now % interval))
        }
        // Without its time zone, for which there is no room.
        (true, None, Some(cron)) => cell(Tone::Dim, cron.split(" (").next().unwrap_or(cron)),
        (true, None, None) => cell(Tone::Dim, "on request"),
    }
}

fn last(run: Option<&RunImage>, now: Timestamp) -> Cell {
    let Some(run) = run else {
        return cell(Tone::Dim, "none");
    };
    let tone = match (run.status, run.outcome.as_deref()) {
        (Status::Completed, Some("complete")) => Tone::Plain,
        (Status::Failed, _) => Tone::Bad,
        _ => Tone::Warn,
    };
    let ago = run
        .finished_at
        .map(|at| format!(" {} ago", seconds(now.ms_since(at))));
    let text = format!(
        "{}{}: {} in {}",
        how(run),
        ago.unwrap_or_default(),
        count(run.events_count, "event"),
        duration(run.elapsed_ms)
    );
    cell(tone, text)
}

fn workers(state: &State, now: Timestamp, width: usize, look: Look) -> Vec<TextLine> {
    let mut lines = Vec::new();
    let workers = &state.snapshot.workers;
    title(
        &mut lines,
        "WORKERS",
        if workers.is_empty() { "none is alive" } else { "" },
    );
    if workers.is_empty() {
        return lines;
    }
    let mut table = Table::new(&[
        (Side::Left, "worker"),
        (Side::Right, "runs"),
        (Side::Right, "sources"),
        (Side::Right, "up"),
        (Side::Right, "seen"),
        (Side::Left, "version"),
    ]);
    for worker in workers {
        let at_once = format!("{}/{}", worker.running.len(), worker.concurrency);
        table.row(vec![
            cell(Tone::Bold, worker.worker_id.as_str()),
            cell(Tone::Plain, at_once),
            cell(Tone::Plain, worker.sources.len().to_string()),
            cell(Tone::Plain, seconds(now.ms_since(worker.started_at))),
            cell(Tone::Plain, seconds(now.ms_since(worker.seen_at))),
            cell(Tone::Dim, worker.version.as_str()),
        ]);
    }
    lines.extend(table.lines(2, width, look));
    lines
}

fn gateways(state: &State, width: usize, look: Look) -> Vec<TextLine> {
    let mut lines = Vec::new();
    title(&mut lines, "GATEWAYS", "");
    let mut table = Table::new(&[
        (Side::Left, "operations port"),
        (Side::Left, "state"),
        (Side::Right, "clients"),
        (Side::Right, "sent/s"),
        (Side::Right, "waiting"),
        (Side::Left, "bus"),
    ]);
    for sign in &state.snapshot.gateways {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.0}"));
        table.row(vec![
            cell(Tone::Bold, sign.ops.as_str()),
            match sign.ready {
                Some(true) => cell(Tone::Good, "ready"),
                Some(false) => cell(Tone::Warn, "not ready"),
                None => cell(Tone::Bad, "no answer"),
            },
            cell(Tone::Plain, number(sign.sessions)),
            cell(Tone::Plain, sent_per_second(state, sign)),
            cell(Tone::Plain, sign.queue_bytes.map_or(String::new(), bytes)),
            match sign.upstream_connected {
                Some(connected) if connected > 0.0 => cell(Tone::Plain, "connected"),
                // Nobody listens, so it need not be.
                Some(_) => cell(Tone::Dim, "idle"),
                None => cell(Tone::Plain, ""),
            },
        ]);
    }
    lines.extend(table.lines(2, width, look));
    lines
}

fn sent_per_second(state: &State, sign: &Sign) -> String {
    let before = state.before.front().and_then(|(at, signs)| {
        let before = signs.iter().find(|before| before.ops == sign.ops)?;
        Some((state.taken_at.ms_since(*at), before.delivered_total?))
    });
    match (before, sign.delivered_total) {
        (Some((ms, before)), Some(now)) if ms > 0 && now >= before => {
            let seconds = f64::from(u32::try_from(ms).unwrap_or(u32::MAX)) / 1_000.0;
            format!("{:.1}", (now - before) / seconds)
        }
        _ => String::new(),
    }
}

fn bytes(bytes: f64) -> String {
    match bytes {
        ..1_000.0 => format!("{bytes:.0} B"),
        ..1_000_000.0 => format!("{:.1} kB", bytes / 1e3),
        _ => format!("{:.1} MB", bytes / 1e6),
    }
}

#[cfg(test)]
mod tests;
