//! A gateway as the chaos test runs it: a process of its own, that can be killed, with mechanisms off where asked.

use clap::Parser;
use oddswire_gateway::{Change, GatewayOptions, trial::Trial};
use oddswire_kit::{
    shutdown,
    telemetry::{self, LogOptions},
    tls,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a mechanism of its own")]
struct Cli {
    #[command(flatten)]
    gateway: GatewayOptions,
    #[command(flatten)]
    log: LogOptions,
    /// The share of live messages that are lost on their way in.
    #[arg(long, default_value_t = 0.0)]
    lose_live: f64,
    #[arg(long)]
    no_chain: bool,
    #[arg(long)]
    no_barrier: bool,
    #[arg(long)]
    no_settling: bool,
    #[arg(long)]
    no_turns: bool,
    #[arg(long)]
    whole_answers: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tls::install_provider();
    let cli = Cli::parse();
    telemetry::init(&cli.log, "off")?;
    let trial = Trial {
        lose_live: cli.lose_live,
        no_chain: cli.no_chain,
        no_barrier: cli.no_barrier,
        no_settling: cli.no_settling,
        no_turns: cli.no_turns,
        whole_answers: cli.whole_answers,
        ..Trial::default()
    };
    let clients = TcpListener::bind(cli.gateway.listen).await?;
    let operators = TcpListener::bind(cli.gateway.ops_listen).await?;
    let stop = CancellationToken::new();
    let (changes, changed) = mpsc::channel(1);
    let again = Box::new(cli.gateway.clone());
    let serving =
        oddswire_gateway::run_on_trial(cli.gateway, clients, operators, trial, changed, stop.clone());
    // The same configuration, read again.
    let reloading = async {
        while shutdown::hangup().await.is_ok() {
            let change = Change::Options(again.clone(), Vec::new());
            if changes.send(change).await.is_err() {
                return;
            }
        }
    };
    let ended = stop.clone();
    let (served, listened, _) = tokio::join!(
        serving,
        shutdown::on_signal(stop),
        ended.run_until_cancelled(reloading)
    );
    listened?;
    Ok(served?)
}
