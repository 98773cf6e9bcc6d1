//! How fast and how large the scraper is: four bookmakers of 2,000 events, scraped whole without limits.
//!
//! `cargo xtask bench-scraper` runs it, optimised. The bookmakers are a process of their own that answers from memory
//! once a page was asked for, so that what is measured is the scraper. A figure of one machine means little: compare
//! figures of one run.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark tells a person what it found, and ends where it cannot"
)]

mod cache;
mod usage;

use clap::{Parser, Subcommand};
use oddswire_kit::{
    bus::{Bus, BusOptions},
    child::this_program,
    nats_server::NatsServer,
    provision::provision,
    publish::Publication,
    tls,
};
use oddswire_protocol::{
    BatchId, RunId, SourceKey, Timestamp,
    job::{Job, RequestedBy},
    odds::OddsUpdate,
    progress::{ScrapeProgress, Status},
    stream::{Sizing, jobs_consumer, streams},
};
use oddswire_scraper::{ScraperOptions, fetch::FetchOptions};
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use usage::Usage;

const BOOKS: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
const PORT: u16 = 4680;

#[derive(Debug, Parser)]
struct Cli {
    /// Events of the world.
    #[arg(long, default_value_t = 2_000)]
    events: u32,
    /// Unchanged scrapes after the first one.
    #[arg(long, default_value_t = 3)]
    again: u32,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The bookmakers alone.
    Site,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    tls::install_provider();
    let cli = Cli::parse();
    match cli.part {
        Some(Part::Site) => cache::serve(cli.events, PORT).await,
        None => bench(&cli).await,
    }
}

async fn bench(cli: &Cli) {
    let mut site = Command::new(this_program())
        .arg(format!("--events={}", cli.events))
        .arg("site")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while TcpStream::connect(("127.0.0.1", PORT)).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = tempfile::tempdir().unwrap();
    let nats = NatsServer::start(store.path(), None).await.unwrap();
    let options = BusOptions::at(&nats.url());
    let bus = Bus::connect(&options, "bench", "bench").await.unwrap();
    let specs = streams(bus.subjects(), &Sizing::DEV);
    let consumer = jobs_consumer(bus.subjects(), &Sizing::DEV);
    provision(&bus, &specs, &consumer, true).await.unwrap();
    write_sources(dir.path());
    let stop = CancellationToken::new();
    let mut scraper = JoinSet::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scraping = ScraperOptions {
        bus: options,
        ops_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        sources: dir.path().to_owned(),
        concurrency: 4,
        worker_id: "bench".to_owned(),
        no_schedule: true,
        fetch: FetchOptions::default(),
    };
    scraper.spawn(oddswire_scraper::run(scraping, listener, |_| None, stop.clone()));

    println!(
        "scrape                  s   pages/s   CPU s  % of a core  pages per CPU s  RSS MiB  odds written"
    );
    scrape(&bus, "first, all four", &BOOKS).await;
    for _ in 0..cli.again {
        scrape(&bus, "unchanged, all four", &BOOKS).await;
    }
    for book in BOOKS {
        scrape(&bus, &format!("unchanged, {book}"), &[book]).await;
    }
    let quotes = quotes(&bus).await;
    println!("{quotes} quotes held; peak RSS {} MiB", Usage::now().peak_mib);
    stop.cancel();
    scraper.join_all().await;
    site.kill().await.unwrap();
}

