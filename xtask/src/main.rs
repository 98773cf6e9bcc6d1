//! `cargo xtask …`: everything that a person or CI does with this repository, needing only cargo to start.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is for a person at a terminal"
)]

mod apt;
mod autobahn;
mod bench;
mod bench_scraper;
mod browser;
mod chaos;
mod checks;
mod compose;
mod containers;
mod deadline;
mod dev;
mod dist;
mod fuzz;
mod house;
mod interop;
mod nats;
mod node;
mod page;
mod process;
mod product;
mod python;
mod secrets;
mod tool;
mod types;
mod zombies;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Oddswire's tasks. New here: `cargo xtask dev` runs everything, `cargo xtask test` checks everything.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs NATS, the demo bookmakers, a scraper and a gateway on this machine until Ctrl-C.
    Dev {
        /// Passed on: `--gateways N`, `--port P`, `--no-demo`, `--sources DIR`; `--help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<String>,
    },
    /// Installs what the checks need and runs them all, as CI does.
    Test {
        /// Only these stages, for example `--only house lints`.
        #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "NAME")]
        only: Vec<String>,
        /// Names the stages and stops.
        #[arg(long)]
        list: bool,
    },
    /// Kills gateways and NATS under hopping clients, and looks whether anything was lost.
    Chaos {
        /// How long.
        #[arg(long, default_value_t = 5, value_name = "N")]
        minutes: u64,
        /// The seed that an earlier run printed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Attacks gateways in every way at once beside well-behaved clients, and looks whether these lost anything, whether
    /// anything panicked, and whether memory grows.
    Siege {
        /// How long; memory is judged from 11 minutes on.
        #[arg(long, default_value_t = 20, value_name = "N")]
        minutes: u64,
        /// The seed that an earlier run printed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Has clients read slowly and all the time, over the loopback and, as root, over a slow link between network
    /// namespaces, and looks whether any of them is cut off.
    Slow {
        /// How long.
        #[arg(long, default_value_t = 5, value_name = "N")]
        minutes: u64,
    },
    /// Kills and freezes scrapers in the middle of runs, and looks whether anything was lost, doubled or overwritten.
    Zombies {
        /// How many rounds of each kind.
        #[arg(long, default_value_t = 20, value_name = "N")]
        times: u32,
        /// The seed that an earlier run printed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measures the scraper: four bookmakers scraped whole, optimised and without limits.
    BenchScraper {
        /// Events of the bookmakers' world.
        #[arg(long, default_value_t = 2_000, value_name = "N")]
        events: u32,
    },
    /// Measures the gateway against the least that a server can do: ratios of CPU, memory, latency.
    Bench {
        /// Passed on: `--quick`, `--only SCENARIO`, `--clients N`, `--rounds N`; `--help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<String>,
    },
    /// Measures what a storm of prices costs the page in a browser, against the least that a page can do.
    BenchPage,
    /// Runs Autobahn's test suite against our WebSocket layer; the whole of it takes minutes.
    Autobahn {
        /// Only these cases, for example `--cases 1.*,12.*`.
        #[arg(long, value_delimiter = ',', value_name = "CASES")]
        cases: Vec<String>,
    },
    /// Feeds hostile input to what reads clients' bytes.
    Fuzz {
        /// Only this target; all, one after another, without it.
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// How long each.
        #[arg(long, default_value_t = 60, value_name = "N")]
        seconds: u64,
    },
    /// Runs docker-compose.yml with a real engine, as root: three gateways, clients, kills, drains, a rolling upgrade.
    Containers {
        /// The commit or tag to upgrade from; without it the upgrade is left out.
        #[arg(long, value_name = "COMMIT")]
        previous: Option<String>,
    },
    /// Runs other people's clients, with their defaults, before a gateway that restarts, and compares what they do with
    /// docs/interop.md.
    Interop {
        /// Writes the table there anew instead.
        #[arg(long)]
        write: bool,
    },
    /// Builds the archive of a release below `target/dist`, with its checksum.
    Dist,
    /// Checks the house invariants of ARCHITECTURE.md: who may reach whom, what may stand where.
    House,
    /// Prints the path of a nats-server of at least 2.12.2, after downloading one if need be.
    Nats,
    /// Runs the tests of the bus with each released nats-server that Oddswire takes; downloads them.
    NatsMatrix {
        /// Only these versions, for example `--only 2.12.2 2.15.1`.
        #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "VERSION")]
        only: Vec<String>,
    },
    /// Writes the generated files: JSON Schemas, OpenAPI, AsyncAPI, types in TypeScript, metrics, alerts, dashboard.
    Types,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Dev { args } => dev::run(&args),
        Task::Test { list: true, .. } => {
            checks::list();
            Ok(ExitCode::SUCCESS)
        }
        Task::Test { only, .. } => checks::run(&only),
        Task::Chaos { minutes, seed } => chaos::run(chaos::CHAOS, minutes, seed),
        Task::Siege { minutes, seed } => chaos::run(chaos::SIEGE, minutes, seed),
        Task::Slow { minutes } => chaos::run(chaos::SLOW, minutes, None),
        Task::Bench { args } => bench::run(&args),
        Task::Zombies { times, seed } => zombies::run(times, seed),
        Task::BenchScraper { events } => bench_scraper::run(events).map(|()| ExitCode::SUCCESS),
        Task::BenchPage => bench::run_page().map(|()| ExitCode::SUCCESS),
        Task::Autobahn { cases } => autobahn::run(&cases),
        Task::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds).map(|()| ExitCode::SUCCESS),
        Task::Containers { previous } => containers::run(previous.as_deref()),
        Task::Interop { write } => {
            interop::run(write, &product::build()?, &nats::server()?).map(|()| ExitCode::SUCCESS)
        }
        Task::Dist => dist::run().map(|()| ExitCode::SUCCESS),
        Task::House => house::run().map(|()| ExitCode::SUCCESS),
        Task::Nats => {
            println!("{}", nats::server()?.display());
            Ok(ExitCode::SUCCESS)
        }
        Task::NatsMatrix { only } => nats::matrix(&only),
        Task::Types => types::write().map(|()| ExitCode::SUCCESS),
    }
}
