//! A scraper as the tests of crashes run it: a process of its own, that can be killed and frozen, with mechanisms off
//! where asked.

use clap::Parser;
use oddswire_kit::{env, shutdown};
use oddswire_scraper::{ScraperOptions, trial::Trial};
use std::error::Error;
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
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    let trial = Trial {
        no_lease: cli.no_lease,
        no_fence: cli.no_fence,
    };
    let operators = TcpListener::bind(cli.scraper.ops_listen).await?;
    let stop = CancellationToken::new();
    let scraping = oddswire_scraper::run_on_trial(cli.scraper, operators, env::lookup, trial, stop.clone());
    let (scraped, listened) = tokio::join!(scraping, shutdown::on_signal(stop));
    listened?;
    Ok(scraped?)
}
