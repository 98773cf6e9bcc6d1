//! What the suite wrote: how each case went, counted by group.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _};

/// How cases may go, in the order of the table's columns.
const BEHAVIOURS: [&str; 5] = ["OK", "NON-STRICT", "INFORMATIONAL", "FAILED", "UNIMPLEMENTED"];
/// Those that are no fault. What is unimplemented is a compression that we decline.
const FINE: [&str; 3] = ["OK", "INFORMATIONAL", "UNIMPLEMENTED"];

/// The cases of one server.
#[derive(Debug)]
pub(super) struct Report {
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    /// Such as 6.4.1.
    id: Vec<u32>,
    /// How it went, and how the connection was closed.
    behaviours: [String; 2],
}

impl Report {
    /// Reads `index.json`.
    pub(super) fn read(text: &str) -> Result<Self> {
        let index: Value = serde_json::from_str(text)?;
        let servers = index.as_object().context("the report is no object")?;
        let mut cases = Vec::new();
        for (id, case) in servers.values().filter_map(Value::as_object).flatten() {
            let word = |key: &str| case[key].as_str().unwrap_or("?").to_owned();
            cases.push(Case {
                id: id.split('.').map(str::parse).collect::<Result<_, _>>()?,
                behaviours: [word("behavior"), word("behaviorClose")],
            });
        }
        if cases.is_empty() {
            bail!("the report has no case");
        }
        cases.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self { cases })
    }

    /// A line a group.
    pub(super) fn table(&self) -> String {
        let mut groups: BTreeMap<u32, [usize; 5]> = BTreeMap::new();
        let mut all = [0; 5];
        for case in &self.cases {
            let group = groups.entry(case.id[0]).or_default();
            let column = BEHAVIOURS.iter().position(|known| *known == case.worst());
            // A word that the suite may yet invent counts as failed.
            let column = column.unwrap_or(3);
            group[column] += 1;
            all[column] += 1;
        }
        let mut table = line("group", &BEHAVIOURS);
        for (group, counts) in &groups {
            table += &line(&format!("{group}.*"), counts);
        }
        table + &line("all", &all)
    }

    /// A sentence for each case that is not as it should be.
    pub(super) fn faults(&self) -> Vec<String> {
        self.cases
            .iter()
            .filter(|case| !FINE.contains(&case.worst()))
            .map(|case| {
                let id: Vec<String> = case.id.iter().map(u32::to_string).collect();
                let [behaviour, close] = &case.behaviours;
                format!("case {} is {behaviour}, its close {close}", id.join("."))
            })
            .collect()
    }
}

impl Case {
    /// The one that is a fault, if one is; else how it went.
    fn worst(&self) -> &str {
        self.behaviours
            .iter()
            .find(|behaviour| !FINE.contains(&behaviour.as_str()))
            .unwrap_or(&self.behaviours[0])
    }
}

fn line(first: &str, columns: &[impl ToString]) -> String {
    let mut line = format!("{first:<6}");
    for column in columns {
        write!(line, " {:>13}", column.to_string()).expect("a String takes everything");
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(cases: &[(&str, &str, &str)]) -> Report {
        let case = |(id, behaviour, close): &(&str, &str, &str)| {
            format!(r#""{id}": {{"behavior": "{behaviour}", "behaviorClose": "{close}"}}"#)
        };
        let cases: Vec<String> = cases.iter().map(case).collect();
        Report::read(&format!(r#"{{"server": {{{}}}}}"#, cases.join(","))).unwrap()
    }

    #[test]
    fn groups_are_counted_in_the_order_of_numbers() {
        let table = report(&[
            ("12.1.1", "UNIMPLEMENTED", "OK"),
            ("2.10", "OK", "OK"),
            ("2.9", "OK", "INFORMATIONAL"),
        ])
        .table();
        let words: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(words[1], ["2.*", "2", "0", "0", "0", "0"]);
        assert_eq!(words[2], ["12.*", "0", "0", "0", "0", "1"]);
        assert_eq!(words[3], ["all", "2", "0", "0", "0", "1"]);
    }

    #[test]
    fn what_is_not_strict_or_closed_badly_is_a_fault() {
        assert!(
            report(&[("1.1.1", "OK", "OK"), ("7.1.6", "INFORMATIONAL", "INFORMATIONAL")])
                .faults()
                .is_empty()
        );
        let faults = report(&[
            ("6.4.1", "NON-STRICT", "OK"),
            ("7.7.1", "OK", "WRONG CODE"),
            ("1.1.1", "FAILED", "UNCLEAN"),
        ])
        .faults();
        assert_eq!(faults.len(), 3);
        assert_eq!(faults[0], "case 1.1.1 is FAILED, its close UNCLEAN");
    }

    #[test]
    fn a_report_without_a_case_is_an_error() {
        assert!(Report::read(r#"{"server": {}}"#).is_err());
        assert!(Report::read("[]").is_err());
    }
}
