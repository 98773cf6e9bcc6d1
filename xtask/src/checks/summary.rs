//! The table at the end.

use std::fmt::Write;
use std::time::Duration;

/// What became of a stage.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
}

/// Its result.
pub(super) enum Verdict {
    Passed,
    Failed,
    Skipped(String),
}

impl Verdict {
    /// For the table.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// All stages with their seconds, and the failing ones once more at the very end.
pub(super) fn table(lines: &[Line]) -> String {
    let mut text = String::from("\nstage      result   seconds\n");
    for line in lines {
        let seconds = line.took.as_secs_f64();
        let why = if let Verdict::Skipped(reason) = &line.verdict {
            reason
        } else {
            ""
        };
        let row = format!(
            "{:<10} {:<8} {seconds:>7.1}  {why}",
            line.name,
            line.verdict.word()
        );
        text.push_str(row.trim_end());
        text.push('\n');
    }
    let total: Duration = lines.iter().map(|line| line.took).sum();
    let _ = writeln!(text, "{:<19} {:>7.1}", "all", total.as_secs_f64());
    let failed: Vec<&str> = lines
        .iter()
        .filter(|line| matches!(line.verdict, Verdict::Failed))
        .map(|line| line.name)
        .collect();
    if failed.is_empty() {
        text.push_str("every stage is fine");
    } else {
        let names = failed.join(" ");
        let _ = write!(
            text,
            "failed: {names}\nrun them again: cargo xtask test --only {names}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &'static str, verdict: Verdict) -> Line {
        Line {
            name,
            verdict,
            took: Duration::from_millis(1500),
        }
    }

    #[test]
    fn failing_stages_stand_last() {
        let text = table(&[
            line("house", Verdict::Failed),
            line("format", Verdict::Passed),
            line("bus", Verdict::Skipped("no script".to_owned())),
        ]);
        assert!(text.contains("house      FAILED       1.5\n"), "{text}");
        assert!(
            text.contains("bus        skipped      1.5  no script\n"),
            "{text}"
        );
        assert!(text.contains("all                     4.5\n"), "{text}");
        assert!(
            text.ends_with("failed: house\nrun them again: cargo xtask test --only house"),
            "{text}"
        );
    }

    #[test]
    fn a_skipped_stage_is_no_failure() {
        assert!(
            table(&[line("bus", Verdict::Skipped("no script".to_owned()))]).ends_with("every stage is fine")
        );
    }
}
