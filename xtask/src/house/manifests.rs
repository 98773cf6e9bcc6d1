//! Every package takes the workspace's lints.

use super::Violations;
use super::tree::{Text, Tree};

/// What is checked.
pub(super) const SENTENCE: &str = "every package has `[lints] workspace = true`";

/// The manifests of members that do not say so; `fuzz` is a workspace of its own.
pub(super) fn check(tree: &Tree) -> Violations {
    tree.files
        .iter()
        .filter(|file| file.path.ends_with("Cargo.toml"))
        .filter(|file| has_table(file, "package") && !has_table(file, "workspace") && !takes_lints(file))
        .map(|file| file.path.clone())
        .collect()
}

fn has_table(file: &Text, name: &str) -> bool {
    file.text.lines().any(|line| line.trim() == format!("[{name}]"))
}

fn takes_lints(file: &Text) -> bool {
    let mut in_lints = false;
    file.text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().replace(' ', ""))
        .any(|line| {
            if line.starts_with('[') {
                in_lints = line == "[lints]";
            }
            line == "lints.workspace=true" || (in_lints && line == "workspace=true")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_fine(text: &str) -> bool {
        check(&Tree::of(&[("a/Cargo.toml", text)])).is_empty()
    }

    #[test]
    fn a_package_without_the_lints_is_caught() {
        assert!(is_fine(
            "[package]\nname = \"a\"\n\n[lints]\nworkspace = true # all\n"
        ));
        assert!(!is_fine("[package]\nname = \"a\"\n"));
        assert!(!is_fine(
            "[package]\nname = \"a\"\n[lints]\n[dependencies.b]\nworkspace = true\n"
        ));
    }

    #[test]
    fn a_workspace_of_its_own_is_left_alone() {
        assert!(is_fine("[package]\nname = \"fuzz\"\n[workspace]\n"));
        assert!(is_fine("[workspace]\nmembers = []\n"));
    }
}
