//! What a session says.

use super::{End, Outgoing, Session, Since, Transport, access::Access, join::BEGINNING};
use crate::{hub::PerFeed, metrics::VerdictLabel};
use oddswire_protocol::{
    Cursor, Feed, Timestamp,
    cursor::Position,
    envelope::{Data, Envelope},
    server::{CaughtUp, ErrorCode, ErrorData, Heartbeat, Lagging, Reconnect, Ref, Resume, Verdict},
};
use std::time::Duration;

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<T: Transport> Session<T> {
    /// The position of this connection: everything before it was delivered.
    pub(super) fn cursor(&self) -> Cursor {
        let waits_from = self.pace.held_before();
        self.pinned
            .unwrap_or_else(|| self.cursor_at(waits_from.unwrap_or(self.place.positions())))
    }

    pub(super) fn cursor_at(&self, positions: &PerFeed<Option<Position>>) -> Cursor {
        // The time of issue is that of the odds position: it is now only once the client has all odds until now.
        let odds_followed = positions[Feed::Odds.index()].is_some();
        let caught_up = self.owed.is_empty();
        let base = if odds_followed && caught_up {
            self.carried.issued_at(Timestamp::now())
        } else {
            self.carried
        };
        Feed::ALL.into_iter().fold(base, |cursor, feed| {
            match (positions[feed.index()], self.waiting[feed.index()]) {
                (Some(position), _) => cursor.with(feed, Some(position)),
                // Still owed from the beginning, whatever the client's cursor said.
                (None, Some(Since::Snapshot | Since::Malformed)) => cursor.with(feed, Some(BEGINNING)),
                (None, _) => cursor,
            }
        })
    }

    /// Sends a message of the gateway's own, with the position where it has one.
    pub(super) async fn send<D: Data>(&mut self, data: &D, cursor: Option<Cursor>) -> Result<(), End> {
        let envelope = Envelope::of(Timestamp::now(), data);
        self.transmit(&envelope, cursor).await
    }

    pub(super) async fn transmit(&mut self, envelope: &Envelope, cursor: Option<Cursor>) -> Result<(), End> {
        if self.own_at().is_none() {
            let metrics = &self.shared.metrics;
            metrics.delivered.inc();
            metrics.delivered_bytes.inc_by(envelope.bytes().len() as u64);
        }
        let message = Outgoing { envelope, cursor };
        let ends_at = self.access.as_ref().map(Access::ends_at);
        Access::while_allowed(ends_at, self.transport.send(&message)).await
    }

    pub(super) async fn flush(&mut self) -> Result<(), End> {
        let ends_at = self.access.as_ref().map(Access::ends_at);
        Access::while_allowed(ends_at, self.transport.flush()).await
    }

    pub(super) async fn send_error(
        &mut self,
        code: ErrorCode,
        detail: String,
        reference: Option<Ref>,
    ) -> Result<(), End> {
        self.shared.metrics.client_errors.inc();
        self.send(
            &ErrorData {
                code,
                detail,
                reference,
            },
            None,
        )
        .await
    }

    pub(super) async fn send_heartbeat(&mut self) -> Result<(), End> {
        let cursor = self.cursor();
        let heartbeat = self.heartbeat(cursor);
        self.transmit(&heartbeat, Some(cursor)).await
    }

    pub(super) fn heartbeat(&self, cursor: Cursor) -> Envelope {
        let followed = Feed::ALL
            .into_iter()
            .filter(|feed| self.interests[feed.index()].is_some() || self.own_at().is_some());
        let (upstream, lag_ms) = self.shared.health.upstream(followed);
        let heartbeat = Heartbeat {
            cursor,
            server_time: Timestamp::now(),
            upstream,
            lag_ms,
        };
        Envelope::of(heartbeat.server_time, &heartbeat)
    }

    /// Tells the client when this gateway will close it.
    pub(super) async fn send_reconnect(&mut self, after: Duration, reason: &str) -> Result<(), End> {
        let cursor = self.cursor();
        let reconnect = Reconnect {
            after_ms: millis(after),
            reason: reason.into(),
        };
        self.send(&reconnect, Some(cursor)).await
    }

    pub(super) async fn send_lagging(&mut self, conflated: u64, since: Timestamp) -> Result<(), End> {
        self.shared.metrics.lagging.inc();
        self.send(&Lagging { conflated, since }, None).await
    }

    pub(super) async fn send_resume(&mut self, resume: Resume) -> Result<(), End> {
        self.count_verdict(resume.verdict);
        self.owed.push((None, 0));
        self.send(&resume, None).await
    }

    pub(super) fn count_verdict(&self, verdict: Verdict) {
        if self.own_at().is_some() {
            return;
        }
        let verdict = format!("{verdict:?}").to_lowercase();
        let transport = self.transport.kind();
        self.shared
            .metrics
            .resumes
            .get_or_create(&VerdictLabel { verdict, transport })
            .inc();
    }

    /// Tells that everything asked for is delivered, where that is so and was not told yet.
    pub(super) async fn send_caught_up(&mut self) -> Result<(), End> {
        if self.waiting.iter().any(Option::is_some) {
            return Ok(());
        }
        // Sides are read: ids move again.
        self.pinned = None;
        for (reference, replayed) in std::mem::take(&mut self.owed) {
            let cursor = self.cursor();
            self.send(
                &CaughtUp {
                    cursor,
                    replayed,
                    reference,
                },
                Some(cursor),
            )
            .await?;
        }
        Ok(())
    }
}

/// A name for a connection in logs: random, 16 hex digits.
pub(super) fn new_connection_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}
