//! The table at the end.

use crate::figures::median;
use std::fmt::Write;

/// One figure.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The scenario, with its size.
    pub(crate) scenario: String,
    /// What the figure is, with its unit.
    pub(crate) figure: &'static str,
    /// One value a round.
    pub(crate) rounds: Vec<f64>,
    /// What it must not be above.
    pub(crate) target: Option<f64>,
    /// What to know about it.
    pub(crate) note: String,
}

/// In the note of a figure for which there was no quiet round: it proves nothing.
pub(crate) const DISTURBED: &str = "no quiet round";

/// Three digits that count, and no more than that.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1_000.0 => format!("{value:.0}"),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// All rows in Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| scenario | figure | target | median | | each round | note |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let middle = median(&row.rounds);
        let target = row.target.map_or(String::new(), |t| format!("≤ {}", short(t)));
        let verdict = match (middle, row.target) {
            (Some(_), Some(_)) if row.note.contains(DISTURBED) => "a hint",
            (Some(value), Some(target)) if value <= target => "met",
            (Some(_), Some(_)) => "not met",
            _ => "",
        };
        let each: Vec<String> = row.rounds.iter().map(|value| short(*value)).collect();
        // Writing to a string never fails.
        let _ = writeln!(
            text,
            "| {} | {} | {target} | {} | {verdict} | {} | {} |",
            row.scenario,
            row.figure,
            middle.map_or("none".to_owned(), |value| format!("**{}**", short(value))),
            each.join(" "),
            row.note
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_median_and_whether_it_will_do() {
        let row = Row {
            scenario: "ws, 1,000".into(),
            figure: "ratio",
            rounds: vec![1.0, 1.2, 1.1],
            target: Some(1.15),
            note: String::new(),
        };
        let worse = Row {
            target: Some(1.05),
            ..row.clone()
        };
        let nothing = Row {
            rounds: Vec::new(),
            ..row.clone()
        };
        let hint = Row {
            note: format!("{DISTURBED}: a compiler ran"),
            ..row.clone()
        };
        let text = table(&[row, worse, nothing, hint]);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines[0],
            "| ws, 1,000 | ratio | ≤ 1.15 | **1.10** | met | 1.00 1.20 1.10 |  |"
        );
        assert!(lines[1].contains("| not met |"));
        assert!(lines[2].contains("| none |  |"));
        assert!(lines[3].contains("| a hint |"));
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (12_345.6, "12346"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
