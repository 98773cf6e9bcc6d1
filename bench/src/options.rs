//! The command line.

use crate::{floor::FloorOptions, launch::LaunchOptions};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Measures a gateway against the least that a server can do.
///
/// NATS and the load generator run on core 1; the gateway and the floor, in turns, on core 0. What counts are the ratios
/// within a round: absolute figures drift with the machine. Progress goes to stderr, the table to stdout. Build with
/// --release, or let `cargo xtask bench` do it.
#[derive(Debug, Parser)]
#[command(name = "oddswire-bench", max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What the bench starts itself with.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What the check of an event at ingest costs, in nanoseconds. Needs no server.
    Check,
    /// The floor.
    #[command(hide = true)]
    Floor(FloorOptions),
    /// Another program, on one core.
    #[command(hide = true)]
    Launch(LaunchOptions),
}

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunOptions {
    /// One round, 1,000 clients, short stretches: two minutes.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these scenarios, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', num_args = 1.., value_name = "SCENARIO")]
    pub(crate) only: Vec<Scenario>,
    /// Clients, instead of 1,000 and 10,000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=30_000))]
    pub(crate) clients: Option<u32>,
    /// Rounds, instead of 3; 1 with --quick.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) rounds: Option<u32>,
    /// The `oddswire` to measure, instead of the one that lies beside the bench.
    #[arg(long, value_name = "PATH")]
    pub(crate) gateway: Option<PathBuf>,
}

/// A scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// One topic over WebSocket, against the floor; and memory of idle connections.
    Ws,
    /// One topic over Server-Sent Events, against the floor; and memory of idle connections.
    Sse,
    /// One topic, half WebSocket and half Server-Sent Events, against the floor.
    Mixed,
    /// 1,000 topics, each client on 3, against one topic.
    Topics,
    /// A tenth of the clients stops reading: what the others notice.
    Stalled,
    /// Clients that ask for conflation.
    Conflate,
    /// Clients that offer permessage-deflate.
    Deflate,
    /// One client joins by a snapshot, and one comes back, after many images of each key: what they are sent.
    Join,
    /// One client comes back: from the ring, and from the log.
    Resume,
    /// All clients come back at once, from the log.
    Herd,
    /// All clients connect at once.
    Storm,
}

impl RunOptions {
    /// How many clients the scenarios have, one after the other.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        match self.clients {
            Some(clients) => vec![clients as usize],
            None if self.quick => vec![1_000],
            None => vec![1_000, 10_000],
        }
    }

    /// How many clients a scenario has that needs many.
    pub(crate) fn many(&self) -> usize {
        self.sizes().last().copied().unwrap_or(1_000)
    }

    /// How many clients a scenario has that needs few.
    pub(crate) fn few(&self) -> usize {
        self.sizes()[0]
    }

    /// How often each figure is taken.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 }) as usize
    }

    /// Seconds of a stretch of load.
    pub(crate) fn stretch_s(&self) -> f64 {
        if self.quick { 1.0 } else { 2.5 }
    }

    /// Whether a scenario is wanted.
    pub(crate) fn wants(&self, scenario: Scenario) -> bool {
        self.only.is_empty() || self.only.contains(&scenario)
    }
}
