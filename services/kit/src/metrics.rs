//! Metrics that are documented by being registered: name, help, unit and labels of each, known without one being
//! counted.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType, TypedMetric,
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::{Atomic, Gauge},
        histogram::Histogram,
    },
    registry::{Metric, Registry},
};
use std::{
    fmt::{Debug, Write},
    hash::Hash,
    sync::atomic::AtomicU64,
};

/// The names of a label set's labels, as its encoding writes them.
pub trait LabelNames: EncodeLabelSet {
    /// In the order of the encoding.
    const NAMES: &'static [&'static str];
}

/// A metric that tells which labels it has.
pub trait Labelled: Metric {
    /// Their names; none for a single number.
    const LABELS: &'static [&'static str];
}

impl Labelled for Counter {
    const LABELS: &'static [&'static str] = &[];
}

impl<N, A> Labelled for Gauge<N, A>
where
    Gauge<N, A>: Metric,
    A: Atomic<N>,
{
    const LABELS: &'static [&'static str] = &[];
}

impl Labelled for Histogram {
    const LABELS: &'static [&'static str] = &[];
}

impl<S, M, C> Labelled for Family<S, M, C>
where
    S: LabelNames + Clone + Hash + Eq + Debug + Send + Sync + 'static,
    M: EncodeMetric + TypedMetric + Debug + Send + Sync + 'static,
    C: MetricConstructor<M> + Debug + Send + Sync + 'static,
{
    const LABELS: &'static [&'static str] = S::NAMES;
}

/// A gauge of seconds, or of anything else that is no whole number.
pub type FloatGauge = Gauge<f64, AtomicU64>;

/// What is known of a metric before it counts anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As Prometheus knows it, a counter's `_total` included; a histogram's without `_bucket`, `_sum` and `_count`.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// What it tells, in one sentence.
    pub help: String,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

impl Entry {
    /// `seconds` or `bytes` where its name says so, else `count`.
    pub fn unit(&self) -> &'static str {
        let name = self.name.trim_end_matches("_total");
        ["seconds", "bytes"]
            .into_iter()
            .find(|unit| name.ends_with(unit))
            .unwrap_or("count")
    }
}

/// A registry, and the entries of what is in it.
#[derive(Debug)]
pub struct Book {
    prefix: &'static str,
    registry: Registry,
    entries: Vec<Entry>,
}

impl Book {
    /// An empty one, whose metrics all begin with `prefix` and a `_`.
    pub fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            registry: Registry::with_prefix(prefix),
            entries: Vec::new(),
        }
    }

    /// Enters a metric. `name` is without prefix and without a counter's `_total`.
    pub fn register<M: Labelled>(&mut self, name: &str, help: &str, metric: M) {
        let (kind, suffix) = match EncodeMetric::metric_type(&metric) {
            MetricType::Counter => ("counter", "_total"),
            MetricType::Gauge => ("gauge", ""),
            MetricType::Histogram => ("histogram", ""),
            _ => ("unknown", ""),
        };
        self.entries.push(Entry {
            name: format!("{}_{name}{suffix}", self.prefix),
            kind,
            help: help.to_owned(),
            labels: M::LABELS,
        });
        self.registry.register(name, help, metric);
    }

    /// What is in it, in the order of entry.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The registry that a service shows.
    pub fn into_registry(self) -> Registry {
        self.registry
    }
}

/// What a text of metrics shows that the entries do not say: names and labels, each once. Of the prefix of the entries
/// alone.
pub fn undocumented(entries: &[Entry], text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
        let entry = entries.iter().find(|entry| {
            let rest = name.strip_prefix(entry.name.as_str());
            match entry.kind {
                "histogram" => rest.is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest)),
                _ => rest == Some(""),
            }
        });
        let Some(entry) = entry else {
            found.push(name.to_owned());
            continue;
        };
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        for label in labels.map_or("", |(labels, _)| labels).split("\",") {
            let label = label.split('=').next().unwrap_or_default();
            if !label.is_empty() && label != "le" && !entry.labels.contains(&label) {
                found.push(format!("{name}{{{label}}}"));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The entries as rows of a table for people, in Markdown.
pub fn table(entries: &[Entry]) -> String {
    let mut text = String::from("| metric | kind | unit | labels | what it tells |\n|---|---|---|---|---|\n");
    for entry in entries {
        let labels = if entry.labels.is_empty() {
            "none".to_owned()
        } else {
            let labels: Vec<String> = entry.labels.iter().map(|label| format!("`{label}`")).collect();
            labels.join(", ")
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {labels} | {} |",
            entry.name,
            entry.kind,
            entry.unit(),
            entry.help
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Colour {
        colour: &'static str,
    }

    impl LabelNames for Colour {
        const NAMES: &'static [&'static str] = &["colour"];
    }

    #[test]
    fn what_is_shown_is_what_was_entered() {
        let mut book = Book::new("shop");
        let (sold, late) = (Family::<Colour, Counter>::default(), Histogram::new([1.0]));
        book.register("sold", "Balls sold", sold.clone());
        book.register("wait_seconds", "How long people waited", late.clone());
        sold.get_or_create(&Colour { colour: "red" }).inc();
        late.observe(0.5);
        let entries = book.entries().to_vec();
        assert_eq!(
            (entries[0].name.as_str(), entries[0].unit()),
            ("shop_sold_total", "count")
        );
        assert_eq!((entries[1].kind, entries[1].unit()), ("histogram", "seconds"));
        let mut text = String::new();
        encode(&mut text, &book.into_registry()).unwrap();
        assert!(text.contains("shop_sold_total{colour=\"red\"} 1"), "{text}");
        assert_eq!(undocumented(&entries, &text), Vec::<String>::new());
        let unlabelled = [Entry {
            labels: &[],
            ..entries[0].clone()
        }];
        assert_eq!(
            undocumented(
                &unlabelled,
                "shop_sold_total{colour=\"red\"} 1\nshop_bought_total 1\n"
            ),
            ["shop_bought_total", "shop_sold_total{colour}"]
        );
    }
}
