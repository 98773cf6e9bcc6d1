//! Links between the pages of the docs: what they name is there.

use super::Violations;
use super::tree::{Text, Tree};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const SENTENCE: &str =
    "every link of a Markdown page leads to a file of the repository, and to a heading that it has";

/// Links that lead nowhere.
pub(super) fn check(tree: &Tree) -> Violations {
    let pages: BTreeMap<&str, BTreeSet<String>> = pages(tree)
        .map(|page| (page.path.as_str(), headings(&page.text)))
        .collect();
    let mut violations = Vec::new();
    for page in self::pages(tree) {
        for (line, target) in links(&page.text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = resolve(&page.path, path);
            let is_there = tree
                .files
                .iter()
                .any(|file| file.path == path || file.path.starts_with(&format!("{path}/")));
            let has_heading = anchor.is_empty()
                || pages
                    .get(path.as_str())
                    .is_none_or(|headings| headings.contains(anchor));
            if !is_there && !is_no_text_but_there(&path) || !has_heading {
                violations.push(format!("{}:{line}: {target}", page.path));
            }
        }
    }
    violations
}

/// Files that are no text, such as pictures.
fn is_no_text_but_there(path: &str) -> bool {
    crate::process::root().join(path).exists()
}

fn pages(tree: &Tree) -> impl Iterator<Item = &Text> {
    tree.files.iter().filter(|file| {
        std::path::Path::new(&file.path)
            .extension()
            .is_some_and(|end| end == "md")
    })
}

/// The lines outside of blocks of code, from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((at + 1, line))
    })
}

/// What `](…)` names, where it is no address of the net.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(at, line)| {
        line.split("](").skip(1).filter_map(move |rest| {
            let target = rest.split([')', ' ']).next()?;
            (!target.contains("://") && !target.starts_with("mailto:")).then_some((at, target))
        })
    })
}

/// Their anchors: small letters, without punctuation, spaces as dashes; the second of a name has `-1` behind it.
fn headings(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text).filter(|(_, line)| line.starts_with('#')) {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let mut free = anchor.clone();
        for number in 1.. {
            if anchors.insert(free) {
                break;
            }
            free = format!("{anchor}-{number}");
        }
    }
    anchors
}

/// A path from the top, of one that is written from a page.
fn resolve(page: &str, path: &str) -> String {
    if path.is_empty() {
        return page.to_owned();
    }
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# One thing, `and` another\n[a](b.md#two) [c](#one-thing-and-another) [d](../src/x.rs)\n\
                        ```\n[not a link](nowhere.md)\n```\n[out](https://example.org/x)\n";

    #[test]
    fn a_link_leads_to_a_file_and_to_a_heading() {
        let tree = Tree::of(&[
            ("docs/a.md", PAGE),
            ("docs/b.md", "## Two\n## Two\n"),
            ("src/x.rs", ""),
        ]);
        assert_eq!(check(&tree), Vec::<String>::new());
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named_with_its_line() {
        let tree = Tree::of(&[
            ("docs/a.md", PAGE),
            ("docs/b.md", "## Too\n"),
            ("docs/c.md", "[gone](gone.md)"),
        ]);
        assert_eq!(
            check(&tree),
            [
                "docs/a.md:2: b.md#two",
                "docs/a.md:2: ../src/x.rs",
                "docs/c.md:1: gone.md"
            ]
        );
    }

    #[test]
    fn the_second_heading_of_a_name_has_a_number() {
        let two = headings("# Two\n# Two\n");
        assert_eq!(two.into_iter().collect::<Vec<_>>(), ["two", "two-1"]);
    }
}
