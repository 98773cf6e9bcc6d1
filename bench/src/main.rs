//! The bench: a load generator, the floor, and the scenarios that compare a gateway with it. See `README.md` beside it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is for a person at a terminal"
)]
#![allow(clippy::cast_precision_loss, reason = "figures have three digits that count")]

mod audience;
mod author;
mod bench;
mod check;
mod clock;
mod crowd;
mod figures;
mod floor;
mod host;
mod launch;
mod load;
mod nats;
mod options;
mod report;
mod scenario;
mod server;
mod wire;
mod world;

use anyhow::Result;
use bench::Bench;
use clap::Parser;
use oddswire_kit::shutdown;
use options::{Cli, Command, RunOptions};
use std::{fs, path::PathBuf, process::ExitCode, thread};
use tokio::runtime;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Some(Command::Check) => check::run(),
        Some(Command::Floor(options)) => floor::run(options),
        Some(Command::Launch(options)) => launch::run(options),
        None => measure(cli.run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: RunOptions) -> Result<()> {
    let mut bench = Bench::start(options)?;
    leave_nothing_behind(bench.world.folder().to_owned());
    let outcome = scenario::run(&mut bench);
    println!("{}", report::table(&bench.rows));
    outcome
}

/// At Ctrl-C: the folder in memory goes, and the servers with the thread that started them.
fn leave_nothing_behind(folder: PathBuf) {
    thread::spawn(move || {
        let waiting = runtime::Builder::new_current_thread().enable_all().build();
        let stopped =
            waiting.and_then(|runtime| runtime.block_on(shutdown::on_signal(CancellationToken::new())));
        if stopped.is_ok() {
            // What cannot be removed lies in memory until the next start of the machine.
            let _ = fs::remove_dir_all(folder);
            #[expect(clippy::exit, reason = "the main thread is in the middle of a measurement")]
            std::process::exit(130);
        }
    });
}
