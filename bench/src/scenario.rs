//! The scenarios, in the order in which they run.

mod extras;
mod fanout;
mod herd;
mod join;
mod past;
mod resume;
mod stalled;
mod storm;

use crate::{
    bench::{Bench, FOREIGN_MAX_PERCENT},
    load::Measured,
    options::Scenario,
    report::{DISTURBED, short},
};
use anyhow::Result;

/// Takes figures, and puts them into the table.
type Run = fn(&mut Bench) -> Result<()>;

/// Runs all that are wanted. What was found before a failure stays in the table.
pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    let alone: [(Scenario, Run); 7] = [
        (Scenario::Stalled, stalled::run),
        (Scenario::Conflate, extras::conflate),
        (Scenario::Deflate, extras::deflate),
        (Scenario::Storm, storm::run),
        (Scenario::Join, join::run),
        (Scenario::Resume, resume::run),
        (Scenario::Herd, herd::run),
    ];
    fanout::run(bench)?;
    for (scenario, run) in alone {
        if bench.options.wants(scenario) {
            eprintln!("{scenario:?}");
            run(bench)?;
        }
    }
    Ok(())
}

/// A figure of one round, and what speaks against it.
#[derive(Debug)]
struct Sample {
    value: f64,
    foreign_percent: f64,
    faults: String,
}

impl Sample {
    /// A figure that was taken from these stretches of load.
    fn of(value: f64, stretches: &[&Measured]) -> Self {
        let faults: Vec<&str> = stretches
            .iter()
            .map(|m| m.faults.as_str())
            .filter(|f| !f.is_empty())
            .collect();
        Self {
            value,
            foreign_percent: stretches.iter().map(|m| m.foreign_percent).fold(0.0, f64::max),
            faults: faults.join("; "),
        }
    }

    fn is_quiet(&self) -> bool {
        self.foreign_percent <= FOREIGN_MAX_PERCENT
    }
}

/// The figures that count, and what has to be said about the others: one with losses is void, and one that was disturbed
/// counts only when there is none that was not.
fn settle(samples: &[Sample]) -> (Vec<f64>, String) {
    let sound: Vec<&Sample> = samples.iter().filter(|s| s.faults.is_empty()).collect();
    let quiet: Vec<&Sample> = sound.iter().copied().filter(|s| s.is_quiet()).collect();
    let mut notes: Vec<String> = Vec::new();
    if let Some(faulty) = samples.iter().find(|s| !s.faults.is_empty()) {
        notes.push(format!("{} void: {}", samples.len() - sound.len(), faulty.faults));
    }
    let counted = if quiet.is_empty() {
        let worst = sound.iter().map(|s| s.foreign_percent).fold(0.0, f64::max);
        if !sound.is_empty() {
            notes.push(format!(
                "{DISTURBED}: others used up to {}% of a core",
                short(worst)
            ));
        }
        sound
    } else {
        if quiet.len() < sound.len() {
            notes.push(format!("{} disturbed and dropped", sound.len() - quiet.len()));
        }
        quiet
    };
    (counted.iter().map(|s| s.value).collect(), notes.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: f64, foreign_percent: f64, faults: &str) -> Sample {
        Sample {
            value,
            foreign_percent,
            faults: faults.into(),
        }
    }

    #[test]
    fn disturbed_rounds_are_dropped_when_there_are_others() {
        let (values, note) = settle(&[sample(1.0, 2.0, ""), sample(3.0, 50.0, "")]);
        assert_eq!((values, note.as_str()), (vec![1.0], "1 disturbed and dropped"));
    }

    #[test]
    fn disturbed_rounds_alone_are_told_as_such() {
        let (values, note) = settle(&[sample(3.0, 50.0, "")]);
        assert_eq!(values, [3.0]);
        assert!(note.contains(DISTURBED) && note.contains("50.0%"), "{note}");
    }

    #[test]
    fn a_figure_with_losses_is_void() {
        let (values, note) = settle(&[sample(1.0, 0.0, "7 lost")]);
        assert_eq!((values.len(), note.as_str()), (0, "1 void: 7 lost"));
    }
}
