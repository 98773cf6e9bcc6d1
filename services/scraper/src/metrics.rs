//! What the operations port shows of this process in numbers.

use crate::fetch::FetchMetrics;
use oddswire_kit::metrics::{Book, LabelNames};
use oddswire_protocol::{SourceKey, progress::Outcome};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
};
use std::{ops::Deref, time::Duration};

/// A label that tells sources apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SourceLabel {
    source: String,
}

impl LabelNames for SourceLabel {
    const NAMES: &'static [&'static str] = &["source"];
}

impl From<&SourceKey> for SourceLabel {
    fn from(source: &SourceKey) -> Self {
        Self {
            source: source.to_string(),
        }
    }
}

/// Labels of runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RunLabel {
    /// The source.
    pub(crate) source: String,
    /// How this worker's attempt ended.
    pub(crate) end: &'static str,
}

impl LabelNames for RunLabel {
    const NAMES: &'static [&'static str] = &["source", "end"];
}

/// Labels of what a run's work came to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    /// The source.
    pub(crate) source: String,
    /// The contract's word.
    pub(crate) outcome: &'static str,
}

impl LabelNames for OutcomeLabel {
    const NAMES: &'static [&'static str] = &["source", "outcome"];
}

/// Labels of publishing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabel {
    /// `run` or `odds`.
    pub(crate) kind: &'static str,
}

impl LabelNames for KindLabel {
    const NAMES: &'static [&'static str] = &["kind"];
}

/// A label that tells reasons apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    /// The reason.
    pub(crate) reason: &'static str,
}

impl LabelNames for ReasonLabel {
    const NAMES: &'static [&'static str] = &["reason"];
}

/// The beginning of all names.
pub(crate) const PREFIX: &str = "oddswire_scraper";

/// The numbers.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Attempts that ended here.
    pub(crate) runs: Family<RunLabel, Counter>,
    /// Attempts under way.
    pub(crate) running: Gauge,
    /// Seconds from claim to terminal event.
    pub(crate) run_seconds: Histogram,
    /// What the work of runs came to.
    pub(crate) outcomes: Family<OutcomeLabel, Counter>,
    /// From the first try to publish an event to its acknowledgement.
    pub(crate) publish: Family<KindLabel, Histogram, fn() -> Histogram>,
    /// Images of odds published.
    pub(crate) odds_published: Family<SourceLabel, Counter>,
    /// Markets that were looked at and had not changed.
    pub(crate) odds_unchanged: Family<SourceLabel, Counter>,
    /// When a source was last checked completely, in seconds since 1970.
    pub(crate) confirmed_at: Family<SourceLabel, Gauge>,
    /// Messages of runs published.
    pub(crate) run_messages: Counter,
    /// Publishes that the bus had to be asked for again.
    pub(crate) publish_retries: Counter,
    /// Messages of the bus that refused to be taken or read.
    pub(crate) refused: Family<ReasonLabel, Counter>,
    /// Ticks of a schedule that found the run before still under way.
    pub(crate) skipped_ticks: Family<SourceLabel, Counter>,
    /// Jobs that were not worked at.
    pub(crate) jobs_turned_away: Family<ReasonLabel, Counter>,
    /// Runs that nobody could end and that were ended as failed.
    pub(crate) dead_jobs: Counter,
    /// What asking sites comes to.
    pub(crate) fetch: FetchMetrics,
    /// What is wrong with the folder of definitions.
    definition_problems: Gauge,
    /// Times that the folder had changed, by what came of it.
    definition_reads: Family<ReasonLabel, Counter>,
}