/// Scrapes some books at once, and tells what it took.
async fn scrape(bus: &Bus, what: &str, books: &[&str]) {
    let written = bus.stream_state(&bus.names().odds).await.unwrap().last_seq;
    let (began, before) = (Instant::now(), Usage::now());
    let mut runs = BTreeMap::new();
    for book in books {
        runs.insert(start(bus, book).await, *book);
    }
    let mut pages = 0;
    while !runs.is_empty() {
        sleep(Duration::from_millis(10)).await;
        let ends = ended(bus).await;
        runs.retain(|run_id, book| {
            let Some(end) = ends.get(run_id) else { return true };
            assert_eq!(end.status, Status::Completed, "{book}: {end:?}");
            assert!(end.errors.is_empty(), "{book}: {:?}", end.errors);
            let read = end
                .phases
                .iter()
                .filter(|phase| phase.unit == oddswire_protocol::progress::Unit::Pages);
            pages += read.map(|phase| phase.current).sum::<u64>();
            false
        });
    }
    let (took, used) = (began.elapsed().as_secs_f64(), Usage::now());
    let cpu = used.cpu_s - before.cpu_s;
    let written = bus.stream_state(&bus.names().odds).await.unwrap().last_seq - written;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let pages = pages as f64;
    println!(
        "{what:<20} {took:>5.2} {:>9.0} {cpu:>7.2} {:>12.0} {:>16.0} {:>8} {written:>13}",
        pages / took,
        cpu / took * 100.0,
        pages / cpu,
        used.rss_mib,
    );
}

async fn start(bus: &Bus, book: &str) -> RunId {
    let run_id = RunId::new();
    let source: SourceKey = book.parse().unwrap();
    loop {
        let job = Job {
            run_id: run_id.clone(),
            batch_id: BatchId::new(),
            source: source.clone(),
            requested_at: Timestamp::now(),
            requested_by: RequestedBy::Api,
            retry_of: None,
        };
        let payload = serde_json::to_vec(&job).unwrap();
        let message = Publication::new(
            bus.subjects().job(&source),
            RunId::new().to_string(),
            payload.into(),
        );
        if bus.publish(&message, &CancellationToken::new()).await.is_ok() {
            return run_id;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The runs that are over.
async fn ended(bus: &Bus) -> BTreeMap<RunId, ScrapeProgress> {
    let stream = &bus.names().runs_last;
    let Ok(state) = bus.stream_state(stream).await else {
        return BTreeMap::new();
    };
    let mut read = bus.read(
        stream,
        bus.subjects().feed_all(oddswire_protocol::Feed::Run),
        1,
        state.last_seq,
    );
    let mut ends = BTreeMap::new();
    while let Some(page) = read.next_page().await.unwrap() {
        for stored in page {
            let image: ScrapeProgress = serde_json::from_slice(&stored.payload).unwrap();
            if image.status.is_terminal() {
                ends.insert(image.run_id.clone(), image);
            }
        }
    }
    ends
}

async fn quotes(bus: &Bus) -> usize {
    let stream = &bus.names().odds;
    let floor = bus.stream_state(stream).await.unwrap().last_seq;
    let mut read = bus.read(stream, bus.subjects().feed_filter("odds.quote.>"), 1, floor);
    let mut quotes = 0;
    while let Some(page) = read.next_page().await.unwrap() {
        for stored in page {
            let image: OddsUpdate = serde_json::from_slice(&stored.payload).unwrap();
            quotes += image.snapshot_count;
        }
    }
    quotes
}

/// The shipped definitions without their limits, each on a host of its own.
fn write_sources(dir: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sources");
    for (number, book) in BOOKS.iter().enumerate() {
        let mut text = fs::read_to_string(shipped.join(format!("{book}.toml"))).unwrap();
        let host = format!("http://127.0.0.{}:{PORT}", number + 1);
        let base = format!(
            "${{{}_URL:-${{DEMO_URL:-http://{book}.localhost:4600}}}}",
            book.to_uppercase()
        );
        for (from, to) in [
            (base.as_str(), host.as_str()),
            ("requests_per_second = 20", "requests_per_second = 1000"),
            ("burst = 4", "burst = 1000"),
            ("concurrency = 4", "concurrency = 16"),
            ("timeout = \"10s\"", "timeout = \"60s\""),
            ("max_pages = 200", "max_pages = 1000"),
            ("max_body = \"4MiB\"", "max_body = \"64MiB\""),
            ("max_body = \"8MiB\"", "max_body = \"64MiB\""),
        ] {
            text = text.replace(from, to);
        }
        fs::write(dir.join(format!("{book}.toml")), text).unwrap();
    }
}
