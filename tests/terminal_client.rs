//! The clients of the command line as the tests of terminals run them: a process of their own.

use clap::Parser;
use oddswire_cli::{
    Console,
    follow::{self, FollowOptions},
    top::{self, TopOptions},
};
use oddswire_kit::{shutdown, tls};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Parser)]
enum Cli {
    Follow(Box<FollowOptions>),
    Top(TopOptions),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    tls::install_provider();
    let stop = CancellationToken::new();
    let console = Console::of_process();
    let (ended, cli) = (stop.clone(), Cli::parse());
    let client = async {
        let code = match cli {
            Cli::Follow(options) => follow::run(*options, console, stop.clone()).await,
            Cli::Top(options) => top::run(options, console, stop.clone()).await,
        };
        stop.cancel();
        code
    };
    let (code, listened) = tokio::join!(client, shutdown::on_signal(ended));
    listened?;
    Ok(code?.into())
}
