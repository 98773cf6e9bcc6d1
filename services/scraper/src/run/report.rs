//! Publishes the images of a run, one behind the other, while the run goes on.
//!
//! One message is under way at most. While it is, the state moves on, and the next image shows the newest.

use super::{
    gauge::Gauge,
    rein::{Abandoned, Rein},
};
use crate::{
    bus::{LastOfRun, patiently},
    metrics::Metrics,
    progress::Next,
    publish::Author,
};
use oddswire_kit::{bus::Bus, publish::PublishError};
use oddswire_protocol::{Timestamp, progress::ScrapeProgress};
use std::{future::pending, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Publishes the images of one run.
#[derive(Debug)]
pub(super) struct Reporter {
    pub(super) bus: Bus,
    pub(super) author: Arc<Author>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) rein: Arc<Rein>,
    pub(super) metrics: Arc<Metrics>,
    /// The sequence of the run's last message.
    pub(super) last_seq: u64,
}

impl Reporter {
    /// Publishes what is due until `ended`, or until the run is abandoned.
    pub(super) async fn follow(&mut self, ended: &CancellationToken) {
        while !ended.is_cancelled() && self.rein.abandoned().is_none() {
            let wait = match self.gauge.next() {
                Next::Image(image) => {
                    self.publish(*image, None).await;
                    continue;
                }
                Next::Wait(wait) => wait,
                Next::Over => return,
            };
            self.pause(wait, true, ended.cancelled()).await;
        }
    }

    /// Publishes what is left, the terminal image last: it is shown after the odds up to `after`.
    pub(super) async fn finish(&mut self, after: Option<u64>) {
        while self.rein.abandoned().is_none() {
            match self.gauge.next() {
                Next::Image(image) => self.publish(*image, after).await,
                Next::Wait(wait) => self.pause(wait, false, pending()).await,
                Next::Over => return,
            }
        }
    }

    async fn pause(&self, wait: Duration, until_moved: bool, until: impl Future<Output = ()>) {
        tokio::select! {
            () = sleep(wait) => {}
            () = self.gauge.moved(), if until_moved => {}
            () = until => {}
            () = self.rein.publishing().cancelled() => {}
        }
    }

    async fn publish(&mut self, image: ScrapeProgress, after: Option<u64>) {
        let at = Timestamp::now();
        let mut message = match self.author.run(&image, at, self.last_seq, after) {
            Ok(message) => message,
            Err(error) => return self.refused(&error),
        };
        loop {
            if !self.rein.may_publish() {
                return;
            }
            let began = Instant::now();
            match self.bus.publish(&message, self.rein.publishing()).await {
                Ok(ack) => {
                    self.metrics.run_messages.inc();
                    self.metrics.published("run", began.elapsed(), ack.tries);
                    self.last_seq = ack.seq;
                    return;
                }
                Err(PublishError::WrongLast) => {}
                Err(PublishError::Stopped) => return,
                Err(error) => return self.refused(&error),
            }
            let key = self.author.run_key();
            let last = patiently(self.rein.publishing(), || LastOfRun::read(&self.bus, &key)).await;
            match last {
                None => return,
                Some(Some(last)) if last.id == message.id => {
                    self.last_seq = last.seq;
                    return;
                }
                Some(Some(last)) => {
                    let why = if last.terminal {
                        Abandoned::Over
                    } else {
                        Abandoned::Fenced
                    };
                    return self.rein.abandon(why);
                }
                // The run's messages grew too old and are gone: nobody else wrote.
                Some(None) => message.expected = Some(0),
            }
        }
    }

    fn refused(&self, error: &dyn std::error::Error) {
        tracing::error!(%error, "the bus refuses an event of a run");
        self.metrics.refuse("run_message");
        self.rein.abandon(Abandoned::Refused);
    }
}
