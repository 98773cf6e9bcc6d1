//! Terms of ODDS as its writers mark them, on a real server.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that is not as it should be"
)]

use futures_util::StreamExt;
use oddswire_kit::{
    bus::{Bus, BusOptions},
    nats_server::NatsServer,
    provision::provision,
    publish::Publication,
    restore::{self, Stray, Why},
    tls,
};
use oddswire_protocol::{
    EventKey, Subjects,
    stream::{Sizing, jobs_consumer, streams},
};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

struct Bench {
    bus: Bus,
    /// What whoever administers the bus uses.
    admin: async_nats::Client,
    _nats: NatsServer,
    _store: TempDir,
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = timeout(Duration::from_secs(30), future).await else {
        panic!("waited too long for {what}")
    };
    value
}

impl Bench {
    async fn new() -> Self {
        tls::install_provider();
        let store = tempfile::tempdir().unwrap();
        let nats = NatsServer::start(store.path(), None).await.unwrap();
        let bus = Bus::connect(&BusOptions::at(&nats.url()), "test", "test")
            .await
            .unwrap();
        let subjects = Subjects::default();
        let consumer = jobs_consumer(&subjects, &Sizing::DEV);
        let specs = streams(&subjects, &Sizing::DEV);
        within("the streams", provision(&bus, &specs, &consumer, true))
            .await
            .unwrap();
        Self {
            admin: async_nats::connect(nats.url()).await.unwrap(),
            bus,
            _nats: nats,
            _store: store,
        }
    }

    /// Stores a message of odds behind its source's fence, which must be at `expected`. Gives where the fence is then.
    async fn fenced(&self, source: &str, expected: u64) -> u64 {
        let subjects = self.bus.subjects();
        let source = source.parse().unwrap();
        let id = || format!("{:032x}", rand::random::<u128>());
        let fence = Publication {
            expected: Some(expected),
            ..Publication::new(subjects.fence(&source), id(), "".into())
        };
        let subject = subjects.feed(&EventKey::Confirmed { source });
        let batch = [fence, Publication::new(subject, id(), "{}".into())];
        let stop = CancellationToken::new();
        let stored = self.bus.publish_batch(&batch, &stop, |_| ());
        within("the bus to take a batch", stored).await.unwrap().seq - 1
    }

    async fn asked(&self, api: &str, query: &Value) -> Value {
        let query = query.to_string().into();
        let answer = self.admin.request(format!("$JS.API.{api}"), query);
        serde_json::from_slice(&answer.await.unwrap().payload).unwrap()
    }

    /// ODDS as NATS gives it out while it runs: what it says of the stream, and the pieces.
    async fn backup(&self) -> (Value, Vec<bytes::Bytes>) {
        let inbox = self.admin.new_inbox();
        let mut pieces = self.admin.subscribe(inbox.clone()).await.unwrap();
        let query = json!({ "deliver_subject": inbox, "no_consumers": true });
        let said = self.asked("STREAM.SNAPSHOT.ODDS", &query).await;
        let mut taken = Vec::new();
        while let Some(piece) = pieces.next().await.filter(|piece| !piece.payload.is_empty()) {
            if let Some(reply) = piece.reply {
                self.admin.publish(reply, "".into()).await.unwrap();
            }
            taken.push(piece.payload);
        }
        (said, taken)
    }

    /// Puts ODDS back as NATS takes it while it runs.
    async fn put_back(&self, (said, pieces): (Value, Vec<bytes::Bytes>)) {
        let query = json!({ "config": said["config"], "state": said["state"] });
        let answer = self.asked("STREAM.RESTORE.ODDS", &query).await;
        let to = answer["deliver_subject"].as_str().unwrap().to_owned();
        for piece in pieces {
            self.admin.request(to.clone(), piece).await.unwrap();
        }
        let end = self.admin.request(to, "".into()).await.unwrap();
        let end: Value = serde_json::from_slice(&end.payload).unwrap();
        assert_eq!(end["error"], Value::Null);
    }
}

#[tokio::test]
async fn odds_that_are_put_back_into_a_server_that_goes_on_begin_a_term() {
    let bench = Bench::new().await;
    let alpha = bench.fenced("alpha", 0).await;
    let backup = bench.backup().await;
    let kept = bench.bus.stream_state("ODDS").await.unwrap();
    bench.fenced("alpha", alpha).await;
    bench.asked("STREAM.DELETE.ODDS", &json!({})).await;
    // Who stores odds goes on as if nothing were, and is let in as soon as ODDS is back.
    let (stored, ()) = tokio::join!(bench.fenced("bravo", 0), bench.put_back(backup));
    let now = bench.bus.stream_state("ODDS").await.unwrap();
    assert_eq!(now.term, kept.term);
    let first = bench.bus.leader_message("ODDS", kept.last_seq + 1).await.unwrap();
    assert!(bench.bus.is_term(&first.unwrap()));
    assert_eq!(stored, kept.last_seq + 2);
    // It is noticed once.
    assert_eq!(bench.fenced("bravo", stored).await, stored + 2);
}

/// A question for the last term costs a server the more, the more odds it holds.
#[tokio::test]
async fn the_last_term_is_asked_for_once_while_the_same_server_leads() {
    let bench = Bench::new().await;
    let mut questions = bench.admin.subscribe("$JS.API.STREAM.*.>").await.unwrap();
    bench.admin.flush().await.unwrap();
    let (mut looks, mut for_terms) = (0, 0);
    let mut fence = 0;
    while looks < 4 {
        fence = bench.fenced("alpha", fence).await;
        while let Ok(Some(asked)) = timeout(Duration::from_millis(20), questions.next()).await {
            looks += usize::from(asked.subject.as_str() == "$JS.API.STREAM.INFO.ODDS");
            for_terms += usize::from(String::from_utf8_lossy(&asked.payload).contains("odds.term."));
        }
    }
    // For the last, and for what stands in the place of the next.
    assert_eq!(for_terms, 2);
}

#[tokio::test]
async fn a_copy_whose_newest_message_is_gone_is_not_said_to_fit() {
    let bench = Bench::new().await;
    assert_eq!(restore::strays(&bench.bus).await.unwrap(), []);
    bench.fenced("alpha", 0).await;
    let copied = async {
        while bench.bus.stream_state("HISTORY").await.unwrap().last_seq < 3 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    within("the copy", copied).await;
    assert_eq!(restore::strays(&bench.bus).await.unwrap(), []);
    bench.asked("STREAM.PURGE.HISTORY", &json!({})).await;
    let stray = Stray {
        copy: "HISTORY".into(),
        origin: "ODDS".into(),
        why: Why::Forgotten,
    };
    let found = restore::strays(&bench.bus).await.unwrap();
    assert!(found[0].to_string().contains("cannot be told"), "{}", found[0]);
    assert_eq!(found, [stray]);
}
