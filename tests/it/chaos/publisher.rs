//! What is published, and remembered as the truth.

use crate::harness::{odds_key, run_image, run_key, update};
use oddswire_kit::{bus::Bus, publish::Publication};
use oddswire_protocol::{
    EventId, EventKey, Price, RunId, Timestamp,
    header::{ATTEMPT, BATCH, STATUS, cloud_event},
    progress::Status,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

const SOURCES: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
const EVENTS: [&str; 4] = ["e1", "e2", "e3", "e4"];
/// Events of a run before its last.
const RUN_EVENTS: u64 = 40;

/// Everything published so far.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// The last sequence of each run; runs are whole when all is published.
    pub(crate) runs: Mutex<BTreeMap<RunId, u64>>,
    /// The last price of each event at each source, in thousandths; it only rises.
    pub(crate) prices: Mutex<BTreeMap<(EventId, String), u32>>,
    finished: watch::Sender<bool>,
}

impl Truth {
    /// Nothing more will be published.
    pub(crate) fn finish(&self) {
        self.finished.send_replace(true);
    }

    pub(crate) fn is_finished(&self) -> bool {
        *self.finished.borrow()
    }
}

/// Publishes runs and prices until it is stopped, and then ends the runs that it began.
pub(crate) struct Publisher {
    bus: Bus,
    truth: Arc<Truth>,
}

impl Publisher {
    pub(crate) fn new(bus: Bus, truth: Arc<Truth>) -> Self {
        Self { bus, truth }
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut tasks = JoinSet::new();
        for source in SOURCES {
            tasks.spawn(Arc::clone(&this).runs(source, stop.clone()));
            tasks.spawn(Arc::clone(&this).prices(source, stop.clone()));
        }
        tasks.join_all().await;
    }

    async fn runs(self: Arc<Self>, source: &'static str, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let run = RunId::new();
            let key = run_key(source, &run);
            for seq in 1..=RUN_EVENTS {
                let status = if seq == RUN_EVENTS {
                    Status::Completed
                } else {
                    Status::Running
                };
                let image = run_image(source, &run, seq, status);
                let headers = vec![
                    (STATUS, status.as_str().to_owned()),
                    (ATTEMPT, "1".to_owned()),
                    (BATCH, image.batch_id.to_string()),
                ];
                self.publish(
                    &key,
                    &format!("{run}:1:{seq}"),
                    headers,
                    serde_json::to_vec(&image).unwrap(),
                )
                .await;
                self.truth.runs.lock().unwrap().insert(run.clone(), seq);
                sleep(Duration::from_millis(8)).await;
            }
        }
    }

    async fn prices(self: Arc<Self>, source: &'static str, stop: CancellationToken) {
        let mut thousandths = 1_500;
        while !stop.is_cancelled() {
            thousandths += 1;
            for event in EVENTS {
                let price = Price::from_thousandths(thousandths).unwrap();
                let image = update(event, source, price, Timestamp::now());
                let key = odds_key(event, source);
                let id = format!("{source}:{event}:{thousandths}");
                self.publish(&key, &id, Vec::new(), serde_json::to_vec(&image).unwrap())
                    .await;
                let key = (image.event.event_id.clone(), source.to_owned());
                self.truth.prices.lock().unwrap().insert(key, price.thousandths());
                sleep(Duration::from_millis(3)).await;
            }
        }
    }

    async fn publish(&self, key: &EventKey, id: &str, extra: Vec<(&'static str, String)>, payload: Vec<u8>) {
        let mut headers = cloud_event(key, id, "chaos", Timestamp::now());
        headers.extend(extra);
        let message = Publication {
            headers,
            ..Publication::new(self.bus.subjects().feed(key), id.to_owned(), payload.into())
        };
        self.bus
            .publish(&message, &CancellationToken::new())
            .await
            .unwrap();
    }
}
