//! Tables of the docs that promise tests: each row names some, and they exist.

use super::Violations;
use super::tree::Tree;
use std::collections::BTreeMap;

/// A table whose rows are numbered, with the names of tests in the last column.
pub(super) struct Table {
    /// What is checked.
    pub(super) sentence: &'static str,
    page: &'static str,
    /// What stands before a row's number.
    letter: char,
    /// So many rows there are at least.
    rows: u32,
}

/// All of them.
pub(super) const TABLES: [Table; 2] = [
    Table {
        sentence: "each of the defects O1 to O19 has tests in docs/defects.md, and they exist",
        page: "docs/defects.md",
        letter: 'O',
        rows: 19,
    },
    Table {
        sentence: "each of at least 90 attacks has tests in docs/attacks.md, and they exist",
        page: "docs/attacks.md",
        letter: 'A',
        rows: 90,
    },
];

impl Table {
    /// Rows that are missing or without a test, and tests that are not there.
    pub(super) fn check(&self, tree: &Tree) -> Violations {
        let (page, letter) = (self.page, self.letter);
        let Some(file) = tree.files.iter().find(|file| file.path == page) else {
            return vec![format!("{page} is missing")];
        };
        let begin = format!("| {letter}");
        let rows: BTreeMap<u32, &str> = file
            .text
            .lines()
            .filter_map(|line| Some((line.strip_prefix(&begin)?.split_once(' ')?.0.parse().ok()?, line)))
            .collect();
        // By the highest number, so that one which is left out hides nothing behind it.
        let last = rows
            .keys()
            .next_back()
            .copied()
            .unwrap_or_default()
            .max(self.rows);
        let mut violations = Vec::new();
        for number in 1..=last {
            let tests = rows.get(&number).map(|row| tests_of(row)).unwrap_or_default();
            if tests.is_empty() {
                violations.push(format!("{page}: {letter}{number} has no test"));
            }
            let missing = tests.iter().filter(|test| !exists(tree, test));
            violations
                .extend(missing.map(|test| format!("{page}: {letter}{number}: there is no test `{test}`")));
        }
        violations
    }
}

/// The names in the row's last column: words between back-ticks, of letters and underscores.
fn tests_of(row: &str) -> Vec<&str> {
    let column = row
        .trim_end_matches([' ', '|'])
        .rsplit('|')
        .next()
        .unwrap_or_default();
    let quoted = column.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        text.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    quoted.filter(is_name).collect()
}

fn exists(tree: &Tree, test: &str) -> bool {
    let (rust, page) = (format!("fn {test}("), format!("test(\"{test}\""));
    tree.files
        .iter()
        .any(|file| file.text.contains(&rust) || file.text.contains(&page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_test_and_a_test_that_is_not_there_are_caught() {
        let [defects, _] = &TABLES;
        let found = |first: &str| {
            let rest = (2..=20).map(|number| format!("| O{number} | d | `a_test`; `clippy.toml` |\n"));
            let page = format!("| O1 | d | {first} |\n{}", rest.collect::<String>());
            defects.check(&Tree::of(&[
                ("docs/defects.md", &page),
                ("a.rs", "fn a_test() {}"),
                ("b.mjs", "test(\"b_test\", x)"),
            ]))
        };
        assert_eq!(found("`a_test`, `b_test`"), [""; 0]);
        assert_eq!(found("none"), ["docs/defects.md: O1 has no test"]);
        assert_eq!(
            found("`a_tes`"),
            ["docs/defects.md: O1: there is no test `a_tes`"]
        );
    }

    #[test]
    fn rows_that_are_missing_are_caught() {
        let page = "| A1 | a | b | `a_test` |\n";
        let tree = Tree::of(&[("docs/attacks.md", page), ("a.rs", "fn a_test() {}")]);
        assert_eq!(TABLES[1].check(&tree).len(), 89);
    }

    #[test]
    fn a_number_that_is_left_out_hides_no_row_behind_it() {
        let [defects, _] = &TABLES;
        let rows = (1..=21).filter(|number| *number != 20);
        let page = rows.map(|number| {
            format!(
                "| O{number} | d | `{}` |\n",
                if number == 21 { "no_test" } else { "a_test" }
            )
        });
        let page = page.collect::<String>();
        let tree = Tree::of(&[("docs/defects.md", &page), ("a.rs", "fn a_test() {}")]);
        assert_eq!(
            defects.check(&tree),
            [
                "docs/defects.md: O20 has no test",
                "docs/defects.md: O21: there is no test `no_test`"
            ]
        );
    }
}
