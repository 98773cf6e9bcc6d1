//! A bus with its streams, a site, and scrapers that are started, stopped and crashed.

use crate::{
    nats::Nats,
    site::{Site, definition},
};
use oddswire_kit::{
    bus::{Bus, BusOptions},
    log::Stored,
    provision::provision,
    publish::{Publication, PublishError},
};
use oddswire_protocol::{
    BatchId, EventKey, Feed, RunId, SourceKey, Timestamp,
    job::{CancelIntent, Job, RequestedBy},
    odds::{OddsConfirmed, OddsUpdate},
    progress::ScrapeProgress,
    stream::{Sizing, StreamSpec, jobs_consumer, streams},
};
use oddswire_scraper::{Error, ScraperOptions, fetch::FetchOptions};
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Duration};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// How long a condition may take to come true: long, for a machine that is busy.
const WAIT: Duration = Duration::from_secs(60);

/// Waits for a condition; `what` is said when it does not come.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + WAIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < give_up, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A bus, a site and the folder of its definition.
pub(crate) struct World {
    pub(crate) nats: Nats,
    pub(crate) bus: Bus,
    pub(crate) site: Site,
    sources: TempDir,
}

/// One message of a run.
pub(crate) struct RunMessage {
    pub(crate) stored: Stored,
    pub(crate) image: ScrapeProgress,
}

impl World {
    /// A world whose jobs go to another worker after `ack_wait_ms` without a sign of life. `more` stands in the
    /// definition of its source.
    pub(crate) async fn start(ack_wait_ms: u64, events: u32, more: &str) -> Self {
        let sizing = Sizing {
            job_ack_wait_ms: ack_wait_ms,
            ..Sizing::DEV
        };
        Self::start_sized(sizing, events, more).await
    }

    /// A world whose streams are of this size.
    pub(crate) async fn start_sized(sizing: Sizing, events: u32, more: &str) -> Self {
        Self::start_shaped(sizing, |_| (), events, more).await
    }

    /// A world that knows an id again for as many seconds only.
    pub(crate) async fn start_forgetful(ack_wait_ms: u64, duplicate_window_s: u64, events: u32) -> Self {
        let sizing = Sizing {
            job_ack_wait_ms: ack_wait_ms,
            ..Sizing::DEV
        };
        let forgetful = |stream: &mut StreamSpec| stream.duplicate_window_s = duplicate_window_s;
        Self::start_shaped(sizing, forgetful, events, "").await
    }

    /// A world whose streams were made before odds came in batches.
    pub(crate) async fn start_without_batches(events: u32) -> Self {
        let without = |stream: &mut StreamSpec| stream.allow_batches = false;
        Self::start_shaped(Sizing::DEV, without, events, "").await
    }

    async fn start_shaped(
        sizing: Sizing,
        shape: impl FnMut(&mut StreamSpec),
        events: u32,
        more: &str,
    ) -> Self {
        oddswire_kit::tls::install_provider();
        let nats = Nats::start().await;
        let bus = Bus::connect(&bus_options(&nats), "test", "test").await.unwrap();
        let subjects = bus.subjects().clone();
        let (mut streams, consumer) = (streams(&subjects, &sizing), jobs_consumer(&subjects, &sizing));
        streams.iter_mut().for_each(shape);
        provision(&bus, &streams, &consumer, false).await.unwrap();
        let sources = tempfile::tempdir().unwrap();
        fs::write(sources.path().join("alpha.toml"), definition(more)).unwrap();
        Self {
            nats,
            bus,
            site: Site::start(1..=events).await,
            sources,
        }
    }

