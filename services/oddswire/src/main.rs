//! The one binary: reads the command line and calls a library.

mod check_health;
mod configuration;
mod provision;
mod token;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use oddswire_cli::{
    Console,
    conformance::{self, ConformanceOptions},
    follow::{self, FollowOptions},
    odds::{self, OddsOptions},
    shell::{self, CompletionsOptions, ManOptions},
    top::{self, TopOptions},
};
use oddswire_demo_site::DemoOptions;
use oddswire_dev::DevOptions;
use oddswire_gateway::{GatewayOptions, trial::Trial};
use oddswire_kit::{
    config::{self, Refused},
    env, shutdown, telemetry,
    telemetry::LogOptions,
    tls,
};
use oddswire_scraper::{
    ScraperOptions,
    workbench::{self, SourceOptions},
};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::LazyLock};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// The version, and the commit that a release was built from: `0.1.0 (1a2b3c4d5e)`.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("ODDSWIRE_COMMIT") {
        Some(commit) if !commit.is_empty() => format!("{version} ({commit})"),
        _ => version.to_owned(),
    }
});

/// Bookmaker odds, and the progress of collecting them, to people's screens as they happen.
#[derive(Debug, Parser)]
#[command(name = "oddswire", version = VERSION.as_str(), propagate_version = true, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    log: LogOptions,
    /// A TOML file with options. Flags and the environment go over it; `print-config --example` shows one.
    #[arg(long, env = "ODDSWIRE_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything on this machine: NATS, demo bookmakers, scraper, gateways; Ctrl-C stops all of it.
    Dev(DevOptions),
    /// Serves clients over WebSocket and Server-Sent Events.
    Gateway(Box<GatewayOptions>),
    /// Scrapes sources and publishes runs and odds.
    Scraper(ScraperOptions),
    /// Follows runs as they go: bars on a terminal, JSON in a pipe; ends as the run does.
    Follow(Box<FollowOptions>),
    /// Shows runs, sources, workers and gateways on one screen, live.
    Top(TopOptions),
    /// Shows the odds board: a table, or JSON; with --watch what changes as well.
    Odds(OddsOptions),
    /// Checks from outside whether a gateway, ours or another, keeps the contract. Changes nothing without --start.
    Conformance(Box<ConformanceOptions>),
    /// Writes and debugs source files: check, fetch, test, record, schema. Retires sources.
    Source(SourceOptions),
    /// The demo bookmakers: four sites of one fictional football world.
    DemoSite(DemoOptions),
    /// Creates the streams on NATS, and shows where they differ from what they should be.
    Provision(provision::ProvisionOptions),
    /// Makes and checks the tokens that a gateway asks for.
    Token(token::TokenOptions),
    /// Looks at the configuration without starting anything, and tells everything that is wrong with it.
    Check(configuration::Check),
    /// Prints the configuration that a command would have, and where each value came from.
    PrintConfig(configuration::PrintConfig),
    /// Asks an address and ends with 0 when it answers with success: for containers.
    Healthcheck(Healthcheck),
    /// Prints what a shell needs to complete this command line.
    Completions(CompletionsOptions),
    /// Writes the manual pages of all commands.
    Man(ManOptions),
}

impl Command {
    /// What is logged unless configured otherwise.
    fn default_log(&self) -> &'static str {
        match self {
            Self::Gateway(_) | Self::Scraper(_) | Self::DemoSite(_) => telemetry::SERVICE_DEFAULT,
            _ => "warn",
        }
    }

    /// The name under which its spans are exported.
    fn service(&self) -> Option<&'static str> {
        match self {
            Self::Gateway(_) => Some("oddswire-gateway"),
            Self::Scraper(_) => Some("oddswire-scraper"),
            _ => None,
        }
    }
}

#[derive(Debug, Args)]
struct Healthcheck {
    /// What to ask, such as http://127.0.0.1:8081/readyz.
    url: String,
}

/// The configuration is bad: sysexits.h's EX_USAGE.
const BAD_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    tls::install_provider();
    let cli = match configuration::read(&env::arguments()) {
        Ok((cli, _)) => cli,
        Err(refused) => return refuse(&refused),
    };
    if let Err(error) = telemetry::init(&cli.log, cli.command.default_log()) {
        return complain(&error, BAD_CONFIGURATION);
    }
    for strange in config::strange_variables(&Cli::command()) {
        tracing::warn!("{strange}");
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error, 1),
    };
    if let Some(service) = cli.command.service()
        && let Err(error) = telemetry::export_spans(service, runtime.handle())
    {
        return complain(&error, BAD_CONFIGURATION);
    }
    let ran = runtime.block_on(run(cli.command));
    telemetry::flush_spans();
    match ran {
        Ok(code) => code,
        Err(error) => complain(&format!("{error:#}"), exit_code(&error)),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of the process, to the person who started it"
)]
fn complain(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("oddswire: {error}");
    code.into()
}

