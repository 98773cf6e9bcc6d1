//! Creating the streams, and telling where they differ from what they should be.

mod error;

pub use error::Error;

use crate::{
    bus::{Bus, REQUEST_TIMEOUT},
    log::ReadError,
    queue::QueueState,
};
use async_nats::jetstream::{
    consumer::{AckPolicy, pull},
    stream::{Config, DiscardPolicy, Republish, RetentionPolicy, Source, StorageType},
};
use oddswire_protocol::stream::{ConsumerSpec, Discard, Retention, StreamSpec};
use std::{fmt, time::Duration};
use tokio::time::{Instant, sleep};

/// What provisioning found or did for one stream or consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It was not there, and is now.
    Created(String),
    /// It is as it should be.
    Same(String),
    /// It differs, and stays as it is: `apply` was not asked for, or the change would lose something.
    Differs {
        /// The stream.
        name: String,
        /// How.
        differences: Vec<Difference>,
    },
    /// It differed, and is now as it should be.
    Changed {
        /// The stream.
        name: String,
        /// How it differed.
        differences: Vec<Difference>,
    },
}

/// One setting that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub setting: &'static str,
    /// What it is.
    pub found: String,
    /// What it should be.
    pub wanted: String,
    /// Whether `--apply` leaves it: the change would lose messages or copies of them, or cannot be made in place.
    pub stays: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(name) => write!(f, "{name}: created"),
            Self::Same(name) => write!(f, "{name}: as it should be"),
            Self::Differs { name, differences } => {
                write!(f, "{name}: differs")?;
                differences.iter().try_for_each(|d| {
                    let note = if d.stays {
                        " (not by --apply: it would lose messages or copies, or cannot be done in place)"
                    } else {
                        " (--apply changes it)"
                    };
                    write!(
                        f,
                        "\n  {}: is {}, should be {}{note}",
                        d.setting, d.found, d.wanted
                    )
                })
            }
            Self::Changed { name, differences } => {
                write!(f, "{name}: changed")?;
                differences
                    .iter()
                    .try_for_each(|d| write!(f, "\n  {}: was {}, is {}", d.setting, d.found, d.wanted))
            }
        }
    }
}

/// Elections take a few seconds.
const ELECTED_WITHIN: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(100);

/// Makes streams and the consumer as they should be. What is missing is created; what differs is shown, and changed
/// when `apply` and the change loses nothing.
///
/// # Errors
/// [`Error`]; what was done before stays done, and doing it again is harmless.
pub async fn provision(
    bus: &Bus,
    streams: &[StreamSpec],
    consumer: &ConsumerSpec,
    apply: bool,
) -> Result<Vec<Finding>, Error> {
    check_server(bus).await?;
    let mut findings = Vec::new();
    for (at, spec) in streams.iter().enumerate() {
        match provision_stream(bus, spec, apply).await {
            Ok(finding) => findings.push(finding),
            Err(error) => return Err(error.with_room(streams, at)),
        }
    }
    findings.push(provision_consumer(bus, consumer, apply).await?);
    Ok(findings)
}

/// Which server it is stands in its first word.
async fn check_server(bus: &Bus) -> Result<(), Error> {
    let give_up = Instant::now() + REQUEST_TIMEOUT;
    while !bus.is_connected() && Instant::now() < give_up {
        sleep(AGAIN).await;
    }
    bus.check_server().map_err(Error::Server)
}

/// Good when the server took a stream as it was asked to: one that does not know a setting leaves it out and says nothing.
fn taken(bus: &Bus, spec: &StreamSpec, is: &Config) -> Result<(), Error> {
    let left_out = compare(is, &config(spec, is.clone()));
    if left_out.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = left_out
        .iter()
        .map(|d| format!("{}: {} (it is {})", d.setting, d.wanted, d.found))
        .collect();
    Err(Error::LeftOut {
        name: spec.name.clone(),
        server: bus.server_version(),
        left_out: told.join(", "),
    })
}

async fn provision_stream(bus: &Bus, spec: &StreamSpec, apply: bool) -> Result<Finding, Error> {
    let context = bus.jetstream();
    let name = spec.name.clone();
    let Some(found) = found(bus, &name).await? else {
        let made = context
            .create_stream(config(spec, Config::default()))
            .await
            .map_err(|e| Error::of_stream(&name, &e))?;
        taken(bus, spec, &made.cached_info().config)?;
        return Ok(Finding::Created(name));
    };
    let wanted = config(spec, found.clone());
    let differences = compare(&found, &wanted);
    Ok(if differences.is_empty() {
        Finding::Same(name)
    } else if apply && !differences.iter().any(|d| d.stays) {
        let changed = context
            .update_stream(wanted)
            .await
            .map_err(|e| Error::of_stream(&name, &e))?;
        taken(bus, spec, &changed.config)?;
        Finding::Changed { name, differences }
    } else {
        Finding::Differs { name, differences }
    })
}

