//! `2.15.1`, wherever it stands in what a program prints.

use anyhow::{Result, anyhow};
use std::fmt;
use std::str::FromStr;

/// Three numbers, compared in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) patch: u32,
}

impl FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        text.split_whitespace()
            .find_map(of_word)
            .ok_or_else(|| anyhow!("no version in {text:?}"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

fn of_word(word: &str) -> Option<Version> {
    let mut parts = word.trim_start_matches('v').splitn(3, '.');
    let mut number = || {
        let part = parts.next()?;
        part[..part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len())]
            .parse()
            .ok()
    };
    Some(Version {
        major: number()?,
        minor: number()?,
        patch: number()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_answer_is_read() {
        let version: Version = "nats-server: v2.15.1".parse().unwrap();
        assert_eq!(
            version,
            Version {
                major: 2,
                minor: 15,
                patch: 1
            }
        );
        assert_eq!("2.12.0-RC.1".parse::<Version>().unwrap().to_string(), "2.12.0");
    }

    #[test]
    fn nine_is_older_than_twelve() {
        let old: Version = "nats-server: v2.9.10".parse().unwrap();
        let new: Version = "v2.12.0".parse().unwrap();
        assert!(old < new);
    }

    #[test]
    fn something_else_is_an_error() {
        assert!("nats-server: unknown".parse::<Version>().is_err());
    }
}
