//! `oddswire dev`: everything on one machine, from one command, and nothing left when it ends.
//!
//! It starts the same program again for each part, as operators would, so that what runs here is what runs there.

mod part;

use anyhow::{Context, Result, bail};
use clap::Args;
use oddswire_cli::{
    Console,
    follow::{self, FollowOptions},
};
use oddswire_kit::{
    bus::{Bus, BusOptions},
    nats_server::NatsServer,
    provision::provision,
};
use oddswire_protocol::stream::{Sizing, jobs_consumer, streams};
use part::Part;
use std::{
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
};
use tokio_util::sync::CancellationToken;

/// What to start.
#[derive(Debug, Clone, Args)]
pub struct DevOptions {
    /// Gateways; number n (from 1) listens on PORT + 10 (n - 1), its operations port is one above.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=20))]
    pub gateways: u16,
    /// Port of the first gateway.
    #[arg(long, default_value_t = 8080, value_name = "P", value_parser = clap::value_parser!(u16).range(1..=65_000))]
    pub port: u16,
    /// Do without the demo bookmakers.
    #[arg(long)]
    pub no_demo: bool,
    /// Football events of the demo bookmakers' world at any moment, 1 to 4000.
    #[arg(long, value_name = "N", conflicts_with = "no_demo", value_parser = clap::value_parser!(u32).range(1..=4_000))]
    pub events: Option<u32>,
    /// Seconds of the demo bookmakers' world for each real one, 0 (it stands still) to 10000.
    #[arg(long, value_name = "N", conflicts_with = "no_demo")]
    pub speed: Option<f64>,
    /// Origins whose pages may use the gateways, besides those of localhost on any port: for a page that you develop.
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// Folder of the source definitions.
    #[arg(long, env = "ODDSWIRE_SOURCES", default_value = "sources", value_name = "DIR")]
    pub sources: PathBuf,
    /// What the parts log: a level, or a filter. Unless told: warnings, and whom a gateway refused and why.
    #[arg(
        long,
        env = "ODDSWIRE_PARTS_LOG",
        default_value = "warn,oddswire_gateway::front=info",
        value_name = "FILTER"
    )]
    pub parts_log: String,
}

/// The port of the demo bookmakers, unless it is taken.
const DEMO_PORT: u16 = 4600;
/// Each has a host of its own, so that one that fails is left alone by itself.
const BOOKS: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
/// Pages that are being developed on this machine. Nobody but this machine reaches the gateways.
const LOCAL_PAGES: [&str; 3] = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];

/// Starts all parts, says where they are, starts a scrape, and follows the runs on standard output until `stop`.
///
/// # Errors
/// When a part does not come up or ends by itself. All others are stopped by then.
pub async fn run(options: DevOptions, stop: CancellationToken) -> Result<()> {
    check_sources(&options.sources)?;
    check_ports(&options)?;
    let store = tempfile::tempdir().context("make a temporary folder")?;
    let mut nats = NatsServer::start(store.path(), None).await?;
    let nats_url = nats.url();
    say(&format!("nats             {nats_url}"));
    let mut parts = Vec::new();
    let outcome = tokio::select! {
        outcome = run_parts(&options, &nats_url, &mut parts) => outcome,
        () = nats.ended() => Err(anyhow::anyhow!("nats-server ended by itself")),
        () = stop.cancelled() => Ok(()),
    };
    // In the order of the flow: first those who take in, the bus last.
    say("stopping");
    part::stop_all(parts).await;
    nats.stop().await;
    outcome
}

fn check_sources(folder: &Path) -> Result<()> {
    let Ok(mut files) = std::fs::read_dir(folder) else {
        bail!(
            "there is no folder {}: run this in the project's folder, or name one with --sources",
            folder.display()
        );
    };
    if !files.any(|file| file.is_ok_and(|f| f.path().extension().is_some_and(|e| e == "toml"))) {
        bail!("there is no source definition (*.toml) in {}", folder.display());
    }
    Ok(())
}

/// Looks whether every port is free before anything is started.
fn check_ports(options: &DevOptions) -> Result<()> {
    let port = |offset: u16| options.port.checked_add(offset).context("--port is too high");
    let mut wanted = vec![("the scraper's operations".to_owned(), port(2)?)];
    for number in 0..options.gateways {
        wanted.push((format!("gateway {}", number + 1), port(number * 10)?));
        wanted.push((
            format!("gateway {}'s operations", number + 1),
            port(number * 10 + 1)?,
        ));
    }
    for (what, port) in wanted {
        if free(port).is_err() {
            bail!(
                "port {port} ({what}) is taken: dev uses P, P+1 and P+2, and 10 more for each further gateway; \
                 choose another P with --port"
            );
        }
    }
    Ok(())
}