impl Metrics {
    /// Makes the numbers and enters them into `book`.
    pub(crate) fn new(book: &mut Book) -> Self {
        let metrics = Self {
            runs: Family::default(),
            running: Gauge::default(),
            run_seconds: Histogram::new(exponential_buckets(0.25, 2.0, 14)),
            outcomes: Family::default(),
            publish: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 17))),
            odds_published: Family::default(),
            odds_unchanged: Family::default(),
            confirmed_at: Family::default(),
            run_messages: Counter::default(),
            publish_retries: Counter::default(),
            refused: Family::default(),
            skipped_ticks: Family::default(),
            jobs_turned_away: Family::default(),
            dead_jobs: Counter::default(),
            fetch: FetchMetrics::default(),
            definition_problems: Gauge::default(),
            definition_reads: Family::default(),
        };
        for reason in ["odds_for_now", "odds", "run_message"] {
            drop(metrics.refused.get_or_create(&ReasonLabel { reason }));
        }
        metrics.enter_runs(book);
        metrics.enter_bus(book);
        metrics.fetch.enter(book);
        metrics.enter_definitions(book);
        metrics
    }

    fn enter_runs(&self, book: &mut Book) {
        book.register(
            "runs",
            "Attempts at runs that ended here, by end",
            self.runs.clone(),
        );
        book.register("running", "Attempts at runs under way", self.running.clone());
        book.register(
            "run_seconds",
            "Seconds from the claim of a run to its terminal event",
            self.run_seconds.clone(),
        );
        book.register(
            "run_outcomes",
            "Runs whose work was done to its end here, by what it came to: complete, partial, empty, blocked, broken, unreachable",
            self.outcomes.clone(),
        );
        book.register(
            "odds_published",
            "Images of odds published: markets that changed",
            self.odds_published.clone(),
        );
        book.register(
            "odds_unchanged",
            "Markets that were looked at and had not changed",
            self.odds_unchanged.clone(),
        );
        book.register(
            "confirmed_at_seconds",
            "When the source was last confirmed, in seconds since 1970",
            self.confirmed_at.clone(),
        );
        book.register(
            "dead_jobs",
            "Runs ended as failed because their job was handed out too often",
            self.dead_jobs.clone(),
        );
    }

    fn enter_bus(&self, book: &mut Book) {
        book.register(
            "run_messages",
            "Progress events published",
            self.run_messages.clone(),
        );
        book.register(
            "publish_delay_seconds",
            "From the first try to publish an event, or a batch of odds, to its acknowledgement by JetStream",
            self.publish.clone(),
        );
        book.register(
            "publish_retries",
            "Publishes that had to be tried again",
            self.publish_retries.clone(),
        );
        book.register(
            "refused",
            "Messages that the bus refused or that could not be read, by reason",
            self.refused.clone(),
        );
        book.register(
            "skipped_ticks",
            "Scheduled runs that were not started because the one before was not over",
            self.skipped_ticks.clone(),
        );
        book.register(
            "jobs_turned_away",
            "Jobs that were not worked at, by reason",
            self.jobs_turned_away.clone(),
        );
    }

    fn enter_definitions(&self, book: &mut Book) {
        book.register(
            "definition_problems",
            "Problems of the folder of source definitions; while there are any, the ones from before go on",
            self.definition_problems.clone(),
        );
        book.register(
            "definition_reads",
            "Times that the folder of source definitions had changed, by what came of it: taken or refused",
            self.definition_reads.clone(),
        );
    }

    /// Changed definitions were good.
    pub(crate) fn definitions_taken(&self) {
        self.definition_problems.set(0);
        self.definition_reads
            .get_or_create(&ReasonLabel { reason: "taken" })
            .inc();
    }

    /// Changed definitions were wrong in so many places.
    pub(crate) fn definitions_refused(&self, problems: usize) {
        self.definition_problems
            .set(i64::try_from(problems).unwrap_or(i64::MAX));
        self.definition_reads
            .get_or_create(&ReasonLabel { reason: "refused" })
            .inc();
    }

    /// There is this source. What alerts ask about begins at 0: Prometheus cannot see a count rise to 1 from nothing.
    pub(crate) fn knows(&self, source: &SourceKey) {
        drop(self.outcome(source, Outcome::Blocked));
        drop(self.end(source, "failed"));
    }

    /// The work of a run came to this.
    pub(crate) fn came_to(&self, source: &SourceKey, outcome: Outcome) {
        self.outcome(source, outcome).inc();
    }

    fn outcome(&self, source: &SourceKey, outcome: Outcome) -> impl Deref<Target = Counter> {
        self.outcomes.get_or_create(&OutcomeLabel {
            source: source.to_string(),
            outcome: match outcome {
                Outcome::Complete => "complete",
                Outcome::Partial => "partial",
                Outcome::Empty => "empty",
                Outcome::Blocked => "blocked",
                Outcome::Broken => "broken",
                Outcome::Unreachable => "unreachable",
            },
        })
    }

    /// JetStream acknowledged an event.
    pub(crate) fn published(&self, kind: &'static str, took: Duration, tries: u32) {
        let label = KindLabel { kind };
        self.publish.get_or_create(&label).observe(took.as_secs_f64());
        self.publish_retries.inc_by(u64::from(tries.saturating_sub(1)));
    }

    /// One more attempt ended.
    pub(crate) fn ended(&self, source: &SourceKey, end: &'static str) {
        self.end(source, end).inc();
    }

    fn end(&self, source: &SourceKey, end: &'static str) -> impl Deref<Target = Counter> {
        self.runs.get_or_create(&RunLabel {
            source: source.to_string(),
            end,
        })
    }

    /// One more message was refused.
    pub(crate) fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// One more job was turned away.
    pub(crate) fn turn_away(&self, reason: &'static str) {
        self.jobs_turned_away.get_or_create(&ReasonLabel { reason }).inc();
    }
}