/// Tells why a command is not carried out.
#[expect(clippy::print_stderr, reason = "to the person who started it")]
fn refuse(refused: &Refused) -> ExitCode {
    match refused {
        Refused::Usage(error) => {
            // Where it goes, and whether it is an error at all (--help is none), clap knows.
            let _ = error.print();
            if !error.use_stderr() {
                return ExitCode::SUCCESS;
            }
        }
        Refused::Problems(problems) => {
            eprintln!("oddswire: the configuration is wrong:");
            for problem in problems {
                eprintln!("  {problem}");
            }
        }
    }
    BAD_CONFIGURATION.into()
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(client) = error.downcast_ref::<oddswire_cli::Error>() {
        return client.exit_code();
    }
    let scraper = error.downcast_ref::<oddswire_scraper::Error>();
    let gateway = error.downcast_ref::<oddswire_gateway::Error>();
    let source = error.downcast_ref::<workbench::Error>();
    let configuration = scraper.is_some_and(oddswire_scraper::Error::is_configuration)
        || gateway.is_some_and(oddswire_gateway::Error::is_configuration)
        || source.is_some_and(workbench::Error::is_configuration);
    if configuration { BAD_CONFIGURATION } else { 1 }
}

async fn run(command: Command) -> Result<ExitCode> {
    let stop = CancellationToken::new();
    let work = work(command, stop.clone());
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        listening = shutdown::on_signal(stop) => listening.context("listen to signals")?,
    }
    work.await
}

async fn work(command: Command, stop: CancellationToken) -> Result<ExitCode> {
    match command {
        Command::Dev(options) => oddswire_dev::run(options, stop).await?,
        Command::Gateway(options) => {
            let problems = oddswire_gateway::check(&options);
            if !problems.is_empty() {
                return Ok(refuse(&Refused::Problems(problems)));
            }
            let (clients, operators) = (listen(options.listen)?, listen(options.ops_listen)?);
            let (changes, changed) = mpsc::channel(1);
            let serving =
                oddswire_gateway::run_on_trial(*options, clients, operators, Trial::default(), changed, stop);
            tokio::pin!(serving);
            tokio::select! {
                served = &mut serving => served?,
                listening = configuration::follow(changes) => {
                    listening.context("listen to signals")?;
                    serving.await?;
                }
            }
        }
        Command::Scraper(options) => {
            let operators = listen(options.ops_listen)?;
            tracing::info!(ops = %options.ops_listen, nats = options.bus.address(), worker = options.worker_id, "scraper");
            oddswire_scraper::run(options, operators, env::lookup, stop).await?;
        }
        Command::Follow(options) => {
            return as_client(follow::run(*options, Console::of_process(), stop).await);
        }
        Command::Top(options) => {
            return as_client(top::run(options, Console::of_process(), stop).await);
        }
        Command::Odds(options) => {
            return as_client(odds::run(options, Console::of_process(), stop).await);
        }
        Command::Conformance(options) => {
            return as_client(conformance::run(*options, Console::of_process(), stop).await);
        }
        Command::Source(options) => {
            let (out, aside) = (&mut std::io::stdout(), &mut std::io::stderr());
            let output = workbench::Output { out, aside };
            let code = workbench::run(options, &env::lookup, output, stop).await?;
            return Ok(code.into());
        }
        Command::DemoSite(options) => {
            let listener = listen(options.listen)?;
            tracing::info!(listen = %options.listen, "demo bookmakers");
            oddswire_demo_site::run(options, listener, stop).await?;
        }
        Command::Provision(options) => return provision::run(options).await,
        Command::Token(options) => return token::run(options).await,
        Command::Check(options) => return Ok(configuration::check(&options)),
        Command::PrintConfig(options) => return Ok(configuration::print(&options)),
        Command::Healthcheck(Healthcheck { url }) => return check_health::run(&url).await,
        Command::Completions(options) => {
            let written = shell::completions(&options, Cli::command(), &mut std::io::stdout());
            return as_client(written.map(|()| 0));
        }
        Command::Man(options) => return as_client(shell::manual(&options, Cli::command()).map(|_| 0)),
    }
    Ok(ExitCode::SUCCESS)
}

/// How a client of a gateway ended. When nobody reads what it writes there is nobody to be told either.
fn as_client(ended: Result<u8, oddswire_cli::Error>) -> Result<ExitCode> {
    match ended {
        Ok(code) => Ok(code.into()),
        Err(error) if error.is_silent() => Ok(error.exit_code().into()),
        Err(error) => Err(error.into()),
    }
}

/// Connections that may wait to be accepted: clients that come back all at once. The system's own limit,
/// `net.core.somaxconn`, is 4096 as well unless configured otherwise.
const BACKLOG: u32 = 4_096;

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("listen on {address}"))
}
