//! Runs on a terminal, line by line, or as they came.

use super::bar::{Frame, account, ended, going, how};
use crate::{
    console::{Console, Live},
    image::{RunImage, phase_word},
    text::{TextLine, Tone, count},
};
use oddswire_protocol::{RunId, SourceKey, progress::Phase};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
};

/// The form in which runs are shown.
#[derive(Debug)]
pub(crate) enum View {
    /// Envelopes, a line each.
    Json,
    /// A line for each step worth one.
    Lines(Told),
    /// Bars that move.
    Bars(Bars),
}

impl View {
    /// Shows an event: the envelope as it came, and the run that it tells of.
    pub(crate) fn run(&mut self, envelope: &str, run: &RunImage, console: &mut Console) -> io::Result<()> {
        match self {
            Self::Json => {
                console.out.write_all(envelope.as_bytes())?;
                console.out.write_all(b"\n")
            }
            Self::Lines(told) => match told.line(run) {
                Some(line) => console.line(&TextLine::of(Tone::Plain, &line)),
                None => Ok(()),
            },
            Self::Bars(bars) => {
                bars.run(run, console);
                Ok(())
            }
        }
    }

    /// Runs that are waited for, before there is an event of them.
    pub(crate) fn expect(&mut self, runs: &[RunImage], console: &mut Console) {
        match self {
            Self::Json => {}
            Self::Lines(told) => {
                let expected = runs.iter().map(|run| run.run_id.clone());
                told.expected.get_or_insert_default().extend(expected);
            }
            Self::Bars(bars) => runs.iter().for_each(|run| bars.run(run, console)),
        }
    }

    /// Tells of the connection, not of a run.
    pub(crate) fn note(&mut self, text: &str, console: &mut Console) {
        match self {
            Self::Bars(bars) => {
                bars.above
                    .push(TextLine::of(Tone::Warn, "▲").with(Tone::Dim, &format!(" {text}")));
                bars.changed = true;
            }
            _ => console.tell(text),
        }
    }

    /// Brings what is shown up to date.
    pub(crate) fn draw(&mut self, console: &mut Console) -> io::Result<()> {
        match self {
            Self::Bars(bars) => bars.draw(console),
            _ => console.out.flush(),
        }
    }

    /// The last picture: what is still going on is left out.
    pub(crate) fn close(&mut self, console: &mut Console) -> io::Result<()> {
        if let Self::Bars(bars) = self {
            bars.going.clear();
            bars.is_closed = true;
            bars.changed = true;
        }
        self.draw(console)
    }
}

/// Bars at the end of a terminal's text, with what is over above them.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    live: Live,
    /// By source: a source has one run at a time.
    going: BTreeMap<SourceKey, RunImage>,
    above: Vec<TextLine>,
    names: HashSet<SourceKey>,
    changed: bool,
    is_closed: bool,
    size: (usize, usize),
}

impl Bars {
    fn frame(&self, console: &Console) -> Frame {
        let names = self.names.iter().map(SourceKey::as_str);
        Frame::over(console.size().0, console.look, names)
    }

    fn run(&mut self, run: &RunImage, console: &Console) {
        self.names.insert(run.source.clone());
        if run.status.is_terminal() {
            self.above.extend(ended(run, self.frame(console)));
            // Its successor may have begun already.
            if self
                .going
                .get(&run.source)
                .is_some_and(|going| going.run_id == run.run_id)
            {
                self.going.remove(&run.source);
            }
        } else {
            self.going.insert(run.source.clone(), run.clone());
        }
        self.changed = true;
    }

    fn draw(&mut self, console: &mut Console) -> io::Result<()> {
        let size = console.size();
        if !std::mem::take(&mut self.changed) && size == self.size {
            return Ok(());
        }
        self.size = size;
        let frame = self.frame(console);
        let mut lines: Vec<TextLine> = self.going.values().map(|run| going(run, frame)).collect();
        if !self.is_closed {
            let said = match self.going.len() {
                0 => "  no run at the moment".to_owned(),
                runs => format!("  {}", count(runs as u64, "run")),
            };
            lines.push(TextLine::of(
                Tone::Dim,
                &format!("{said} · Ctrl-C leaves, runs go on"),
            ));
        }
        let above = std::mem::take(&mut self.above);
        self.live.draw(console, &above, lines)
    }
}

/// What was told already, line by line.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The runs whose phases are told, of the others only the end; none: the phases of all.
    expected: Option<HashSet<RunId>>,
    phases: HashMap<RunId, Phase>,
}

impl Told {
    /// The line for a run's new state, when it is worth one.
    fn line(&mut self, run: &RunImage) -> Option<String> {
        let source = run.source.as_str();
        if run.status.is_terminal() {
            self.phases.remove(&run.run_id);
            let error = run.error.as_ref();
            let error = error.map_or(String::new(), |error| format!("; {}", error.message));
            return Some(format!("{source:<10} {}: {}{error}", how(run), account(run)));
        }
        let expected = self.expected.as_ref();
        let is_expected = expected.is_none_or(|expected| expected.contains(&run.run_id));
        let is_new = self.phases.insert(run.run_id.clone(), run.phase) != Some(run.phase);
        (is_expected && is_new).then(|| format!("{source:<10} {}", phase_word(run.phase)))
    }
}
