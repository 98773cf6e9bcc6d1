//! The scraper as a whole: what lives as long as the process, and in which order it stops.

use crate::{
    fetch::Fetcher,
    metrics::{self, Metrics},
    options::ScraperOptions,
    records, schedule,
    shelf::Shelf,
    source::LoadError,
    trial::Trial,
    worker::{Worker, bury_the_exhausted},
};
use oddswire_kit::{
    bus::{Bus, ConnectError},
    metrics::{Book, Entry},
    ops::{self, Health, Ops},
    probe::Probe,
    tls,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// Why the scraper does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Source definitions are wrong: all that is wrong with them, one a line with its file and line.
    #[error("{0}")]
    Sources(Problems),
    /// The address of the bus cannot be understood.
    #[error(transparent)]
    Bus(#[from] ConnectError),
    /// A part that must live ended.
    #[error("{part} ended: {reason}")]
    Ended {
        /// Which.
        part: &'static str,
        /// How.
        reason: String,
    },
}

impl Error {
    /// Whether somebody has to change the configuration: exit code 64 instead of 1.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Ended { .. })
    }
}

/// What is wrong with source definitions.
#[derive(Debug)]
pub struct Problems(pub Vec<LoadError>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

/// How long everything together may take to stop: the runs' five seconds, and some for what comes after.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// Scrapes until `stop`. `lookup` gives the environment variables that source definitions refer to; it is
/// asked again when they change.
///
/// A bus that is missing, at the start or later, is no error: the scraper tries for ever, and `/readyz` says so. With
/// `stop` it takes no new job; runs under way are let go of within five seconds, without a terminal event, so that
/// another worker goes on with them.
///
/// # Errors
/// [`Error`].
pub async fn run(
    options: ScraperOptions,
    ops_listener: TcpListener,
    lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    stop: CancellationToken,
) -> Result<(), Error> {
    run_on_trial(options, ops_listener, lookup, Trial::default(), stop).await
}

/// What the scraper counts, whether or not it did yet.
pub fn metrics() -> Vec<Entry> {
    let mut book = Book::new(metrics::PREFIX);
    Metrics::new(&mut book);
    book.entries().to_vec()
}

/// Like [`run`], with mechanisms off: for tests.
///
/// # Errors
/// [`Error`].
pub async fn run_on_trial(
    options: ScraperOptions,
    ops_listener: TcpListener,
    lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    trial: Trial,
    stop: CancellationToken,
) -> Result<(), Error> {
    tls::install_provider();
    let mut book = Book::new(metrics::PREFIX);
    let metrics = Arc::new(Metrics::new(&mut book));
    let shelf = Shelf::open(options.sources, lookup, Arc::clone(&metrics))
        .map_err(|found| Error::Sources(Problems(found)))?;
    let shelf = Arc::new(shelf);
    let name = format!("oddswire scraper {}", options.worker_id);
    let bus = Bus::connect(&options.bus, &name, "scraper").await?;
    tracing::info!(
        worker_id = options.worker_id,
        sources = shelf.current().len(),
        "scraper starts"
    );

    // The operations port goes on answering while the rest stops.
    let ops_stop = CancellationToken::new();
    let inner = stop.child_token();
    let streams = [&bus.names().runs, &bus.names().odds, &bus.names().jobs];
    let mut streams: Vec<String> = streams.into_iter().cloned().collect();
    streams.extend([bus.names().control_stream(), bus.names().gateway_stream()]);
    let (probe, probing) = Probe::new(&bus, streams, inner.clone());
    let worker = Arc::new(Worker::new(
        bus.clone(),
        options.worker_id,
        Arc::clone(&shelf),
        Fetcher::counting(options.fetch, metrics.fetch.clone()),
        Arc::clone(&metrics),
        trial,
    ));
    let ops = Ops::new(health(&worker, probe, inner.clone()), book.into_registry());

    let mut parts = Parts::default();
    parts.add(
        "the operations port",
        ops::serve(ops_listener, ops, ops_stop.clone()),
    );
    parts.add("the bus probe", probing);
    if !options.no_schedule {
        let ticking = schedule::run(bus, Arc::clone(&shelf), metrics, inner.clone());
        parts.add("the schedule", ticking);
    }
    parts.add("the watch over definitions", shelf.watch(inner.clone()));
    parts.add_worker(worker, options.concurrency, &inner);
    parts.run(&inner, &ops_stop).await
}

fn health(worker: &Arc<Worker>, probe: Probe, stop: CancellationToken) -> Health {
    let (intake, sources) = (Arc::clone(worker), Arc::clone(worker));
    Health::new()
        .with("bus", move || probe.check())
        .with("jobs", move || intake.check())
        .with("sources", move || {
            if sources.shelf.current().is_empty() {
                Err("there is no source definition".into())
            } else {
                Ok(())
            }
        })
        .with("stop", move || {
            if stop.is_cancelled() {
                Err("stopping".into())
            } else {
                Ok(())
            }
        })
}

/// The parts that live as long as the process.
#[derive(Default)]
struct Parts {
    tasks: JoinSet<&'static str>,
}

impl Parts {
    fn add(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            part.await;
            name
        });
    }

    fn add_worker(&mut self, worker: Arc<Worker>, concurrency: usize, stop: &CancellationToken) {
        self.add("the announcement of sources", {
            let (worker, stop) = (Arc::clone(&worker), stop.clone());
            async move {
                records::announce_sources(&worker, &stop).await;
                stop.cancelled().await;
            }
        });
        let alive = records::keep_alive(Arc::clone(&worker), concurrency, stop.clone());
        self.add("the sign of life", alive);
        let dead = bury_the_exhausted(Arc::clone(&worker), stop.clone());
        self.add("the watch over dead jobs", dead);
        self.add("the intake of jobs", worker.take_jobs(concurrency, stop.clone()));
    }

    /// Waits for `stop`, or for the first part that ends by itself, which stops the others.
    async fn run(mut self, stop: &CancellationToken, ops_stop: &CancellationToken) -> Result<(), Error> {
        let early = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            Some(ended) = self.tasks.join_next() => Some(ended),
        };
        stop.cancel();
        let rest = async {
            // The operations port is the last one.
            while self.tasks.len() > 1 {
                self.tasks.join_next().await;
            }
        };
        if timeout(STOP_WITHIN, rest).await.is_err() {
            tracing::warn!("parts that did not stop in time are cut off");
        }
        ops_stop.cancel();
        self.tasks.shutdown().await;
        match early {
            None => Ok(()),
            Some(Ok(part)) => Err(Error::Ended {
                part,
                reason: "without a reason".into(),
            }),
            Some(Err(error)) => Err(Error::Ended {
                part: "a part",
                reason: error.to_string(),
            }),
        }
    }
}
