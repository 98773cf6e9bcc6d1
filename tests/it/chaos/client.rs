//! A client that hops: it stays a while with one gateway, then goes to another with the last cursor that it saw.

use super::{publisher::Truth, replicas::Replicas};
use crate::harness::{Connection, PATIENCE, Transport};
use oddswire_protocol::{
    Cursor, EventId, RunId,
    envelope::{MessageType, Received},
    odds::OddsUpdate,
    progress::ScrapeProgress,
    server::{CaughtUp, ConnectionAck, Heartbeat, Resume, Verdict},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// What a client saw, in the end.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) events: u64,
    pub(crate) sessions: u64,
    pub(crate) wrong: Vec<String>,
}

/// One client.
pub(crate) struct Client {
    number: usize,
    rng: StdRng,
    replicas: Arc<Replicas>,
    truth: Arc<Truth>,
    stay_ms: u64,
    joined: Option<oneshot::Sender<()>>,
    cursor: Option<Cursor>,
    runs: BTreeMap<RunId, u64>,
    prices: BTreeMap<(EventId, String), u32>,
    report: Report,
}

impl Client {
    /// A client, and word of when it has joined for the first time.
    pub(crate) fn new(
        number: usize,
        seed: u64,
        replicas: Arc<Replicas>,
        truth: Arc<Truth>,
        stay_ms: u64,
    ) -> (Self, oneshot::Receiver<()>) {
        let (sender, joined) = oneshot::channel();
        let client = Self {
            number,
            rng: StdRng::seed_from_u64(seed),
            replicas,
            truth,
            stay_ms,
            joined: Some(sender),
            cursor: None,
            runs: BTreeMap::new(),
            prices: BTreeMap::new(),
            report: Report::default(),
        };
        (client, joined)
    }

    /// Hops until it is told to stay, then stays until it has everything or patience is over.
    pub(crate) async fn run(mut self, stay: CancellationToken) -> Report {
        while !stay.is_cancelled() {
            let until = Instant::now() + Duration::from_millis(self.rng.random_range(100..self.stay_ms));
            self.session(until).await;
        }
        let give_up = Instant::now() + PATIENCE;
        while !self.has_everything() && self.report.wrong.is_empty() && Instant::now() < give_up {
            // A gateway may just be starting.
            self.session(Instant::now() + Duration::from_secs(3)).await;
        }
        self.compare();
        self.report
    }

    async fn session(&mut self, until: Instant) {
        let Ok(Some(mut connection)) = timeout_at(until, self.connect()).await else {
            sleep(Duration::from_millis(50)).await;
            return;
        };
        self.report.sessions += 1;
        while let Ok(Some((message, cursor))) = timeout_at(until, connection.try_next()).await {
            self.take(&message);
            if let Some(cursor) = cursor {
                self.cursor = Some(cursor);
            }
            if self.truth.is_finished() && self.has_everything() {
                return;
            }
        }
    }

    async fn connect(&mut self) -> Option<Connection> {
        let address = self.replicas.address(self.rng.random_range(0..100));
        let since = self
            .cursor
            .map_or_else(|| "snapshot".to_owned(), |cursor| cursor.to_string());
        let transport = if self.number.is_multiple_of(2) {
            Transport::Ws
        } else {
            Transport::Sse
        };
        Connection::try_open(transport, &address, "", &since).await
    }

    fn take(&mut self, message: &Received) {
        match message.message_type {
            MessageType::ConnectionAck => {
                let ack: ConnectionAck = message.data().unwrap();
                self.judge(&ack.resume);
            }
            MessageType::Resume => self.judge(&message.data().unwrap()),
            MessageType::CaughtUp => {
                self.cursor = Some(message.data::<CaughtUp>().unwrap().cursor);
                if let Some(joined) = self.joined.take() {
                    // Nobody waits for it any more when the test has failed.
                    let _ = joined.send(());
                }
            }
            MessageType::Heartbeat => self.cursor = Some(message.data::<Heartbeat>().unwrap().cursor),
            // It is served until then; it goes when it is closed, or before.
            MessageType::Reconnect => {}
            MessageType::ScrapeProgress => self.take_progress(&message.data().unwrap()),
            MessageType::OddsUpdate => self.take_odds(&message.data().unwrap()),
            other => self.wrong(format!("an unexpected {}", other.as_str())),
        }
    }

    fn judge(&mut self, resume: &Resume) {
        let good = match resume.verdict {
            Verdict::Replayed | Verdict::Unavailable => true,
            Verdict::Snapshot => self.joined.is_some(),
            Verdict::Live | Verdict::Gap => false,
        };
        if !good {
            self.wrong(format!("verdict {resume:?} on {:?}", self.cursor));
        }
    }

    fn take_progress(&mut self, progress: &ScrapeProgress) {
        self.report.events += 1;
        let last = self
            .runs
            .insert(progress.run_id.clone(), progress.seq)
            .unwrap_or(0);
        if progress.seq != last + 1 {
            self.wrong(format!("run {}: {} after {last}", progress.run_id, progress.seq));
        }
    }

    fn take_odds(&mut self, update: &OddsUpdate) {
        self.report.events += 1;
        let price = update.market.quotes[0].outcomes[0].price.unwrap().thousandths();
        let key = (update.event.event_id.clone(), update.source.to_string());
        let last = self.prices.insert(key, price).unwrap_or(0);
        if price <= last {
            self.wrong(format!(
                "{} {}: price {price} after {last}",
                update.event.event_id, update.source
            ));
        }
    }

    fn wrong(&mut self, what: String) {
        self.report.wrong.push(format!("client {}: {what}", self.number));
    }

    fn has_everything(&self) -> bool {
        self.runs == *self.truth.runs.lock().unwrap() && self.prices == *self.truth.prices.lock().unwrap()
    }

    fn compare(&mut self) {
        let (runs, prices) = (
            self.truth.runs.lock().unwrap().clone(),
            self.truth.prices.lock().unwrap().clone(),
        );
        for (run, seq) in runs {
            let got = self.runs.get(&run).copied();
            if got != Some(seq) {
                self.wrong(format!("run {run} ends with {got:?}, not {seq}"));
            }
        }
        for (key, price) in prices {
            let got = self.prices.get(&key).copied();
            if got != Some(price) {
                self.wrong(format!("price of {key:?} ends with {got:?}, not {price}"));
            }
        }
    }
}