/// How a stream is configured; `None` when it is not there.
async fn found(bus: &Bus, name: &str) -> Result<Option<Config>, Error> {
    let give_up = Instant::now() + ELECTED_WITHIN;
    loop {
        match bus.stream_state(name).await {
            Ok(_) => break,
            Err(ReadError::NoStream) => return Ok(None),
            // One that was just made, or whose copies were just changed, elects first.
            Err(ReadError::NoLeader) if Instant::now() < give_up => sleep(AGAIN).await,
            Err(error) => return Err(Error::Unreachable(error)),
        }
    }
    let stream = bus
        .jetstream()
        .get_stream(name)
        .await
        .map_err(|e| Error::Refused {
            name: name.to_owned(),
            reason: e.to_string(),
        })?;
    Ok(Some(stream.cached_info().config.clone()))
}

/// How those of the streams that are there differ from what this program expects, sizes apart: for services, which change
/// nothing, and are told by nobody how large the streams are to be.
///
/// # Errors
/// [`Error`].
pub async fn strange(bus: &Bus, streams: &[StreamSpec]) -> Result<Vec<(String, Difference)>, Error> {
    let mut all = Vec::new();
    for spec in streams {
        let Some(found) = found(bus, &spec.name).await? else {
            continue;
        };
        let differences = compare(&found, &config(spec, found.clone()));
        let differences = differences.into_iter().filter(|d| !SIZES.contains(&d.setting));
        all.extend(differences.map(|d| (spec.name.clone(), d)));
    }
    Ok(all)
}

async fn provision_consumer(bus: &Bus, spec: &ConsumerSpec, apply: bool) -> Result<Finding, Error> {
    let name = format!("{}/{}", spec.stream, spec.name);
    let refused = |reason: String| Error::Refused {
        name: name.clone(),
        reason,
    };
    let found = bus
        .queue_state(&spec.stream, &spec.name)
        .await
        .map_err(Error::Unreachable)?;
    let differences = found.map(|found| compare_consumer(&found, spec));
    match &differences {
        Some(none) if none.is_empty() => return Ok(Finding::Same(name)),
        Some(differences) if !apply => {
            let differences = differences.clone();
            return Ok(Finding::Differs { name, differences });
        }
        _ => {}
    }
    let wanted = pull::Config {
        durable_name: Some(spec.name.clone()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_millis(spec.ack_wait_ms),
        max_deliver: spec.max_deliver,
        ..pull::Config::default()
    };
    bus.jetstream()
        .create_consumer_on_stream(wanted, &spec.stream)
        .await
        .map_err(|e| refused(e.to_string()))?;
    Ok(match differences {
        None => Finding::Created(name),
        Some(differences) => Finding::Changed { name, differences },
    })
}

/// A consumer holds no messages: bringing it up to date loses nothing.
fn compare_consumer(found: &QueueState, spec: &ConsumerSpec) -> Vec<Difference> {
    let wait = Duration::from_millis(spec.ack_wait_ms);
    let settings = [
        ("ack wait", format!("{:?}", found.ack_wait), format!("{wait:?}")),
        (
            "max deliver",
            found.max_deliver.to_string(),
            spec.max_deliver.to_string(),
        ),
    ];
    let differ = settings.into_iter().filter(|(_, is, should_be)| is != should_be);
    differ
        .map(|(setting, found, wanted)| Difference {
            setting,
            found,
            wanted,
            stays: false,
        })
        .collect()
}

/// The specification over a base, whose further settings stay: an operator may have placed or compressed a stream.
fn config(spec: &StreamSpec, base: Config) -> Config {
    Config {
        name: spec.name.clone(),
        description: Some(spec.description.clone()),
        subjects: spec.subjects.clone(),
        sources: spec.copy_of.clone().map(|name| {
            vec![Source {
                name,
                ..Source::default()
            }]
        }),
        retention: match spec.retention {
            Retention::Limits => RetentionPolicy::Limits,
            Retention::WorkQueue => RetentionPolicy::WorkQueue,
        },
        discard: match spec.discard {
            Discard::Old => DiscardPolicy::Old,
            Discard::New => DiscardPolicy::New,
        },
        discard_new_per_subject: spec.discard_new_per_subject,
        storage: StorageType::File,
        max_age: Duration::from_secs(spec.max_age_s),
        max_bytes: spec.max_bytes,
        max_messages: -1,
        max_messages_per_subject: spec.max_msgs_per_subject,
        max_message_size: spec.max_msg_bytes,
        max_consumers: -1,
        duplicate_window: Duration::from_secs(spec.duplicate_window_s),
        republish: spec.republish.clone().map(|(source, destination)| Republish {
            source,
            destination,
            headers_only: false,
        }),
        allow_direct: spec.allow_direct,
        allow_message_ttl: spec.allow_msg_ttl,
        allow_atomic_publish: spec.allow_batches,
        allow_rollup: spec.allow_rollup,
        deny_delete: spec.deny_delete,
        deny_purge: spec.deny_purge,
        num_replicas: spec.replicas,
        ..base
    }
}

/// When a setting cannot be brought to its wanted value in place, or not without losing messages or copies of them.
#[derive(Clone, Copy)]
enum Stays {
    Never,
    Always,
    /// When this limit gets lower; 0 or less is no limit.
    Lower(fn(&Config) -> i64),
    /// When this switch, which is on, is to be off.
    On(fn(&Config) -> bool),
    /// When something that is stored now is not stored any more.
    FewerSubjects,
}

impl Stays {
    fn applies(self, found: &Config, wanted: &Config) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Lower(limit) => limit(wanted) > 0 && (limit(found) <= 0 || limit(wanted) < limit(found)),
            Self::On(switch) => switch(found),
            Self::FewerSubjects => !found.subjects.iter().all(|s| wanted.subjects.contains(s)),
        }
    }
}

