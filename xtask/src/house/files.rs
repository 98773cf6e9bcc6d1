//! What may stand in a file, how long it is and what it is called.

use super::Violations;
use super::tree::{Text, Tree};

/// Lines above which a file is a fault.
const TOO_LONG: usize = 500;
/// Lines above which it is worth a thought.
const LONG: usize = 300;

/// A sentence about each file by itself.
pub(super) struct Rule {
    pub(super) sentence: &'static str,
    check: fn(&Text) -> Violations,
}

/// All of them. The words that they look for are put together, so that this file does not have them.
pub(super) const RULES: &[Rule] = &[
    Rule {
        sentence: "no Rust file has more than 500 lines",
        check: too_long,
    },
    Rule {
        sentence: "a module's file is named after it: there is no mod.rs",
        check: mod_rs,
    },
    Rule {
        sentence: "no test is ignored",
        check: |file| lines_with(file, &[concat!("#[", "ignore")]),
    },
    Rule {
        sentence: "nothing is left to do in code",
        check: |file| lines_with(file, &[concat!("todo", "!(")]),
    },
    Rule {
        sentence: "no file names a registry's host",
        check: registry_hosts,
    },
    Rule {
        sentence: "no file names a path of one machine",
        check: machine_paths,
    },
];

impl Rule {
    /// Over the whole repository.
    pub(super) fn check(&self, tree: &Tree) -> Violations {
        tree.files.iter().flat_map(self.check).collect()
    }
}

/// Files that are not yet too long.
pub(super) fn long(tree: &Tree) -> Violations {
    let of_length = |file: &Text| (!is_generated(file)).then(|| file.text.lines().count());
    tree.rust()
        .filter_map(|file| Some((file, of_length(file)?)))
        .filter(|(_, count)| (LONG + 1..=TOO_LONG).contains(count))
        .map(|(file, count)| {
            format!(
                "{} has {count} lines: above {LONG} a file is worth a thought",
                file.path
            )
        })
        .collect()
}

fn too_long(file: &Text) -> Violations {
    let count = file.text.lines().count();
    if !file.is_rust() || is_generated(file) || count <= TOO_LONG {
        return Vec::new();
    }
    vec![format!("{} has {count}", file.path)]
}

fn is_generated(file: &Text) -> bool {
    file.text.lines().take(3).any(|line| line.contains("@generated"))
}

fn mod_rs(file: &Text) -> Violations {
    if file.path.rsplit('/').next() == Some("mod.rs") {
        vec![file.path.clone()]
    } else {
        Vec::new()
    }
}

fn lines_with(file: &Text, words: &[&str]) -> Violations {
    if !file.is_rust() {
        return Vec::new();
    }
    file.code()
        .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        .map(|(number, line)| file.at(number, line))
        .collect()
}

/// Hosts of registries, in pieces so that this file names none.
const HOSTS: [&str; 7] = [
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("yarnpkg", ".com"),
    concat!("crates", ".io"),
    concat!("deb.debian", ".org"),
];

/// Packages come by name through each person's own client, whose registry may be a mirror.
fn registry_hosts(file: &Text) -> Violations {
    // How Cargo.lock names the default registry is cargo's doing.
    const CARGOS_OWN: &str = concat!("crates", ".io-index");
    file.lines()
        .filter(|(_, line)| {
            let line = line.replace(CARGOS_OWN, "");
            HOSTS.iter().any(|host| line.contains(host))
        })
        .map(|(number, line)| file.at(number, line))
        .collect()
}

fn machine_paths(file: &Text) -> Violations {
    const PLACES: [&str; 5] = [
        concat!("/work/", "main"),
        concat!("/work/", "shared"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
    ];
    file.lines()
        .filter(|(_, line)| PLACES.iter().any(|place| line.contains(place)))
        .map(|(number, line)| file.at(number, line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> Vec<&'static str> {
        let tree = Tree::of(&[(path, text)]);
        RULES
            .iter()
            .filter(|rule| !rule.check(&tree).is_empty())
            .map(|rule| rule.sentence)
            .collect()
    }

    #[test]
    fn each_rule_catches_its_sample() {
        let long = "//\n".repeat(501);
        let resolved = format!("\"resolved\": \"https://{}/x\"", HOSTS[2]);
        for (index, (path, text)) in [
            ("a/src/lib.rs", long.as_str()),
            ("a/src/b/mod.rs", ""),
            ("a/src/lib.rs", concat!("    #[", "ignore = \"slow\"]")),
            ("a/src/lib.rs", concat!("fn f() { todo", "!() }")),
            ("package-lock.json", resolved.as_str()),
            ("docs/a.md", concat!("cd /work/", "main")),
        ]
        .iter()
        .enumerate()
        {
            assert_eq!(broken(path, text), [RULES[index].sentence]);
        }
    }

    #[test]
    fn generated_files_and_cargos_own_index_are_fine() {
        assert!(broken("a/src/gen.rs", &format!("// @generated\n{}", "//\n".repeat(600))).is_empty());
        assert!(
            broken(
                "Cargo.lock",
                concat!("source = \"registry+https://x/crates", ".io-index\"")
            )
            .is_empty()
        );
        assert!(broken("docs/a.md", concat!("write todo", "!() as you like")).is_empty());
    }

    #[test]
    fn a_long_file_is_worth_a_note() {
        let tree = Tree::of(&[("a.rs", &"//\n".repeat(301)), ("b.rs", &"//\n".repeat(300))]);
        assert_eq!(long(&tree).len(), 1);
    }
}