    /// Puts another text in the place of a part of the definition.
    pub(crate) fn redefine(&self, from: &str, to: &str) {
        let file = self.sources.path().join("alpha.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    /// The folder of the definition of its source.
    pub(crate) fn sources(&self) -> &Path {
        self.sources.path()
    }

    /// Starts a scraper.
    pub(crate) async fn scraper(&self, worker_id: &str) -> Scraper {
        self.scraper_through(&self.nats.url(), worker_id).await
    }

    /// Starts a scraper that reaches the bus at `url`.
    pub(crate) async fn scraper_through(&self, url: &str, worker_id: &str) -> Scraper {
        let mut options = options(&self.nats, worker_id);
        options.bus.nats_url = url.to_owned();
        self.sources.path().clone_into(&mut options.sources);
        let url = self.site.url().to_owned();
        Scraper::start(options, move |name| (name == "SITE_URL").then(|| url.clone())).await
    }

    /// Asks for a run of the source.
    pub(crate) async fn job(&self) -> Result<RunId, PublishError> {
        let run_id = RunId::new();
        self.job_as(alpha(), &run_id).await.map(|()| run_id)
    }

    /// Asks for this run of a source.
    pub(crate) async fn job_as(&self, source: SourceKey, run_id: &RunId) -> Result<(), PublishError> {
        self.job_of(source, run_id, None).await
    }

    /// Has what failed in a run repeated, to the end; gives the messages.
    pub(crate) async fn retried(&self, retry_of: &RunId) -> Vec<RunMessage> {
        self.jobs_done().await;
        let run_id = RunId::new();
        self.job_of(alpha(), &run_id, Some(retry_of.clone()))
            .await
            .unwrap();
        self.ended(&run_id).await
    }

    async fn job_of(
        &self,
        source: SourceKey,
        run_id: &RunId,
        retry_of: Option<RunId>,
    ) -> Result<(), PublishError> {
        let job = Job {
            run_id: run_id.clone(),
            batch_id: BatchId::new(),
            source,
            requested_at: Timestamp::now(),
            requested_by: RequestedBy::Api,
            retry_of,
        };
        let subject = self.bus.subjects().job(&job.source);
        let payload = serde_json::to_vec(&job).unwrap();
        let message = Publication::new(subject, RunId::new().to_string(), payload.into());
        self.bus
            .publish(&message, &CancellationToken::new())
            .await
            .map(|_| ())
    }

    /// Waits until no job is left.
    pub(crate) async fn jobs_done(&self) {
        let jobs = &self.bus.names().jobs;
        until("no job is left", async || {
            let left = self.stored(jobs, self.bus.subjects().job_all()).await?;
            left.is_empty().then_some(())
        })
        .await;
    }

    /// Asks for a run as soon as the one before has let go of the source.
    pub(crate) async fn next_job(&self) -> RunId {
        until("the source is free", async || match self.job().await {
            Ok(run_id) => Some(run_id),
            Err(PublishError::Taken) => None,
            Err(error) => panic!("{error}"),
        })
        .await
    }

    /// Has a run made to its end; gives its messages.
    pub(crate) async fn whole_run(&self) -> Vec<RunMessage> {
        let run_id = self.next_job().await;
        self.ended(&run_id).await
    }

    /// Waits for the end of a run; gives its messages.
    pub(crate) async fn ended(&self, run_id: &RunId) -> Vec<RunMessage> {
        self.run_until("the run ends", run_id, |last| last.status.is_terminal())
            .await
    }

    /// Waits for a run to be as asked for; gives its messages.
    pub(crate) async fn run_until(
        &self,
        what: &str,
        run_id: &RunId,
        is: impl Fn(&ScrapeProgress) -> bool,
    ) -> Vec<RunMessage> {
        until(what, async || {
            let messages = self.run_messages(run_id).await?;
            is(&messages.last()?.image).then_some(messages)
        })
        .await
    }

    /// The messages of a run so far; `None` when the bus does not answer.
    pub(crate) async fn run_messages(&self, run_id: &RunId) -> Option<Vec<RunMessage>> {
        let key = EventKey::Run {
            source: alpha(),
            run_id: run_id.clone(),
        };
        self.messages(self.bus.subjects().feed(&key)).await
    }

    /// The messages of all runs so far; `None` when the bus does not answer.
    pub(crate) async fn all_run_messages(&self) -> Option<Vec<RunMessage>> {
        self.messages(self.bus.subjects().feed_all(Feed::Run)).await
    }

    async fn messages(&self, filter: String) -> Option<Vec<RunMessage>> {
        let stored = self.stored(&self.bus.names().runs, filter).await?;
        let message = |stored: Stored| {
            let image = serde_json::from_slice(&stored.payload).unwrap();
            RunMessage { stored, image }
        };
        Some(stored.into_iter().map(message).collect())
    }

    /// The images of odds that the bus has, in the order in which they were written.
    pub(crate) async fn odds(&self) -> Vec<(Stored, OddsUpdate)> {
        let filter = self.bus.subjects().feed_filter("odds.quote.>");
        let stored = self.stored(&self.bus.names().odds, filter).await.unwrap();
        stored
            .into_iter()
            .map(|stored| {
                let image = serde_json::from_slice(&stored.payload).unwrap();
                (stored, image)
            })
            .collect()
    }

    /// All images of odds that were written after this sequence of the history; `None` when the bus does not answer.
    pub(crate) async fn history_after(&self, seq: u64) -> Option<Vec<(Stored, OddsUpdate)>> {
        let history = &self.bus.names().history;
        let mut stored = self
            .stored(history, self.bus.subjects().feed_filter("odds.quote.>"))
            .await?;
        stored.retain(|stored| stored.seq > seq);
        let image = |stored: Stored| {
            let image = serde_json::from_slice(&stored.payload).unwrap();
            (stored, image)
        };
        Some(stored.into_iter().map(image).collect())
    }

    /// Brings the streams to this size, which must not be smaller.
    pub(crate) async fn resize(&self, sizing: Sizing) {
        let subjects = self.bus.subjects();
        let (streams, consumer) = (streams(subjects, &sizing), jobs_consumer(subjects, &sizing));
        provision(&self.bus, &streams, &consumer, true).await.unwrap();
    }

    /// The payloads of all messages of all streams, as text.
    pub(crate) async fn everything_stored(&self) -> Vec<String> {
        let names = self.bus.names();
        let control = names.control_stream();
        let mut texts = Vec::new();
        for stream in [&names.runs, &names.odds, &names.history, &names.jobs, &control] {
            let stored = self.stored(stream, ">".to_owned()).await.unwrap();
            texts.extend(
                stored
                    .iter()
                    .map(|stored| String::from_utf8_lossy(&stored.payload).into_owned()),
            );
        }
        texts
    }

    /// The last confirmation of each source.
    pub(crate) async fn confirmations(&self) -> BTreeMap<SourceKey, OddsConfirmed> {
        let filter = self.bus.subjects().feed_filter("odds.confirmed.>");
        let stored = self.stored(&self.bus.names().odds, filter).await.unwrap();
        let confirmed = stored
            .iter()
            .map(|stored| serde_json::from_slice(&stored.payload).unwrap());
        confirmed
            .map(|confirmed: OddsConfirmed| (confirmed.source.clone(), confirmed))
            .collect()
    }

    /// The last confirmation of the source.
    pub(crate) async fn confirmed(&self) -> (Stored, OddsConfirmed) {
        let filter = self.bus.subjects().feed_filter("odds.confirmed.alpha");
        let stored = self
            .stored(&self.bus.names().odds, filter)
            .await
            .unwrap()
            .pop()
            .unwrap();
        let confirmed = serde_json::from_slice(&stored.payload).unwrap();
        (stored, confirmed)
    }

    async fn stored(&self, stream: &str, filter: String) -> Option<Vec<Stored>> {
        let floor = self.bus.stream_state(stream).await.ok()?.last_seq;
        let mut read = self.bus.read(stream, filter, 1, floor);
        let mut messages = Vec::new();
        while let Some(page) = read.next_page().await.ok()? {
            messages.extend(page);
        }
        Some(messages)
    }

    /// Writes down that somebody wants the run to stop.
    pub(crate) async fn intend_cancel(&self, run_id: &RunId) {
        let intent = CancelIntent {
            run_id: run_id.clone(),
            requested_at: Timestamp::now(),
        };
        let value = serde_json::to_vec(&intent).unwrap();
        let key = format!("cancel.{run_id}");
        self.bus
            .kv_put(&key, value.into(), None, &CancellationToken::new())
            .await
            .unwrap();
    }
}

pub(crate) fn alpha() -> SourceKey {
    "alpha".parse().unwrap()
}

fn bus_options(nats: &Nats) -> BusOptions {
    BusOptions::at(&nats.url())
}

/// Options of a scraper that reads the demo's definitions.
pub(crate) fn options(nats: &Nats, worker_id: &str) -> ScraperOptions {
    ScraperOptions {
        bus: bus_options(nats),
        ops_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        sources: concat!(env!("CARGO_MANIFEST_DIR"), "/../../sources").into(),
        concurrency: 4,
        worker_id: worker_id.to_owned(),
        no_schedule: false,
        fetch: FetchOptions::default(),
    }
}

/// A running scraper. Dropping it is a crash.
pub(crate) struct Scraper {
    pub(crate) ops_url: String,
    stop: CancellationToken,
    task: JoinSet<Result<(), Error>>,
}

impl Scraper {
    pub(crate) async fn start(
        options: ScraperOptions,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(options.ops_listen).await.unwrap();
        let ops_url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(oddswire_scraper::run(options, listener, lookup, stop.clone()));
        Self { ops_url, stop, task }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.task.join_next().await.unwrap().unwrap().unwrap();
    }

    /// What the operations port answers.
    pub(crate) async fn ops(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.ops_url)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The sum of a metric over its labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.ops("/metrics").await;
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}
