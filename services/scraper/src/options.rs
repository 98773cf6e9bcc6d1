//! What the command line and the environment say.

use crate::fetch::FetchOptions;
use clap::Args;
use oddswire_kit::bus::BusOptions;
use oddswire_protocol::id::is_token;
use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};

/// Scrapes sources: takes jobs from the bus and publishes runs and odds there.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Scraper")]
pub struct ScraperOptions {
    /// The bus.
    #[command(flatten, next_help_heading = "Bus")]
    pub bus: BusOptions,
    /// Where the operations port listens: /livez, /readyz, /metrics.
    #[arg(
        long,
        env = "ODDSWIRE_OPS_LISTEN",
        default_value = "127.0.0.1:8082",
        value_name = "ADDR"
    )]
    pub ops_listen: SocketAddr,
    /// The folder of the source definitions, one *.toml file a source.
    #[arg(long, env = "ODDSWIRE_SOURCES", default_value = "sources", value_name = "DIR")]
    pub sources: PathBuf,
    /// Runs at once, 1 to 64.
    #[arg(long, env = "ODDSWIRE_CONCURRENCY", default_value_t = 4, value_name = "N", value_parser = parse_concurrency)]
    pub concurrency: usize,
    /// The name of this worker, another for every process: 1 to 64 of a-z, 0-9, _ and -. Drawn at random unless
    /// given.
    #[arg(long, env = "ODDSWIRE_WORKER_ID", default_value_t = random_worker_id(), value_name = "ID", value_parser = parse_worker_id)]
    pub worker_id: String,
    /// Starts no runs by the sources' intervals; others may.
    #[arg(long, env = "ODDSWIRE_NO_SCHEDULE")]
    pub no_schedule: bool,
    /// How sites are asked.
    #[command(flatten, next_help_heading = "Fetching")]
    pub fetch: FetchOptions,
}

fn parse_concurrency(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=64).contains(n))
        .ok_or_else(|| "must be from 1 to 64".into())
}

fn parse_worker_id(text: &str) -> Result<String, String> {
    is_token(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "must be 1 to 64 of a-z, 0-9, _ and -".into())
}

/// The host's name as far as it fits, and eight random digits.
fn random_worker_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    worker_id(&host, rand::random())
}

fn worker_id(host: &str, random: u32) -> String {
    let mut id: String = host
        .trim()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    if id.is_empty() {
        id.push_str("worker");
    }
    // Writing to a string cannot fail.
    let _ = write!(id, "-{random:08x}");
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches as _;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_drawn_name_is_one_token_whatever_the_host_is_called(host in ".{0,80}", random: u32) {
            prop_assert!(is_token(&worker_id(&host, random)));
        }
    }

    #[test]
    fn names_that_would_break_a_subject_are_refused() {
        for text in ["", "a.b", "A", "a b", &"x".repeat(65)] {
            assert!(parse_worker_id(text).is_err(), "{text:?}");
        }
        assert_eq!(parse_worker_id("w-1").as_deref(), Ok("w-1"));
        assert!(parse_concurrency("0").is_err() && parse_concurrency("65").is_err());
    }
    #[test]
    fn the_command_line_says_how_sites_are_asked() {
        let command = ScraperOptions::augment_args(clap::Command::new("x"));
        command.clone().debug_assert();
        let read = |args: &[&str]| {
            let matches = command.clone().try_get_matches_from(args)?;
            ScraperOptions::from_arg_matches(&matches)
        };
        let fetch = read(&[
            "x",
            "--allow-private",
            "--proxy",
            "http://p:1",
            "--contact",
            "a@b",
        ])
        .unwrap()
        .fetch;
        assert!(fetch.allow_private);
        assert_eq!(fetch.proxy.unwrap().as_str(), "http://p:1/");
        assert_eq!(fetch.contact.as_deref(), Some("a@b"));
        assert!(!read(&["x"]).unwrap().fetch.allow_private);
        assert!(read(&["x", "--proxy", "p"]).is_err());
    }
}
