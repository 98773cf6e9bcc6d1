//! The streams of the bus, as pure data. `oddswire provision` creates them; services only check that they are there.

use crate::{Feed, Subjects};
use serde::Serialize;

/// What retention a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// Until a limit is reached.
    Limits,
    /// Until acknowledged.
    WorkQueue,
}

/// What a stream does when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Discard {
    /// Forgets the oldest.
    Old,
    /// Refuses the newest.
    New,
}

/// A stream. Every field that is not here has the server's default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the server's own independent switches"
)]
pub struct StreamSpec {
    /// Its name.
    pub name: String,
    /// One sentence for operators.
    pub description: String,
    /// What it stores; empty for a copy.
    pub subjects: Vec<String>,
    /// The stream whose messages it takes over, under sequences of its own.
    pub copy_of: Option<String>,
    /// Until when it keeps.
    pub retention: Retention,
    /// When full.
    pub discard: Discard,
    /// Whether "full" is also judged per subject.
    pub discard_new_per_subject: bool,
    /// Seconds that a message is kept; 0 is for ever.
    pub max_age_s: u64,
    /// Bytes.
    pub max_bytes: i64,
    /// Messages a subject; -1 is no limit.
    pub max_msgs_per_subject: i64,
    /// Bytes in one message.
    pub max_msg_bytes: i32,
    /// Seconds in which a message id counts once.
    pub duplicate_window_s: u64,
    /// Where committed messages come by live: from, to.
    pub republish: Option<(String, String)>,
    /// Whether every replica answers reads.
    pub allow_direct: bool,
    /// Whether a message may have a life of its own.
    pub allow_msg_ttl: bool,
    /// Whether several messages may be stored together or not at all.
    pub allow_batches: bool,
    /// Whether one message may replace all before it on its subject.
    pub allow_rollup: bool,
    /// Whether no message may be deleted.
    pub deny_delete: bool,
    /// Whether the stream may not be emptied.
    pub deny_purge: bool,
    /// Copies in a cluster.
    pub replicas: usize,
}

/// The durable consumer that hands out jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerSpec {
    /// Its stream.
    pub stream: String,
    /// Its name.
    pub name: String,
    /// Milliseconds without a sign of life after which a job goes to another worker.
    pub ack_wait_ms: u64,
    /// How often a job is handed out at most.
    pub max_deliver: i64,
}

/// How much the streams may hold, and how safe they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// RUNS, bytes.
    pub runs_bytes: i64,
    /// ODDS, bytes.
    pub odds_bytes: i64,
    /// HISTORY, bytes.
    pub history_bytes: i64,
    /// Copies in a cluster: 1 or 3.
    pub replicas: usize,
    /// Milliseconds without a sign of life after which a job goes to another worker.
    pub job_ack_wait_ms: u64,
}

impl Sizing {
    /// For one machine.
    pub const DEV: Self = Self {
        runs_bytes: 256 << 20,
        odds_bytes: 256 << 20,
        history_bytes: 256 << 20,
        replicas: 1,
        job_ack_wait_ms: 30_000,
    };
    /// For a cluster of three.
    pub const PRODUCTION: Self = Self {
        runs_bytes: 8 << 30,
        odds_bytes: 4 << 30,
        history_bytes: 8 << 30,
        replicas: 3,
        job_ack_wait_ms: 30_000,
    };
}

/// Days that run messages are kept.
pub const RUNS_DAYS: u64 = 7;
/// The durable consumer of JOBS.
pub const JOBS_CONSUMER: &str = "scrape";

/// Names of the streams under a prefix: plain ones under the default prefix, so that the docs' commands work as they
/// stand; `<prefix>_RUNS` and so on under any other, so that two deployments can share an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamNames {
    /// Run messages, a log.
    pub runs: String,
    /// The last image of each run: a copy of the log with one message a subject.
    ///
    /// A copy by sourcing, not a mirror: a mirror answers Direct Gets for its origin, whatever it is told, and this one
    /// would answer reads of the log with last images alone.
    pub runs_last: String,
    /// The last image of each odds key.
    pub odds: String,
    /// The odds of the last day, for charts.
    pub history: String,
    /// The queue of jobs.
    pub jobs: String,
    /// The key-value bucket of what scrapers record: sources, workers, what failed.
    pub control_bucket: String,
    /// The key-value bucket of what gateways record: wishes to cancel, tickets that were used.
    pub gateway_bucket: String,
}

