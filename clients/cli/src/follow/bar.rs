//! A run on one line.

use crate::{
    image::{RunImage, phase_word},
    text::{Look, TextLine, Tone, count, duration, width_of},
};
use oddswire_protocol::progress::Status;

/// What a picture of runs is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// Columns.
    pub(crate) width: usize,
    /// Columns of the widest source.
    pub(crate) names: usize,
    pub(crate) look: Look,
}

/// The widest that a source's name is shown.
const NAME_MAX: usize = 16;
const PHASE: usize = 12;
const COUNTS: usize = 15;
const RATE: usize = 8;
const LEFT: usize = 7;

impl Frame {
    /// One in which the names of all of these have room.
    pub(crate) fn over<'a>(width: usize, look: Look, sources: impl IntoIterator<Item = &'a str>) -> Self {
        let names = sources.into_iter().map(width_of).max().unwrap_or(0);
        Self {
            width,
            names: names.clamp(5, NAME_MAX),
            look,
        }
    }

    /// Columns of the bar itself: none where there is no room.
    fn bar(self) -> usize {
        match self.width {
            0..56 => 0,
            56..72 => 10,
            72..100 => 14,
            _ => 24,
        }
    }

    fn name(self, source: &str) -> TextLine {
        let name = TextLine::of(Tone::Bold, source).cut(NAME_MAX, self.look);
        let fill = self.names.saturating_sub(name.width());
        name.with(Tone::Plain, &" ".repeat(fill + 2))
    }
}

/// A run that goes on: source, phase, bar, counts, rate, time left, errors, message, as far as there is room.
pub(crate) fn going(run: &RunImage, frame: Frame) -> TextLine {
    let (word, tone) = match run.status {
        Status::Queued => ("queued", Tone::Dim),
        Status::Cancelling => ("cancelling", Tone::Warn),
        _ => (phase_word(run.phase), Tone::Accent),
    };
    let mut line = TextLine::of(Tone::Plain, "  ")
        .and(frame.name(run.source.as_str()))
        .with_padded(tone, word, PHASE)
        .with(Tone::Plain, "  ");
    if frame.bar() > 0 {
        line = line
            .and(bar(run.current, run.total, frame.bar()))
            .with(Tone::Plain, "  ");
    }
    line = line.with_padded(Tone::Plain, &counts(run), COUNTS);
    if frame.width >= 72 {
        let rate = run.rate_per_s.map_or(String::new(), per_second);
        let left = run.eta_ms.filter(|ms| *ms > 0);
        let left = left.map_or(String::new(), |ms| format!("~{}", whole(ms)));
        line = line
            .with(Tone::Plain, "  ")
            .with_padded(Tone::Dim, &rate, RATE)
            .with_padded(Tone::Dim, &left, LEFT);
    }
    if run.errors_count() > 0 {
        line = line
            .with(Tone::Plain, "  ")
            .with(Tone::Warn, &count(run.errors_count(), "error"));
    }
    let room = frame.width.saturating_sub(line.width() + 2);
    if room >= 12 {
        let message = TextLine::of(Tone::Dim, &run.message).cut(room, frame.look);
        line = line.with(Tone::Plain, "  ").and(message);
    }
    line.cut(frame.width, frame.look)
}

/// A run that is over, in words, and below it what went wrong: it stays, so nothing is cut off.
pub(crate) fn ended(run: &RunImage, frame: Frame) -> Vec<TextLine> {
    let (sign, tone) = match (run.status, run.outcome.as_deref()) {
        (Status::Completed, Some("complete")) => ("✔", Tone::Good),
        (Status::Completed | Status::Cancelled, _) => ("▲", Tone::Warn),
        _ => ("✖", Tone::Bad),
    };
    let line = TextLine::of(tone, sign)
        .with(Tone::Plain, " ")
        .and(frame.name(run.source.as_str()))
        .with_padded(tone, how(run), PHASE)
        .with(Tone::Plain, &format!("  {}", account(run)));
    let error = run.error.as_ref().filter(|_| tone != Tone::Good);
    let error = error.map(|error| {
        let indent = " ".repeat(frame.names + 4);
        TextLine::of(Tone::Dim, &format!("{indent}{}", error.message))
    });
    std::iter::once(line).chain(error).collect()
}

/// How it went, in one word.
pub(crate) fn how(run: &RunImage) -> &str {
    run.outcome.as_deref().unwrap_or(run.status.as_str())
}

/// What came of it.
pub(crate) fn account(run: &RunImage) -> String {
    let errors = match run.errors_count() {
        0 => String::new(),
        errors => format!(", {}", count(errors, "error")),
    };
    format!(
        "{}, {} changed in {}{errors}",
        count(run.events_count, "event"),
        count(run.changed_count, "market"),
        duration(run.elapsed_ms)
    )
}

fn counts(run: &RunImage) -> String {
    match (run.status, run.total) {
        (Status::Queued, _) => String::new(),
        (_, Some(total)) => format!("{}/{total} {}", run.current, run.unit),
        (_, None) if run.current == 0 => String::new(),
        (_, None) => format!("{} {}", run.current, run.unit),
    }
}

