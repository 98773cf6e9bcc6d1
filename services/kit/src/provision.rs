//! Creating the streams, and telling where they differ from what they should be.

use crate::{bus::Bus, log::ReadError, queue::QueueState};
use async_nats::jetstream::{
    consumer::{AckPolicy, pull},
    stream::{Config, DiscardPolicy, Republish, RetentionPolicy, Source, StorageType},
};
use oddswire_protocol::stream::{ConsumerSpec, Discard, Retention, StreamSpec};
use std::{fmt, time::Duration};

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
    /// Whether the change would lose messages or cannot be made in place.
    pub loses: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(name) => write!(f, "{name}: created"),
            Self::Same(name) => write!(f, "{name}: as it should be"),
            Self::Differs { name, differences } => {
                write!(f, "{name}: differs")?;
                differences.iter().try_for_each(|d| {
                    let note = if d.loses {
                        " (would lose messages: change it by hand)"
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

/// Why provisioning failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus does not answer.
    #[error("NATS does not answer: {0}")]
    Unreachable(ReadError),
    /// The server refused.
    #[error("{name}: {reason}")]
    Refused {
        /// What.
        name: String,
        /// Why.
        reason: String,
    },
}

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
    let context = bus.jetstream();
    let mut findings = Vec::new();
    for spec in streams {
        let refused = |reason: String| Error::Refused {
            name: spec.name.clone(),
            reason,
        };
        match bus.stream_state(&spec.name).await {
            Ok(_) => {}
            Err(ReadError::NoStream) => {
                context
                    .create_stream(config(spec))
                    .await
                    .map_err(|e| refused(e.to_string()))?;
                findings.push(Finding::Created(spec.name.clone()));
                continue;
            }
            Err(error) => return Err(Error::Unreachable(error)),
        }
        let mut stream = context
            .get_stream(&spec.name)
            .await
            .map_err(|e| refused(e.to_string()))?;
        let found = stream
            .info()
            .await
            .map_err(|e| refused(e.to_string()))?
            .config
            .clone();
        let differences = compare(&found, &config(spec));
        findings.push(if differences.is_empty() {
            Finding::Same(spec.name.clone())
        } else if apply && !differences.iter().any(|d| d.loses) {
            context
                .update_stream(config(spec))
                .await
                .map_err(|e| refused(e.to_string()))?;
            Finding::Changed {
                name: spec.name.clone(),
                differences,
            }
        } else {
            Finding::Differs {
                name: spec.name.clone(),
                differences,
            }
        });
    }
    findings.push(provision_consumer(bus, consumer, apply).await?);
    Ok(findings)
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
            loses: false,
        })
        .collect()
}

fn config(spec: &StreamSpec) -> Config {
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
        ..Config::default()
    }
}

/// When bringing a setting to its wanted value loses messages or cannot be done in place.
enum Loses {
    Never,
    Always,
    /// When this limit gets lower; 0 or less is no limit.
    Lower(fn(&Config) -> i64),
}

type Setting = (&'static str, fn(&Config) -> String, Loses);

/// Every setting that is compared.
const SETTINGS: &[Setting] = &[
    ("subjects", |c| format!("{:?}", c.subjects), Loses::Always),
    ("sources", |c| format!("{:?}", source_names(c)), Loses::Always),
    ("retention", |c| format!("{:?}", c.retention), Loses::Always),
    ("storage", |c| format!("{:?}", c.storage), Loses::Always),
    ("deny delete", |c| c.deny_delete.to_string(), Loses::Always),
    ("deny purge", |c| c.deny_purge.to_string(), Loses::Always),
    (
        "max age",
        |c| format!("{:?}", c.max_age),
        Loses::Lower(|c| seconds(c.max_age)),
    ),
    (
        "max bytes",
        |c| c.max_bytes.to_string(),
        Loses::Lower(|c| c.max_bytes),
    ),
    (
        "max messages per subject",
        |c| c.max_messages_per_subject.to_string(),
        Loses::Lower(|c| c.max_messages_per_subject),
    ),
    (
        "max message size",
        |c| c.max_message_size.to_string(),
        Loses::Never,
    ),
    ("discard", |c| format!("{:?}", c.discard), Loses::Never),
    (
        "discard new per subject",
        |c| c.discard_new_per_subject.to_string(),
        Loses::Never,
    ),
    (
        "duplicate window",
        |c| format!("{:?}", c.duplicate_window),
        Loses::Never,
    ),
    (
        "republish",
        |c| format!("{:?}", c.republish.as_ref().map(|r| (&r.source, &r.destination))),
        Loses::Never,
    ),
    ("direct reads", |c| c.allow_direct.to_string(), Loses::Never),
    ("message TTL", |c| c.allow_message_ttl.to_string(), Loses::Never),
    ("batches", |c| c.allow_atomic_publish.to_string(), Loses::Never),
    ("rollup", |c| c.allow_rollup.to_string(), Loses::Never),
    ("replicas", |c| c.num_replicas.to_string(), Loses::Never),
];

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
    let differs = |(setting, read, loses): &Setting| {
        let (is, should_be) = (read(found), read(wanted));
        let loses = match loses {
            Loses::Never => false,
            Loses::Always => true,
            Loses::Lower(limit) => limit(wanted) > 0 && (limit(found) <= 0 || limit(wanted) < limit(found)),
        };
        (is != should_be).then_some(Difference {
            setting,
            found: is,
            wanted: should_be,
            loses,
        })
    };
    SETTINGS.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests;
