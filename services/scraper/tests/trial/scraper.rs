//! A scraper as the tests of crashes run it: a process of its own, that can be killed and frozen, with mechanisms off
//! where asked.

use clap::Parser;
use oddswire_kit::{child, env, shutdown};
use oddswire_scraper::{ScraperOptions, trial::Trial};
use std::{error::Error, sync::Once};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    scraper: ScraperOptions,
    #[arg(long)]
    no_lease: bool,
    #[arg(long)]
    no_fence: bool,
    /// Stops itself, as SIGSTOP does, between its look at the lease and the odds that it sends then.
    #[arg(long)]
    stop_before_odds: bool,
}

/// The first time, returns when somebody has woken this process.
fn stop_once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(child::freeze_self);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    let trial = Trial {
        no_lease: cli.no_lease,
        no_fence: cli.no_fence,
        before_odds: cli.stop_before_odds.then_some(stop_once as fn()),
    };
    let operators = TcpListener::bind(cli.scraper.ops_listen).await?;
    let stop = CancellationToken::new();
    let scraping = oddswire_scraper::run_on_trial(cli.scraper, operators, env::lookup, trial, stop.clone());
    let (scraped, listened) = tokio::join!(scraping, shutdown::on_signal(stop));
    listened?;
    Ok(scraped?)
}