async fn run_parts(options: &DevOptions, nats_url: &str, parts: &mut Vec<Part>) -> Result<()> {
    create_streams(nats_url).await?;
    let demo_port = if options.no_demo {
        None
    } else {
        Some(start_demo(options, parts)?)
    };
    start_scraper(options, nats_url, demo_port, parts)?;
    let mut addresses = Vec::new();
    for number in 0..options.gateways {
        let port = number
            .checked_mul(10)
            .and_then(|n| n.checked_add(options.port))
            .context("--port is too high")?;
        let ops = port.checked_add(1).context("--port is too high")?;
        let mut gateway = part::command("gateway", &options.parts_log);
        let own = options.allow_origin.iter().map(String::as_str);
        let origins = LOCAL_PAGES.into_iter().chain(own).collect::<Vec<_>>().join(",");
        gateway
            .args(["--allow-origin", &origins])
            // Nobody balances here: Ctrl-C is for now.
            .args([
                "--nats-url",
                nats_url,
                "--drain-delay-ms",
                "0",
                "--grace-ms",
                "1000",
            ])
            .args(["--listen", &format!("127.0.0.1:{}", free(port)?)])
            .args(["--ops-listen", &format!("127.0.0.1:{}", free(ops)?)]);
        let ready = Some(format!("http://127.0.0.1:{ops}/readyz"));
        parts.push(Part::start(&format!("gateway {}", number + 1), gateway, ready)?);
        addresses.push(format!("http://127.0.0.1:{port}/"));
    }
    for part in parts.iter_mut() {
        part.wait_ready().await?;
    }
    for (at, address) in addresses.iter().enumerate() {
        say(&format!("gateway {:<8} {address}", at + 1));
    }
    say("");
    say(&format!(
        "Open {} in a browser, or watch the events go by:",
        addresses[0]
    ));
    say(&format!("  curl -N '{}api/events?since=snapshot'", addresses[0]));
    say("");
    say("Ctrl-C stops everything.");
    say("");
    let gateways: Result<Vec<_>, _> = addresses.iter().map(|address| address.parse()).collect();
    let following = FollowOptions::start_and_stay(gateways?);
    // It does not leave the runs to go on: they are stopped with all the rest.
    let never = CancellationToken::new();
    tokio::select! {
        followed = follow::run(following, Console::of_process(), never) => Ok(followed.map(drop)?),
        ended = part::any_ended(parts) => Err(ended),
    }
}

fn start_scraper(
    options: &DevOptions,
    nats_url: &str,
    demo_port: Option<u16>,
    parts: &mut Vec<Part>,
) -> Result<()> {
    let scraper_ops = options.port.checked_add(2).context("--port is too high")?;
    let sources = options.sources.to_string_lossy().into_owned();
    let mut scraper = part::command("scraper", &options.parts_log);
    scraper
        .args([
            "--nats-url",
            nats_url,
            "--worker-id",
            "dev-1",
            "--sources",
            &sources,
        ])
        .args(["--ops-listen", &format!("127.0.0.1:{}", free(scraper_ops)?)]);
    if let Some(port) = demo_port {
        for book in BOOKS {
            scraper.env(
                format!("{}_URL", book.to_uppercase()),
                format!("http://{book}.localhost:{port}"),
            );
        }
    }
    parts.push(Part::start(
        "scraper",
        scraper,
        Some(format!("http://127.0.0.1:{scraper_ops}/readyz")),
    )?);
    Ok(())
}

fn start_demo(options: &DevOptions, parts: &mut Vec<Part>) -> Result<u16> {
    let port = free(DEMO_PORT).or_else(|_| any_free())?;
    let mut demo = part::command("demo-site", &options.parts_log);
    demo.args(["--listen", &format!("127.0.0.1:{port}")]);
    if let Some(events) = options.events {
        demo.args(["--events", &events.to_string()]);
    }
    if let Some(speed) = options.speed {
        demo.args(["--speed", &speed.to_string()]);
    }
    let url = format!("http://127.0.0.1:{port}/");
    parts.push(Part::start("demo-site", demo, Some(url.clone()))?);
    say(&format!("demo bookmakers  {url}"));
    Ok(port)
}

async fn create_streams(nats_url: &str) -> Result<()> {
    let options = BusOptions::at(nats_url);
    let bus = Bus::connect(&options, "oddswire-dev", "dev").await?;
    let specs = streams(bus.subjects(), &Sizing::DEV);
    provision(&bus, &specs, &jobs_consumer(bus.subjects(), &Sizing::DEV), true).await?;
    Ok(())
}

/// The port, when nobody has it.
fn free(port: u16) -> Result<u16> {
    let looked = TcpListener::bind(("127.0.0.1", port));
    looked
        .map(|_| port)
        .with_context(|| format!("port {port} of this machine"))
}

fn any_free() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Says something to the person who runs the command. That person may be gone with the terminal: the parts are to be
/// stopped all the same.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
