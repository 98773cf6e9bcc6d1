//! Each known defect of the system before this one has tests, and they exist.

use super::Violations;
use super::tree::Tree;

/// What is checked.
pub(super) const SENTENCE: &str =
    "each of the defects O1 to O19 has tests in docs/defects.md, and they exist";

const PAGE: &str = "docs/defects.md";
const DEFECTS: u32 = 19;

/// Defects without a test, and tests that are not there.
pub(super) fn check(tree: &Tree) -> Violations {
    let Some(page) = tree.files.iter().find(|file| file.path == PAGE) else {
        return vec![format!("{PAGE} is missing")];
    };
    let mut violations = Vec::new();
    for number in 1..=DEFECTS {
        let row = page
            .text
            .lines()
            .find(|line| line.starts_with(&format!("| O{number} |")));
        let tests = row.map(tests_of).unwrap_or_default();
        if tests.is_empty() {
            violations.push(format!("{PAGE}: O{number} has no test"));
        }
        violations.extend(
            tests
                .iter()
                .filter(|test| !exists(tree, test))
                .map(|test| format!("{PAGE}: O{number}: there is no test `{test}`")),
        );
    }
    violations
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

    fn table(first: &str) -> String {
        let rest = (2..=DEFECTS).map(|number| format!("| O{number} | d | `a_test`; `clippy.toml` |\n"));
        format!("| O1 | d | {first} |\n{}", rest.collect::<String>())
    }

    #[test]
    fn a_defect_without_a_test_and_a_test_that_is_not_there_are_caught() {
        let found = |first: &str| {
            let page = table(first);
            check(&Tree::of(&[
                (PAGE, &page),
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
}
