//! Which package may reach which, directly or through others: read from `cargo tree`.

use super::Violations;
use crate::process;
use anyhow::Result;

/// A package and what no dependency of it may be.
pub(super) struct Reach {
    pub(super) sentence: &'static str,
    package: &'static str,
    never: &'static [&'static str],
}

/// All of them.
pub(super) const RULES: &[Reach] = &[
    Reach {
        sentence: "protocol is pure data: it reaches none of tokio, axum, async-nats, tracing, reqwest, nor our others",
        package: "oddswire-protocol",
        never: &[
            "tokio",
            "axum",
            "async-nats",
            "tracing",
            "reqwest",
            "oddswire-kit",
            "oddswire-websocket",
            "oddswire-scraper",
            "oddswire-gateway",
            "oddswire-demo-site",
        ],
    },
    Reach {
        sentence: "kit is below the services: it reaches neither scraper nor gateway",
        package: "oddswire-kit",
        never: &[
            "oddswire-scraper",
            "oddswire-gateway",
            "oddswire-demo-site",
            "oddswire-dev",
        ],
    },
    Reach {
        sentence: "websocket does no I/O: it reaches none of tokio, axum, async-nats, nor our others",
        package: "oddswire-websocket",
        never: &[
            "tokio",
            "axum",
            "async-nats",
            "oddswire-protocol",
            "oddswire-kit",
            "oddswire-scraper",
            "oddswire-gateway",
            "oddswire-demo-site",
            "oddswire-dev",
        ],
    },
    Reach {
        sentence: "scraper does not reach gateway",
        package: "oddswire-scraper",
        never: &["oddswire-gateway", "oddswire-demo-site", "oddswire-dev"],
    },
    Reach {
        sentence: "gateway does not reach scraper",
        package: "oddswire-gateway",
        never: &["oddswire-scraper", "oddswire-demo-site", "oddswire-dev"],
    },
    Reach {
        sentence: "cli knows the public interface alone: it reaches no service",
        package: "oddswire-cli",
        never: &[
            "oddswire-websocket",
            "oddswire-scraper",
            "oddswire-gateway",
            "oddswire-demo-site",
            "oddswire-dev",
        ],
    },
    Reach {
        sentence: "demo-site is a stranger: it reaches none of kit, scraper, gateway, protocol",
        package: "oddswire-demo-site",
        never: &[
            "oddswire-kit",
            "oddswire-websocket",
            "oddswire-scraper",
            "oddswire-gateway",
            "oddswire-protocol",
        ],
    },
    Reach {
        sentence: "xtask builds alone: it reaches none of ours",
        package: "xtask",
        never: &[
            "oddswire",
            "oddswire-protocol",
            "oddswire-kit",
            "oddswire-websocket",
            "oddswire-scraper",
            "oddswire-gateway",
            "oddswire-demo-site",
            "oddswire-dev",
        ],
    },
];

impl Reach {
    /// Asks cargo; dependencies of tests do not count.
    pub(super) fn check(&self) -> Result<Violations> {
        let mut tree = process::cargo();
        tree.args([
            "tree",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            self.package,
        ]);
        Ok(self.reached(&process::capture(&mut tree)?))
    }

    fn reached(&self, tree: &str) -> Violations {
        let mut found: Vec<&str> = tree
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| self.never.contains(name))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
            .iter()
            .map(|name| {
                format!(
                    "cargo tree --package {} --edges normal --invert {name}",
                    self.package
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: &Reach = &RULES[0];

    #[test]
    fn a_dependency_through_another_is_caught_once() {
        let tree =
            "oddswire-protocol v0.1.0 (/p)\nserde v1.0.0\nhyper v1.0.0\ntokio v1.54.0\ntokio v1.54.0 (*)\n";
        let found = PROTOCOL.reached(tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("--invert tokio"));
    }

    #[test]
    fn a_name_that_only_begins_alike_is_none() {
        assert!(
            PROTOCOL
                .reached("oddswire-protocol v0.1.0\ntokio-util v0.7.0\ntracing-core v0.1.0\n")
                .is_empty()
        );
    }
}