type Setting = (&'static str, fn(&Config) -> String, Stays);

/// Every setting that is compared.
const SETTINGS: &[Setting] = &[
    ("subjects", |c| format!("{:?}", c.subjects), Stays::FewerSubjects),
    ("sources", |c| format!("{:?}", source_names(c)), Stays::Always),
    ("retention", |c| format!("{:?}", c.retention), Stays::Always),
    ("storage", |c| format!("{:?}", c.storage), Stays::Always),
    (
        "deny delete",
        |c| c.deny_delete.to_string(),
        Stays::On(|c| c.deny_delete),
    ),
    (
        "deny purge",
        |c| c.deny_purge.to_string(),
        Stays::On(|c| c.deny_purge),
    ),
    (
        "max age",
        |c| format!("{:?}", c.max_age),
        Stays::Lower(|c| seconds(c.max_age)),
    ),
    (
        MAX_BYTES,
        |c| c.max_bytes.to_string(),
        Stays::Lower(|c| c.max_bytes),
    ),
    (
        "max messages per subject",
        |c| c.max_messages_per_subject.to_string(),
        Stays::Lower(|c| c.max_messages_per_subject),
    ),
    (
        "max message size",
        |c| c.max_message_size.to_string(),
        Stays::Never,
    ),
    ("discard", |c| format!("{:?}", c.discard), Stays::Never),
    (
        "discard new per subject",
        |c| c.discard_new_per_subject.to_string(),
        Stays::Never,
    ),
    (
        "duplicate window",
        |c| format!("{:?}", c.duplicate_window),
        Stays::Never,
    ),
    (
        "republish",
        |c| format!("{:?}", c.republish.as_ref().map(|r| (&r.source, &r.destination))),
        Stays::Never,
    ),
    ("direct reads", |c| c.allow_direct.to_string(), Stays::Never),
    (
        "message TTL",
        |c| c.allow_message_ttl.to_string(),
        Stays::On(|c| c.allow_message_ttl),
    ),
    ("batches", |c| c.allow_atomic_publish.to_string(), Stays::Never),
    ("rollup", |c| c.allow_rollup.to_string(), Stays::Never),
    (
        REPLICAS,
        |c| c.num_replicas.to_string(),
        Stays::Lower(|c| i64::try_from(c.num_replicas).unwrap_or(i64::MAX)),
    ),
];

const MAX_BYTES: &str = "max bytes";
const REPLICAS: &str = "replicas";
/// What the operator chooses by `--sizing`, and services do not know.
const SIZES: [&str; 2] = [MAX_BYTES, REPLICAS];

fn source_names(config: &Config) -> Vec<&str> {
    config
        .sources
        .iter()
        .flatten()
        .map(|source| source.name.as_str())
        .collect()
}

fn seconds(age: Duration) -> i64 {
    i64::try_from(age.as_secs()).unwrap_or(i64::MAX)
}

fn compare(found: &Config, wanted: &Config) -> Vec<Difference> {
    let differs = |(setting, read, stays): &Setting| {
        let (is, should_be) = (read(found), read(wanted));
        (is != should_be).then_some(Difference {
            setting,
            found: is,
            wanted: should_be,
            stays: stays.applies(found, wanted),
        })
    };
    SETTINGS.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests;
