//! `cargo xtask test`: the one list of checks. Each stage runs whatever became of the others; a table closes.

mod bench;
mod stages;
mod summary;

use crate::{process, secrets};
use anyhow::{Result, bail};
use bench::Bench;
use stages::STAGES;
use std::process::ExitCode;
use std::time::Duration;
use summary::{Line, Verdict};

/// One kind of check.
struct Stage {
    name: &'static str,
    about: &'static str,
    run: fn(&Bench) -> Result<Outcome>,
}

/// How a stage ends that found no fault.
enum Outcome {
    Passed,
    /// There is nothing to check, and why.
    Skipped(String),
}

/// Names the stages.
pub(crate) fn list() {
    for stage in STAGES {
        println!("{:<10} {}", stage.name, stage.about);
    }
}

/// Runs the named stages, or all; the code says whether every one passed.
pub(crate) fn run(only: &[String]) -> Result<ExitCode> {
    let chosen = choose(only)?;
    let bench = Bench::default();
    let logs = secrets::folder()?;
    let run = |stage: &&Stage| {
        process::keep_output(&logs, stage.name);
        run_one(stage, &bench)
    };
    let lines: Vec<Line> = chosen.iter().map(run).collect();
    println!("{}", summary::table(&lines));
    let failed = lines.iter().any(|line| matches!(line.verdict, Verdict::Failed));
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn choose(only: &[String]) -> Result<Vec<&'static Stage>> {
    if let Some(unknown) = only
        .iter()
        .find(|name| STAGES.iter().all(|stage| stage.name != **name))
    {
        let names: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
        bail!("there is no stage {unknown:?}; there are {}", names.join(", "));
    }
    Ok(STAGES
        .iter()
        .filter(|stage| only.is_empty() || only.iter().any(|name| name == stage.name))
        .collect())
}

fn run_one(stage: &Stage, bench: &Bench) -> Line {
    println!("\n==> {}: {}", stage.name, stage.about);
    let (result, took) = timed(|| (stage.run)(bench));
    let verdict = match result {
        Ok(Outcome::Passed) => Verdict::Passed,
        Ok(Outcome::Skipped(reason)) => Verdict::Skipped(reason),
        Err(error) => {
            println!("{}: {error:#}", stage.name);
            Verdict::Failed
        }
    };
    println!(
        "<== {}: {} in {:.1} s",
        stage.name,
        verdict.word(),
        took.as_secs_f64()
    );
    Line {
        name: stage.name,
        verdict,
        took,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch at a terminal: there is no runtime here to pause"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_keep_their_order_however_they_are_named() {
        let chosen = choose(&["lints".to_owned(), "house".to_owned()]).unwrap();
        let names: Vec<&str> = chosen.iter().map(|stage| stage.name).collect();
        assert_eq!(names, ["house", "lints"]);
        assert_eq!(choose(&[]).unwrap().len(), STAGES.len());
    }

    #[test]
    fn an_unknown_stage_is_told_the_known_ones() {
        let error = choose(&["lint".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("\"lint\"") && error.contains("lints"), "{error}");
    }

    #[test]
    fn a_failing_stage_does_not_stop_the_next() {
        let bad = Stage {
            name: "bad",
            about: "",
            run: |_| bail!("broken"),
        };
        let good = Stage {
            name: "good",
            about: "",
            run: |_| Ok(Outcome::Passed),
        };
        let bench = Bench::default();
        assert!(matches!(run_one(&bad, &bench).verdict, Verdict::Failed));
        assert!(matches!(run_one(&good, &bench).verdict, Verdict::Passed));
    }
}