/// The first words of the keys that gateways write; every other record is a scraper's. Each role has a bucket of its own,
/// so that nobody can fill the other's.
pub const GATEWAY_RECORDS: [&str; 2] = ["cancel", "ticket"];

impl StreamNames {
    /// The names under these subjects' prefix.
    pub fn of(subjects: &Subjects) -> Self {
        let name = |base: &str| {
            if subjects.prefix() == Subjects::DEFAULT_PREFIX {
                base.to_owned()
            } else {
                format!("{}_{base}", subjects.prefix())
            }
        };
        Self {
            runs: name("RUNS"),
            runs_last: name("RUNS_LAST"),
            odds: name("ODDS"),
            history: name("HISTORY"),
            jobs: name("JOBS"),
            control_bucket: name("CONTROL"),
            gateway_bucket: name("GATEWAY"),
        }
    }

    /// The stream of a feed.
    pub fn feed(&self, feed: Feed) -> &str {
        match feed {
            Feed::Run => &self.runs,
            Feed::Odds => &self.odds,
        }
    }

    /// The stream behind the bucket of the scrapers' records.
    pub fn control_stream(&self) -> String {
        format!("KV_{}", self.control_bucket)
    }

    /// The stream behind the bucket of the gateways' records.
    pub fn gateway_stream(&self) -> String {
        format!("KV_{}", self.gateway_bucket)
    }

    /// The stream of the record under `key`, or of the records whose keys begin with the word `key`.
    pub fn record_stream(&self, key: &str) -> String {
        format!("KV_{}", self.bucket_of(key))
    }

    /// The subject of the record under `key`.
    pub fn record_subject(&self, key: &str) -> String {
        format!("$KV.{}.{key}", self.bucket_of(key))
    }

    fn bucket_of(&self, key: &str) -> &str {
        let word = key.split('.').next().unwrap_or_default();
        if GATEWAY_RECORDS.contains(&word) {
            &self.gateway_bucket
        } else {
            &self.control_bucket
        }
    }
}

/// Every stream, in the order in which they must be created.
pub fn streams(subjects: &Subjects, sizing: &Sizing) -> Vec<StreamSpec> {
    let names = StreamNames::of(subjects);
    let base = StreamSpec {
        name: String::new(),
        description: String::new(),
        subjects: Vec::new(),
        copy_of: None,
        retention: Retention::Limits,
        discard: Discard::Old,
        discard_new_per_subject: false,
        max_age_s: 0,
        max_bytes: -1,
        max_msgs_per_subject: -1,
        max_msg_bytes: 80 * 1024, // 64 KiB of payload and its headers
        duplicate_window_s: 120,
        republish: None,
        allow_direct: true,
        allow_msg_ttl: false,
        allow_batches: false,
        allow_rollup: false,
        deny_delete: true,
        deny_purge: true,
        replicas: sizing.replicas,
    };
    let mut all = Vec::from(run_streams(subjects, &names, sizing, &base));
    all.extend(odds_streams(subjects, &names, sizing, &base));
    all.extend(control_streams(subjects, &names, &base));
    all
}

const DAY_S: u64 = 24 * 3600;

fn run_streams(
    subjects: &Subjects,
    names: &StreamNames,
    sizing: &Sizing,
    base: &StreamSpec,
) -> [StreamSpec; 2] {
    let runs = StreamSpec {
        name: names.runs.clone(),
        description: "Progress of runs: every message, in order".into(),
        subjects: vec![subjects.feed_all(Feed::Run)],
        max_age_s: RUNS_DAYS * DAY_S,
        max_bytes: sizing.runs_bytes,
        republish: Some((subjects.feed_all(Feed::Run), subjects.live_all(Feed::Run))),
        ..base.clone()
    };
    let runs_last = StreamSpec {
        name: names.runs_last.clone(),
        description: "The last image of each run".into(),
        copy_of: Some(names.runs.clone()),
        max_age_s: RUNS_DAYS * DAY_S,
        max_bytes: sizing.runs_bytes,
        max_msgs_per_subject: 1,
        deny_delete: false,
        deny_purge: false,
        ..base.clone()
    };
    [runs, runs_last]
}

