//! Shares: what each address may spend before anybody else's is touched, and what the process holds for all.

use super::{
    Answer, Asked, Backlog, Front, Held, Refused, Rules, Visitor,
    address::site_of,
    answers::{ANSWER_BYTES, NoAnswer},
    is_stream,
    memory::{self, CONNECTION_BYTES, PROCESS_BYTES, TLS_BYTES, Wish},
};
use crate::trial::Trial;
use bytes::Bytes;
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// So many seconds' worth of tries to open a stream may come at once: as many as an address may have connections, which
/// all come back together after a restart.
const TRIES_AT_ONCE_S: f64 = 5.0;
/// So many seconds' worth of requests may come at once.
const REQUESTS_AT_ONCE_S: f64 = 2.0;

impl Front {
    /// The same with mechanisms off.
    pub(crate) fn on_trial(mut self, trial: Trial) -> Self {
        self.trial = trial;
        self
    }

    /// What tests switched off.
    pub(crate) fn trial(&self) -> Trial {
        self.trial
    }

    /// Spends what a request takes of its address.
    pub(super) fn spend(&self, rules: &Rules, visitor: &Visitor, asked: Asked<'_>) -> Result<(), Refused> {
        if is_stream(asked.uri.path()) {
            self.spend_try(rules, visitor)
        } else {
            self.spend_request(rules, visitor)
        }
    }

    fn spend_request(&self, rules: &Rules, visitor: &Visitor) -> Result<(), Refused> {
        let per_s = f64::from(rules.limits.requests_per_s);
        let Some(address) = visitor.counted.filter(|_| per_s > 0.0) else {
            return Ok(());
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.take(address, per_s, per_s * REQUESTS_AT_ONCE_S) {
            Ok(())
        } else {
            Err(self.count(Refused::Requests))
        }
    }

    /// Spends one try of an address to open a stream, whatever comes of it.
    fn spend_try(&self, rules: &Rules, visitor: &Visitor) -> Result<(), Refused> {
        if self.trial.no_shares {
            return self.spend_handshake();
        }
        let per_s = f64::from(rules.limits.handshakes_per_address);
        let Some(address) = visitor.counted.filter(|_| per_s > 0.0) else {
            return Ok(());
        };
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.take(address, per_s, per_s * TRIES_AT_ONCE_S) {
            Ok(())
        } else {
            Err(self.count(Refused::AddressHandshakes))
        }
    }

    /// Opens a stream whose request and token are good: only such ones spend what all clients share.
    pub(crate) fn open_stream(&self) -> Result<(), Refused> {
        if self.trial.no_shares {
            return Ok(());
        }
        self.spend_handshake()
    }

    fn spend_handshake(&self) -> Result<(), Refused> {
        let per_s = f64::from(self.rules().limits.handshakes_per_s);
        let mut handshakes = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        if per_s > 0.0 && !handshakes.take(per_s, per_s) {
            return Err(self.count(Refused::Handshakes));
        }
        Ok(())
    }

    /// The same of bytes on their way, until the last copy of them is gone.
    pub(crate) fn hold_bytes(&self, bytes: Vec<u8>) -> Bytes {
        self.hold(bytes.capacity() as u64).with(bytes)
    }

    /// Counts the body of a request, which there must be memory for.
    pub(crate) fn hold_body(&self, bytes: u64) -> Result<Held, Refused> {
        self.room_for(&self.rules(), Wish::Connection)?;
        Ok(self.hold(bytes))
    }

    /// Whether there is memory for an answer that is not read from the bus.
    pub(crate) fn room_for_answer(&self) -> Result<(), Refused> {
        self.room_for(&self.rules(), Wish::Answer)
    }

    /// Begins an answer that is read from the bus; nobody, where the gateway asks itself.
    pub(crate) fn begin_answer(&self, visitor: Option<&Visitor>) -> Result<Answer, Refused> {
        let rules = self.rules();
        let (address, room) = if self.trial.whole_answers {
            (None, usize::MAX)
        } else {
            self.room_for(&rules, Wish::Answer)?;
            let room = memory::answers_max(rules.limits.memory_bytes, ANSWER_BYTES);
            (visitor.and_then(|visitor| visitor.counted).map(site_of), room)
        };
        self.answers.begin(address, room).map_err(|none| {
            self.count(match none {
                NoAnswer::Full => Refused::Memory,
                NoAnswer::AddressFull => Refused::Answers,
            })
        })
    }

    /// An answer to a visitor, whose pieces are counted while they wait, and which `reset` ends.
    pub(crate) fn backlog(&self, visitor: &Visitor, reset: CancellationToken) -> Arc<Backlog> {
        visitor.backlogs.begin(self.waiting(), reset)
    }

    /// Counts bytes among those that wait for clients, until what it gives is dropped.
    pub(crate) fn hold(&self, bytes: u64) -> Held {
        Held::new(bytes, self.waiting())
    }

    /// Resets answers on a visitor's connection of which its client takes nothing for as long as `patience`; waits until
    /// that is not enough.
    pub(crate) async fn answers_stall(&self, visitor: &Visitor, patience: Duration) {
        if self.trial.whole_answers {
            std::future::pending::<()>().await;
        }
        visitor.backlogs.stalled(patience).await;
    }

    /// Bytes that the process holds and has promised to hold, as far as it counts them, and how many it may; 0 for no
    /// limit.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let rules = self.rules();
        (self.held_bytes(), rules.limits.memory_bytes)
    }

    /// Whether there is memory for a wish.
    pub(super) fn room_for(&self, rules: &Rules, wish: Wish) -> Result<(), Refused> {
        if self.trial.whole_answers || wish.has_room(self.held_bytes(), rules.limits.memory_bytes) {
            Ok(())
        } else {
            Err(self.count(Refused::Memory))
        }
    }

    fn held_bytes(&self) -> u64 {
        let each = CONNECTION_BYTES + if self.tls.is_some() { TLS_BYTES } else { 0 };
        let metrics = &self.metrics;
        let gauges = [
            &metrics.ring_bytes_max,
            &metrics.queue_bytes,
            &metrics.run_list_bytes,
        ];
        let gauges = gauges.map(|gauge| u64::try_from(gauge.get()).unwrap_or(0));
        PROCESS_BYTES
            + gauges.iter().sum::<u64>()
            + self.seats.count() * each
            + self.answers.count() as u64 * ANSWER_BYTES
    }
}
