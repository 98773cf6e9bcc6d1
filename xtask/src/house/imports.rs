//! Which module may name which library: a search in the sources of the services.

use super::Violations;
use super::tree::{Text, Tree};

/// A word and the only places where it may stand.
pub(super) struct Home {
    pub(super) sentence: &'static str,
    word: &'static str,
    /// Files that the rule is about.
    concerns: fn(&str) -> bool,
    /// Files of those that may have it.
    allowed: fn(&str) -> bool,
}

/// All of them.
pub(super) const RULES: &[Home] = &[
    Home {
        sentence: "async_nats stands only in kit and in modules named bus",
        word: "async_nats",
        concerns: is_product,
        allowed: |path| path.starts_with("services/kit/") || is_in_module(path, "bus"),
    },
    Home {
        sentence: "axum stands only in gateway's http modules, in kit's ops and in demo-site",
        word: "axum",
        concerns: is_product,
        allowed: |path| {
            path.starts_with("services/demo-site/")
                || path.starts_with("services/gateway/src/http")
                || (path.starts_with("services/kit/src/") && is_in_module(path, "ops"))
        },
    },
    Home {
        sentence: "std::env stands only in kit (and in xtask)",
        word: "std::env",
        concerns: is_product,
        allowed: |path| path.starts_with("services/kit/"),
    },
];

fn is_product(path: &str) -> bool {
    ["services/", "protocol/", "clients/"]
        .iter()
        .any(|folder| path.starts_with(folder))
}

impl Home {
    /// Every line outside of a home that has the word, comments aside.
    pub(super) fn check(&self, tree: &Tree) -> Violations {
        let strays = |file: &'_ Text| -> Violations {
            file.code()
                .filter(|(_, line)| names(line, self.word))
                .map(|(number, line)| file.at(number, line))
                .collect()
        };
        tree.rust()
            .filter(|file| (self.concerns)(&file.path) && !(self.allowed)(&file.path))
            .flat_map(strays)
            .collect()
    }
}

/// `src/bus.rs` and all below `src/bus/` are in the module `bus`.
fn is_in_module(path: &str, module: &str) -> bool {
    path.split('/')
        .any(|part| part == module || part.strip_suffix(".rs") == Some(module))
}

/// Whether a line has this path of Rust, as whole words; `use std::{env, fs}` has `std::env`.
fn names(line: &str, word: &str) -> bool {
    let grouped = word.rsplit_once("::").is_some_and(|(outer, inner)| {
        line.split_once(&format!("{outer}::{{"))
            .is_some_and(|(_, group)| has_word(group, inner))
    });
    grouped || has_word(line, word)
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: usize, path: &str, text: &str) -> Violations {
        RULES[rule].check(&Tree::of(&[(path, text)]))
    }

    #[test]
    fn the_bus_library_outside_of_bus_is_caught() {
        let line = "use async_nats::Client;\n";
        assert_eq!(
            found(0, "services/gateway/src/hub.rs", line),
            ["services/gateway/src/hub.rs:1: use async_nats::Client;"]
        );
        for home in [
            "services/gateway/src/bus.rs",
            "services/scraper/src/bus/jobs.rs",
            "services/kit/src/nats.rs",
        ] {
            assert!(found(0, home, line).is_empty(), "{home}");
        }
    }

    #[test]
    fn axum_in_the_scraper_is_caught() {
        assert_eq!(
            found(1, "services/scraper/src/http.rs", "axum::Router::new()").len(),
            1
        );
        assert_eq!(
            found(1, "services/kit/src/nats.rs", "axum::Router::new()").len(),
            1
        );
        for home in [
            "services/gateway/src/http.rs",
            "services/gateway/src/http/ws.rs",
            "services/kit/src/ops.rs",
        ] {
            assert!(found(1, home, "use axum::Router;").is_empty(), "{home}");
        }
    }

    #[test]
    fn the_environment_is_caught_in_a_group_too() {
        for line in [
            "std::env::var_os(\"X\")",
            "use std::env;",
            "use std::{env, fs};",
            "use std::{fs, env::var};",
        ] {
            assert_eq!(found(2, "services/dev/src/lib.rs", line).len(), 1, "{line}");
        }
        for line in [
            "use std::{fs, io};",
            "std::environment()",
            "// std::env is kit's",
            "env!(\"CARGO_PKG_NAME\")",
        ] {
            assert!(found(2, "services/dev/src/lib.rs", line).is_empty(), "{line}");
        }
    }
}
