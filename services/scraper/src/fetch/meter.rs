//! What asking sites comes to in numbers, by source.

use super::{Error, Site};
use oddswire_kit::metrics::{Book, FloatGauge, LabelNames};
use oddswire_protocol::SourceKey;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySource {
    source: String,
}

impl LabelNames for BySource {
    const NAMES: &'static [&'static str] = &["source"];
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    source: String,
    outcome: &'static str,
}

impl LabelNames for ByOutcome {
    const NAMES: &'static [&'static str] = &["source", "outcome"];
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByClass {
    source: String,
    class: &'static str,
}

impl LabelNames for ByClass {
    const NAMES: &'static [&'static str] = &["source", "class"];
}

/// The numbers of all sources. Clones count together. No label holds a URL, so that there are as many series as
/// sources, times what can become of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct FetchMetrics {
    requests: Family<ByOutcome, Counter>,
    retries: Family<ByClass, Counter>,
    unchanged: Family<BySource, Counter>,
    bytes: Family<BySource, Counter>,
    robots_refusals: Family<BySource, Counter>,
    breaker: Family<BySource, Gauge>,
    delay: Family<BySource, FloatGauge>,
}

impl FetchMetrics {
    /// Enters the numbers into `book`.
    pub(crate) fn enter(&self, book: &mut Book) {
        book.register(
            "fetch_requests",
            "Requests to sites, by what came of them; each redirect and each retry is one",
            self.requests.clone(),
        );
        book.register(
            "fetch_retries",
            "Requests that were sent again, by why the one before failed",
            self.retries.clone(),
        );
        book.register(
            "fetch_unchanged",
            "Pages that the site called unchanged (304), so that they were not sent again",
            self.unchanged.clone(),
        );
        book.register(
            "fetch_body_bytes",
            "Bytes of pages that came, after decompression",
            self.bytes.clone(),
        );
        book.register(
            "fetch_robots_refusals",
            "Pages that were not asked for because robots.txt forbids them or could not be had",
            self.robots_refusals.clone(),
        );
        book.register(
            "fetch_breaker",
            "Whether the host is left alone, as this source found it last: 0 no, 1 a single request tries it, 2 yes",
            self.breaker.clone(),
        );
        book.register(
            "fetch_delay_seconds",
            "The pause between two requests to the host, as this source found it last",
            self.delay.clone(),
        );
    }

    /// The numbers of one source.
    pub(super) fn of(&self, source: &SourceKey) -> Meter {
        Meter {
            metrics: self.clone(),
            source: source.to_string(),
        }
    }

    /// Takes back what is true of a source now, for it is no more. What was counted stays.
    pub(super) fn forget(&self, source: &SourceKey) {
        let label = BySource {
            source: source.to_string(),
        };
        self.breaker.remove(&label);
        self.delay.remove(&label);
    }
}

/// The numbers of one source.
#[derive(Debug)]
pub(super) struct Meter {
    metrics: FetchMetrics,
    source: String,
}

impl Meter {
    /// One request, and what came of it.
    pub(super) fn request(&self, outcome: &'static str) {
        let label = ByOutcome {
            source: self.source.clone(),
            outcome,
        };
        self.metrics.requests.get_or_create(&label).inc();
    }

    /// A request that is sent again after this error.
    pub(super) fn retry(&self, error: &Error) {
        let label = ByClass {
            source: self.source.clone(),
            class: error.class(),
        };
        self.metrics.retries.get_or_create(&label).inc();
    }

    /// A page that was called unchanged.
    pub(super) fn unchanged(&self) {
        self.metrics.unchanged.get_or_create(&self.label()).inc();
    }

    /// A body that came.
    pub(super) fn body(&self, bytes: usize) {
        self.metrics
            .bytes
            .get_or_create(&self.label())
            .inc_by(bytes as u64);
    }

    /// A page that robots.txt keeps us from.
    pub(super) fn robots_refusal(&self) {
        self.metrics.robots_refusals.get_or_create(&self.label()).inc();
    }

    /// How the host is treated now.
    pub(super) fn host(&self, breaker: i64, delay: Duration) {
        self.metrics.breaker.get_or_create(&self.label()).set(breaker);
        let seconds = delay.as_secs_f64();
        self.metrics.delay.get_or_create(&self.label()).set(seconds);
    }

    fn label(&self) -> BySource {
        BySource {
            source: self.source.clone(),
        }
    }
}

impl Site {
    /// Shows how the host is treated now.
    pub(super) fn show_host(&self) {
        self.meter.host(self.host.breaker_state(), self.host.delay());
    }
}
