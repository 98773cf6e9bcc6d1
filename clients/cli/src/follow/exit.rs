//! What `follow` ends with.

use crate::image::RunImage;
use oddswire_protocol::progress::Status;

/// For help and the manual.
pub(crate) const HELP: &str = "\
Exit status, for a run or a batch (of a batch, that of the run that did worst, the last in this list):
  0    complete: every page was read
  3    partial: some pages could not be read
  4    empty: the site offers nothing
  5    cancelled
  6    unreachable: the site could not be reached
  7    blocked: the site refused
  8    broken: the site's form is not known, or nobody could do the run
  9    failed for another reason

Besides:
  1    the gateway refuses, or the command itself failed
  64   the command line or the configuration is wrong
  69   no gateway answers
  130  left by Ctrl-C before the end; the run goes on
  141  nobody reads the output any more";

/// Left before the end.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit status for a run that is over.
pub(crate) fn of_run(run: &RunImage) -> u8 {
    match (run.status, run.outcome.as_deref()) {
        (Status::Cancelled, _) => 5,
        (_, Some("complete")) => 0,
        (_, Some("empty")) => 4,
        (_, Some("unreachable")) => 6,
        (_, Some("blocked")) => 7,
        (_, Some("broken")) => 8,
        // Whatever else a later release may call it, it is not complete.
        (_, Some("partial")) | (Status::Completed, _) => 3,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: &str, outcome: Option<&str>) -> u8 {
        let run = serde_json::json!({
            "run_id": "r", "batch_id": "b", "source": "s", "seq": 1, "status": status, "phase": status,
            "outcome": outcome
        });
        of_run(&serde_json::from_value(run).unwrap())
    }

    #[test]
    fn each_outcome_has_a_status_of_its_own_and_the_help_names_it() {
        for (status, outcome, code) in [
            ("completed", Some("complete"), 0),
            ("completed", Some("partial"), 3),
            ("completed", Some("empty"), 4),
            ("cancelled", None, 5),
            ("failed", Some("unreachable"), 6),
            ("failed", Some("blocked"), 7),
            ("failed", Some("broken"), 8),
            ("failed", None, 9),
        ] {
            assert_eq!(of(status, outcome), code);
            let word = outcome.unwrap_or(status);
            let line = format!("\n  {code:<5}{word}");
            assert!(HELP.contains(&line), "{line}");
        }
    }

    #[test]
    fn an_outcome_of_a_later_release_is_no_success() {
        assert_ne!(of("completed", Some("so_so")), 0);
        assert_eq!(of("failed", Some("melted")), 9);
    }
}
