//! Every field of the descriptors, changed one at a time on a real server: what is shown, what `--apply` mends, what it
//! leaves, and what services notice when they start.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that is not as it should be"
)]

#[path = "provision/rows.rs"]
mod rows;

use oddswire_kit::{
    bus::{Bus, BusOptions},
    log::{ReadError, StreamState},
    nats_server::{NatsCluster, NatsServer},
    provision::{Difference, Error, Finding, provision, strange},
    publish::Publication,
    tls,
};
use oddswire_protocol::{
    Subjects,
    stream::{ConsumerSpec, Discard, Retention, Sizing, StreamSpec, jobs_consumer, streams},
};
use rows::{
    Outcome::{Mended, New, Refused, Stays, Unseen},
    ROWS, ROWS_OF_THREE, Row, fields,
};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A stream that says as little as possible.
fn base(number: usize) -> StreamSpec {
    StreamSpec {
        name: format!("ROW{number}"),
        description: "as it should be".into(),
        subjects: vec![format!("row{number}.>")],
        copy_of: None,
        retention: Retention::Limits,
        discard: Discard::Old,
        discard_new_per_subject: false,
        max_age_s: 0,
        max_bytes: -1,
        max_msgs_per_subject: -1,
        max_msg_bytes: 80 * 1024,
        duplicate_window_s: 120,
        republish: None,
        allow_direct: true,
        allow_msg_ttl: false,
        allow_batches: false,
        allow_rollup: false,
        deny_delete: false,
        deny_purge: false,
        replicas: 1,
    }
}

struct Bench {
    bus: Bus,
    consumer: ConsumerSpec,
}

impl Bench {
    /// The product's own streams first: the consumer belongs to one.
    async fn new(url: &str) -> Self {
        tls::install_provider();
        let bus = Bus::connect(&BusOptions::at(url), "test", "test").await.unwrap();
        let consumer = jobs_consumer(&Subjects::default(), &Sizing::DEV);
        let specs = streams(&Subjects::default(), &Sizing::DEV);
        let created = async {
            // The nodes of a cluster may still be electing.
            while provision(&bus, &specs, &consumer, true).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(30), created).await.unwrap();
        Self { bus, consumer }
    }

    async fn provision(&self, spec: &StreamSpec, apply: bool) -> Result<Finding, Error> {
        let findings = provision(&self.bus, std::slice::from_ref(spec), &self.consumer, apply).await?;
        assert_eq!(findings.len(), 2, "the stream, and the consumer as it was");
        Ok(findings[0].clone())
    }

    async fn publish(&self, spec: &StreamSpec, messages: usize) {
        for number in 0..messages {
            let subject = format!("{}.{number}", spec.name.to_lowercase());
            let message = Publication::new(subject, format!("{}:{number}", spec.name), "{}".into());
            self.bus
                .publish(&message, &CancellationToken::new())
                .await
                .unwrap();
        }
    }

    /// What a stream holds. While its nodes elect nobody knows.
    async fn state(&self, spec: &StreamSpec) -> StreamState {
        let known = async {
            loop {
                match self.bus.stream_state(&spec.name).await {
                    Err(ReadError::NoLeader) => sleep(Duration::from_millis(50)).await,
                    // More copies are another leader, perhaps.
                    other => {
                        return StreamState {
                            term: 0,
                            ..other.unwrap()
                        };
                    }
                }
            }
        };
        timeout(Duration::from_secs(30), known).await.unwrap()
    }

