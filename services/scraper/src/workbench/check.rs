//! `oddswire source check`.

use super::Error;
use crate::source::{Crontab, LoadError, Lookup, Source, Timetable, load_files};
use oddswire_protocol::Timestamp;
use std::{collections::BTreeSet, io::Write, iter, path::Path};

/// What a wrong source file ends with: sysexits.h's EX_USAGE, as everywhere for a bad configuration.
const WRONG: u8 = 64;

/// Reads all files and tells what is wrong with them.
pub(super) fn run(path: &Path, lookup: Lookup<'_>, out: &mut dyn Write) -> Result<u8, Error> {
    match load_files(path, lookup).sources {
        Ok(sources) if sources.is_empty() => {
            writeln!(out, "{}: there is no *.toml file in this folder", path.display())?;
            Ok(WRONG)
        }
        Ok(sources) => {
            for source in &sources {
                writeln!(out, "{}", line(source))?;
            }
            writeln!(out, "{} good.", counted(sources.len(), "source", "sources"))?;
            Ok(0)
        }
        Err(problems) => {
            for problem in &problems {
                writeln!(out, "{problem}")?;
            }
            let files: BTreeSet<_> = problems.iter().map(LoadError::file).collect();
            let problems = counted(problems.len(), "problem", "problems");
            let files = counted(files.len(), "file", "files");
            writeln!(
                out,
                "\n{problems} in {files}. docs/sources.md describes every key."
            )?;
            Ok(WRONG)
        }
    }
}

fn line(source: &Source) -> String {
    let steps: Vec<_> = source.steps.iter().map(|step| step.id.as_str()).collect();
    let markets = counted(source.markets.len(), "market", "markets");
    let runs = match (source.enabled, &source.timetable) {
        (false, _) => "only when it is named".to_owned(),
        (true, None) => "on request".to_owned(),
        (true, Some(Timetable::Every(interval))) => format!("every {interval:?}"),
        (true, Some(Timetable::Cron(cron))) => next_times(cron),
    };
    let (key, title, steps) = (&source.key, &source.title, steps.join(" → "));
    format!("{key}: {title}: {steps}; {markets} mapped; runs {runs}")
}

/// `at 2026-11-23T09:00:00.000Z, …`: whether an expression means what was meant is seen best by its next times.
fn next_times(cron: &Crontab) -> String {
    let times = iter::successors(cron.after(Timestamp::now()), |at| cron.after(*at));
    let times: Vec<_> = times.take(3).map(|at| at.to_string()).collect();
    format!("at {}, …", times.join(", "))
}

/// `1 event`, `2 events`.
pub(super) fn counted(number: usize, one: &str, more: &str) -> String {
    let word = if number == 1 { one } else { more };
    format!("{number} {word}")
}
