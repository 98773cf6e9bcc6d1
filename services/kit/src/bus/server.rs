//! Which nats-server this is, and whether Oddswire can live with it.

use std::fmt;

/// The version of a nats-server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

/// What is missing below a version.
const MISSING: [(ServerVersion, &str); 4] = [
    (
        ServerVersion::new(2, 11, 0),
        "older ones know neither batched reads nor messages that end by themselves",
    ),
    (
        ServerVersion::new(2, 12, 0),
        "older ones store the messages of a batch one by one, without the fence that keeps a stale scraper out",
    ),
    (
        ServerVersion::new(2, 12, 1),
        "older ones refuse batches whose messages have an id, so that no odds are ever stored",
    ),
    (
        ServerVersion::OLDEST,
        "a stream of an older one may stop answering for good under requests that every role may send",
    ),
];

impl ServerVersion {
    /// The oldest that everything is tested with (`cargo xtask nats-matrix`).
    pub const OLDEST: Self = Self::new(2, 12, 2);

    const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads `2.12.8`, `v2.15.0` or `2.16.0-dev`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let plain = text.split(['-', '+']).next()?;
        let mut parts = plain.split('.').map(|part| part.parse().ok());
        let version = Self::new(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }

    /// Good when it is new enough.
    ///
    /// # Errors
    /// Why it is not, and what to do, in one sentence.
    pub fn check(self) -> Result<(), String> {
        match MISSING.iter().find(|(version, _)| self < *version) {
            None => Ok(()),
            Some((_, why)) => Err(format!(
                "nats-server {self} is too old: Oddswire needs {} or later, because {why}",
                Self::OLDEST
            )),
        }
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ServerVersion {
        ServerVersion::parse(text).unwrap()
    }

    #[test]
    fn servers_that_cannot_do_what_is_asked_of_them_are_refused_by_name() {
        for old in ["2.9.25", "2.10.29", "2.11.11", "2.12.0", "2.12.1", "1.4.1"] {
            let why = version(old).check().unwrap_err();
            assert!(why.starts_with(&format!("nats-server {old} is too old")), "{why}");
        }
        for new in ["2.12.2", "v2.15.1", "2.16.0-dev", "3.0.0"] {
            assert_eq!(version(new).check(), Ok(()));
        }
        assert_eq!(ServerVersion::parse("2.12"), None);
        assert_eq!(ServerVersion::parse(""), None);
    }
}