    async fn row(&self, number: usize, (field, found, wanted, outcome): &Row) {
        let (mut is, mut should_be) = (base(number), base(number));
        found(&mut is);
        wanted(&mut should_be);
        let what = format!("{field}, row {number}: {outcome:?}");
        assert_eq!(
            self.provision(&is, false).await.unwrap(),
            Finding::Created(is.name.clone())
        );
        let stores = is.copy_of.is_none() && *outcome != New;
        self.publish(&is, if stores { 3 } else { 0 }).await;
        let before = self.state(&is).await;

        let shown = self.provision(&should_be, false).await.unwrap();
        let noticed = strange(&self.bus, std::slice::from_ref(&should_be))
            .await
            .unwrap();
        match outcome {
            New => {
                assert_eq!(shown, Finding::Created(should_be.name.clone()), "{what}");
                return;
            }
            Unseen => {
                assert_eq!(shown, Finding::Same(is.name.clone()), "{what}");
                return;
            }
            Mended(setting) | Stays(setting) | Refused(setting) => {
                let stays = matches!(outcome, Stays(_));
                let difference = only(&shown, &what);
                assert_eq!(
                    (difference.setting, difference.stays),
                    (*setting, stays),
                    "{what}"
                );
                let text = shown.to_string();
                let advice = if stays {
                    "(not by --apply"
                } else {
                    "(--apply changes it)"
                };
                assert!(text.contains(setting) && text.contains(advice), "{what}: {text}");
                // How large and how often it is kept is the operator's.
                let named: Vec<_> = noticed.iter().map(|(_, d)| d.setting).collect();
                let sizes = ["max bytes", "replicas"].contains(setting);
                assert_eq!(named, if sizes { vec![] } else { vec![*setting] }, "{what}");
            }
        }

        let applied = self.provision(&should_be, true).await;
        let after = self.provision(&should_be, false).await.unwrap();
        match outcome {
            Refused(_) => {
                let said = applied.unwrap_err().to_string();
                assert!(said.starts_with(&is.name), "{what}: {said}");
                assert_eq!(after, shown, "{what}");
            }
            Stays(_) => assert_eq!((applied.unwrap(), after), (shown.clone(), shown), "{what}"),
            _ => {
                let differences = vec![only(&shown, &what).clone()];
                let name = is.name.clone();
                assert_eq!(applied.unwrap(), Finding::Changed { name, differences }, "{what}");
                assert_eq!(after, Finding::Same(is.name.clone()), "{what}");
            }
        }
        assert_eq!(self.state(&is).await, before, "no message is lost: {what}");
    }
}

fn only<'a>(finding: &'a Finding, what: &str) -> &'a Difference {
    match finding {
        Finding::Differs { differences, .. } if differences.len() == 1 => &differences[0],
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test]
async fn each_difference_is_shown_and_mended_only_where_that_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = NatsServer::start(dir.path(), None).await.unwrap();
    let bench = Bench::new(&server.url()).await;
    for (number, row) in ROWS.iter().enumerate() {
        bench.row(number, row).await;
    }
    let without: Vec<_> = fields(&base(0))
        .into_iter()
        .filter(|field| ROWS.iter().all(|row| row.0 != *field))
        .collect();
    assert!(without.is_empty(), "fields without a row: {without:?}");
}

#[tokio::test]
async fn copies_are_added_on_three_nodes_and_never_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = NatsCluster::start(dir.path()).await.unwrap();
    let bench = Bench::new(&cluster.url()).await;
    for (number, row) in ROWS_OF_THREE.iter().enumerate() {
        bench.row(number, row).await;
    }
}

#[tokio::test]
async fn one_difference_that_must_stay_keeps_the_others_of_its_stream_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let server = NatsServer::start(dir.path(), None).await.unwrap();
    let bench = Bench::new(&server.url()).await;
    let is = base(0);
    bench.provision(&is, false).await.unwrap();
    let both = StreamSpec {
        max_age_s: 60,
        duplicate_window_s: 60,
        ..is.clone()
    };
    let shown = bench.provision(&both, true).await.unwrap();
    assert!(
        matches!(&shown, Finding::Differs { differences, .. } if differences.len() == 2),
        "{shown:?}"
    );
    assert_eq!(
        bench.provision(&is, false).await.unwrap(),
        Finding::Same(is.name.clone())
    );
}

/// The field of the consumer, and what the server has. It holds no message: all is mended.
type ConsumerRow = (&'static str, fn(&mut ConsumerSpec));

const CONSUMER_ROWS: &[ConsumerRow] = &[
    ("ack wait", |c| c.ack_wait_ms *= 2),
    ("ack wait", |c| c.ack_wait_ms /= 2),
    ("max deliver", |c| c.max_deliver = 9),
    ("max deliver", |c| c.max_deliver = 2),
];

#[tokio::test]
async fn each_difference_of_the_jobs_consumer_is_shown_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let server = NatsServer::start(dir.path(), None).await.unwrap();
    let Bench { bus, consumer } = Bench::new(&server.url()).await;
    // A new field does not compile until it stands here; then it wants a row.
    let ConsumerSpec {
        stream: _,
        name: _,
        ack_wait_ms: _,
        max_deliver: _,
    } = &consumer;
    let name = format!("{}/{}", consumer.stream, consumer.name);
    for (setting, change) in CONSUMER_ROWS {
        let mut found = consumer.clone();
        change(&mut found);
        provision(&bus, &[], &found, true).await.unwrap();
        let shown = provision(&bus, &[], &consumer, false).await.unwrap();
        let difference = only(&shown[0], setting);
        assert_eq!((difference.setting, difference.stays), (*setting, false));
        let applied = provision(&bus, &[], &consumer, true).await.unwrap();
        assert!(matches!(applied[0], Finding::Changed { .. }), "{applied:?}");
        let after = provision(&bus, &[], &consumer, false).await.unwrap();
        assert_eq!(after, [Finding::Same(name.clone())]);
    }
}