fn odds_streams(
    subjects: &Subjects,
    names: &StreamNames,
    sizing: &Sizing,
    base: &StreamSpec,
) -> [StreamSpec; 2] {
    let odds = StreamSpec {
        name: names.odds.clone(),
        description: "The last image of each odds key".into(),
        subjects: vec![subjects.feed_all(Feed::Odds)],
        discard: Discard::New,
        max_bytes: sizing.odds_bytes,
        max_msgs_per_subject: 1,
        republish: Some((subjects.feed_all(Feed::Odds), subjects.live_all(Feed::Odds))),
        allow_msg_ttl: true,
        allow_batches: true,
        ..base.clone()
    };
    let history = StreamSpec {
        name: names.history.clone(),
        description: "The odds of the last day, for charts; nothing depends on it".into(),
        // Not what is republished: that carries what its publisher expected of ODDS, and a stream that stores it refuses
        // what does not fit its own sequences.
        copy_of: Some(names.odds.clone()),
        max_age_s: DAY_S,
        max_bytes: sizing.history_bytes,
        max_msgs_per_subject: 500,
        allow_msg_ttl: true,
        deny_delete: false,
        deny_purge: false,
        replicas: 1,
        ..base.clone()
    };
    [odds, history]
}

fn control_streams(subjects: &Subjects, names: &StreamNames, base: &StreamSpec) -> [StreamSpec; 3] {
    let jobs = StreamSpec {
        name: names.jobs.clone(),
        description: "Scrape jobs: the un-acknowledged one is its source's lock".into(),
        subjects: vec![subjects.job_all()],
        retention: Retention::WorkQueue,
        discard: Discard::New,
        discard_new_per_subject: true,
        max_bytes: 64 << 20,
        max_msgs_per_subject: 1,
        deny_delete: false,
        deny_purge: false,
        ..base.clone()
    };
    let control = StreamSpec {
        name: names.control_stream(),
        description: "Key-value bucket of the scrapers' records".into(),
        subjects: vec![format!("$KV.{}.>", names.control_bucket)],
        discard: Discard::New,
        max_bytes: 64 << 20,
        max_msgs_per_subject: 1,
        allow_msg_ttl: true,
        // Never rollups: with one a message on any subject of the bucket empties all of it.
        deny_purge: false,
        ..base.clone()
    };
    let gateway = StreamSpec {
        name: names.gateway_stream(),
        description: "Key-value bucket of the gateways' records".into(),
        subjects: vec![format!("$KV.{}.>", names.gateway_bucket)],
        max_bytes: 32 << 20,
        max_msg_bytes: 4 * 1024,
        ..control.clone()
    };
    [jobs, control, gateway]
}

/// The consumer of the jobs.
pub fn jobs_consumer(subjects: &Subjects, sizing: &Sizing) -> ConsumerSpec {
    ConsumerSpec {
        stream: StreamNames::of(subjects).jobs,
        name: JOBS_CONSUMER.into(),
        ack_wait_ms: sizing.job_ack_wait_ms,
        max_deliver: 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_forgets_in_the_middle_of_the_run_log() {
        let all = streams(&Subjects::default(), &Sizing::DEV);
        let runs = all.iter().find(|s| s.name == "RUNS").unwrap();
        assert_eq!(runs.max_msgs_per_subject, -1);
        assert_eq!(runs.discard, Discard::Old);
    }

    #[test]
    fn a_full_odds_stream_refuses_instead_of_forgetting_a_last_value() {
        let all = streams(&Subjects::default(), &Sizing::PRODUCTION);
        let odds = all.iter().find(|s| s.name == "ODDS").unwrap();
        assert_eq!(
            (odds.discard, odds.max_msgs_per_subject, odds.replicas),
            (Discard::New, 1, 3)
        );
    }

    #[test]
    fn another_prefix_has_other_names() {
        let names = StreamNames::of(&Subjects::new("blue").unwrap());
        assert_eq!(
            (names.runs.as_str(), names.control_stream().as_str()),
            ("blue_RUNS", "KV_blue_CONTROL")
        );
    }

    #[test]
    fn gateways_and_scrapers_write_to_buckets_of_their_own_that_no_message_empties() {
        let names = StreamNames::of(&Subjects::default());
        for (key, stream) in [
            ("cancel.r1", "KV_GATEWAY"),
            ("ticket", "KV_GATEWAY"),
            ("worker.w1", "KV_CONTROL"),
            ("cancelled.r1", "KV_CONTROL"),
        ] {
            assert_eq!(names.record_stream(key), stream, "{key}");
        }
        assert_eq!(names.record_subject("ticket.x"), "$KV.GATEWAY.ticket.x");
        let all = streams(&Subjects::default(), &Sizing::DEV);
        assert!(all.iter().all(|spec| !spec.allow_rollup));
    }
}
