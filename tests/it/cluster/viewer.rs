//! A client that checks each message as it comes, and goes to another gateway with its cursor.

use crate::harness::{Board, Connection, Transport};
use oddswire_protocol::{
    Cursor, RunId,
    envelope::{MessageType, Received},
    progress::ScrapeProgress,
    server::{CaughtUp, ConnectionAck, Heartbeat, Resume, Upstream, Verdict},
};
use std::collections::BTreeMap;

pub(super) struct Viewer {
    pub(super) transport: Transport,
    /// Where it is: the number of the gateway.
    pub(super) gateway: usize,
    /// None while it is away.
    connection: Option<Connection>,
    pub(super) cursor: Cursor,
    /// The last image of each run.
    pub(super) runs: BTreeMap<RunId, ScrapeProgress>,
    pub(super) board: Board,
    pub(super) upstream: Upstream,
    /// Verdicts in mid-connection.
    pub(super) resumed: Vec<Verdict>,
    pub(super) wrong: Vec<String>,
}

impl Viewer {
    /// Comes with nothing, and is caught up.
    pub(super) async fn new(transport: Transport, gateway: usize, address: &str) -> Self {
        let mut connection = Connection::open(transport, address, "", "snapshot").await;
        let joined = connection.joined().await;
        assert_eq!(joined.resume.verdict, Verdict::Snapshot);
        let mut viewer = Self {
            transport,
            gateway,
            connection: Some(connection),
            cursor: joined.caught_up.cursor,
            runs: BTreeMap::new(),
            board: Board::default(),
            upstream: Upstream::Ok,
            resumed: Vec::new(),
            wrong: Vec::new(),
        };
        for message in &joined.events {
            viewer.take(message);
        }
        viewer
    }

    /// What it knows, at another connection that was acknowledged.
    pub(super) fn at(&self, connection: Connection, gateway: usize) -> Self {
        Self {
            transport: self.transport,
            gateway,
            connection: Some(connection),
            cursor: self.cursor,
            runs: self.runs.clone(),
            board: self.board.clone(),
            upstream: Upstream::Down,
            resumed: Vec::new(),
            wrong: self.wrong.clone(),
        }
    }

    /// Cuts its connection.
    pub(super) fn leave(&mut self) {
        self.connection = None;
    }

    /// Comes to a gateway with its cursor; a connection that it has is cut.
    pub(super) async fn come(&mut self, gateway: usize, address: &str) {
        let since = self.cursor.to_string();
        self.leave();
        self.connection = Some(Connection::open(self.transport, address, "", &since).await);
        self.gateway = gateway;
    }

    /// Comes as if it had never been there, and is caught up.
    pub(super) async fn come_without_cursor(&mut self, gateway: usize, address: &str) {
        let mut connection = Connection::open(self.transport, address, "", "now").await;
        for message in connection.joined().await.events {
            self.take(&message);
        }
        self.connection = Some(connection);
        self.gateway = gateway;
    }

    /// Reads until it has seen this.
    pub(super) async fn until(&mut self, seen: impl Fn(&Self) -> bool) {
        while !seen(self) {
            let (message, cursor) = self.connection.as_mut().expect("it is there").next().await;
            self.take(&message);
            if let Some(cursor) = cursor {
                self.cursor = cursor;
            }
        }
    }

    /// Whether it knows of all these runs.
    pub(super) fn knows(&self, runs: &[RunId]) -> bool {
        runs.iter().all(|run| self.runs.contains_key(run))
    }

    /// Whether it saw the end of all these runs.
    pub(super) fn over(&self, runs: &[RunId]) -> bool {
        let ended = |run| self.runs.get(run).is_some_and(|last| last.status.is_terminal());
        runs.iter().all(ended)
    }

    /// Who it is and what it knows, for a person.
    pub(super) fn state(&self) -> String {
        let runs: Vec<_> = self.runs.values().map(|run| (run.seq, run.status)).collect();
        format!(
            "{:?} at gateway {}: {:?}, runs {runs:?}",
            self.transport, self.gateway, self.upstream
        )
    }

    fn take(&mut self, message: &Received) {
        match message.message_type {
            MessageType::ScrapeProgress => self.take_progress(message.data().unwrap()),
            MessageType::OddsUpdate => self.board.apply(message),
            MessageType::Heartbeat => self.upstream = message.data::<Heartbeat>().unwrap().upstream,
            MessageType::CaughtUp => self.cursor = message.data::<CaughtUp>().unwrap().cursor,
            MessageType::ConnectionAck => self.judge(message.data::<ConnectionAck>().unwrap().resume.verdict),
            MessageType::Resume => {
                let verdict = message.data::<Resume>().unwrap().verdict;
                self.resumed.push(verdict);
                self.judge(verdict);
            }
            MessageType::OddsConfirmed => {}
            _ => self.wrong.push(format!("{message:?}")),
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        if ![Verdict::Replayed, Verdict::Unavailable].contains(&verdict) {
            self.wrong.push(format!("the verdict {verdict:?}"));
        }
    }

    fn take_progress(&mut self, image: ScrapeProgress) {
        let last = self.runs.get(&image.run_id).map_or(0, |last| last.seq);
        if image.seq != last + 1 {
            self.wrong
                .push(format!("{}: {} after {last}", image.run_id, image.seq));
        }
        self.runs.insert(image.run_id.clone(), image);
    }
}