/// A bar of so many columns; nothing but its ground while the end is unknown.
fn bar(current: u64, total: Option<u64>, columns: usize) -> TextLine {
    let done = match total {
        Some(total) if total > 0 => {
            let share = u128::from(current.min(total)) * columns as u128 / u128::from(total);
            usize::try_from(share).unwrap_or(columns)
        }
        // Nothing to do is done.
        Some(_) => columns,
        None => 0,
    };
    TextLine::of(Tone::Good, &"━".repeat(done)).with(Tone::Dim, &"─".repeat(columns - done))
}

fn per_second(rate: f64) -> String {
    if rate < 100.0 {
        format!("{rate:.1}/s")
    } else {
        format!("{rate:.0}/s")
    }
}

/// A time to come, never less than a second: it is a guess.
fn whole(ms: u64) -> String {
    duration(ms.div_ceil(1_000) * 1_000).replace(".0 s", " s")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(json: &str) -> RunImage {
        let mut whole = serde_json::json!({
            "run_id": "r1", "batch_id": "b1", "source": "alpha", "seq": 9, "attempt": 1, "status": "running",
            "phase": "scraping", "current": 20, "total": 23, "unit": "pages", "events_count": 19,
            "changed_count": 13, "message": "Reading pages.", "elapsed_ms": 1164, "rate_per_s": 19.861,
            "eta_ms": 151, "a_key_of_a_later_release": [1]
        });
        let more: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
        whole.as_object_mut().unwrap().extend(more);
        serde_json::from_value(whole).unwrap()
    }

    const ERRORS: &str = r#"{"errors":[{"message":"a","count":2},{"message":"b","count":1}],"error":{"message":"GET /a: no answer within 10 s.","count":1}}"#;
    const LOOK: Look = Look {
        colours: false,
        unicode: true,
    };

    fn frame(width: usize) -> Frame {
        Frame::over(width, LOOK, ["alpha", "charlie"])
    }

    #[test]
    fn a_run_uses_the_room_that_there_is() {
        for (width, picture) in [
            (40, "  alpha    scraping      20/23 pages      "),
            (60, "  alpha    scraping      ━━━━━━━━──  20/23 pages"),
            (
                80,
                "  alpha    scraping      ━━━━━━━━━━━━──  20/23 pages      19.9/s  ~1 s",
            ),
            (
                120,
                "  alpha    scraping      ━━━━━━━━━━━━━━━━━━━━────  20/23 pages      19.9/s  ~1 s     Reading pages.",
            ),
        ] {
            let line = going(&run("{}"), frame(width));
            assert_eq!(line.rendered(LOOK), picture.trim_end(), "{width}");
        }
    }

    #[test]
    fn errors_are_counted_while_it_goes_on_and_told_at_its_end() {
        let line = going(&run(ERRORS), frame(90));
        assert_eq!(
            line.rendered(LOOK),
            "  alpha    scraping      ━━━━━━━━━━━━──  20/23 pages      19.9/s  ~1 s     3 errors"
        );
        let mut over = run(ERRORS);
        (over.status, over.outcome) = (Status::Completed, Some("partial".into()));
        let lines: Vec<String> = ended(&over, frame(80)).iter().map(|l| l.rendered(LOOK)).collect();
        assert_eq!(
            lines,
            [
                "▲ alpha    partial       19 events, 13 markets changed in 1.1 s, 3 errors",
                "           GET /a: no answer within 10 s."
            ]
        );
    }

    #[test]
    fn every_end_is_told_by_its_outcome_and_without_one_by_its_status() {
        for (status, outcome, told) in [
            (Status::Completed, Some("complete"), "✔ alpha    complete      "),
            (Status::Completed, Some("empty"), "▲ alpha    empty         "),
            (Status::Failed, Some("blocked"), "✖ alpha    blocked       "),
            (Status::Cancelled, None, "▲ alpha    cancelled     "),
        ] {
            let mut over = run("{}");
            (over.status, over.outcome) = (status, outcome.map(str::to_owned));
            let line = ended(&over, frame(80))[0].rendered(LOOK);
            assert_eq!(line, format!("{told}19 events, 13 markets changed in 1.1 s"));
        }
    }

    #[test]
    fn a_run_without_a_known_end_has_an_empty_bar_and_a_queued_one_no_counts() {
        let unknown =
            run(r#"{"phase":"discovering","current":3,"total":null,"rate_per_s":null,"eta_ms":null}"#);
        assert_eq!(
            going(&unknown, frame(60)).rendered(LOOK),
            "  alpha    discovering   ──────────  3 pages"
        );
        let queued = run(r#"{"status":"queued","phase":"initializing","current":0,"total":null}"#);
        assert_eq!(
            going(&queued, frame(60)).rendered(LOOK),
            "  alpha    queued        ──────────"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let many = r#"{"source":"a_source_with_a_very_long_name_indeed","current":1234567,"total":7654321}"#;
        for width in 1..200 {
            assert!(going(&run(many), frame(width)).width() <= width, "{width}");
        }
    }
}
