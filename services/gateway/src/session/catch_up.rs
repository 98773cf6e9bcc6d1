//! Moving a session: by the ring where it reaches back, by the log where it does not.

use super::{BUS_RETRY, End, Progress, Session, Transport, join::BEGINNING};
use crate::frame::Frame;
use oddswire_kit::log::ReadError;
use oddswire_protocol::{
    Cursor, Feed, Topic,
    cursor::Position,
    server::{Resume, Verdict},
};
use tokio::time::Instant;

/// Topics that joined in mid-connection and whose last images are read beside the stream: everything up to the
/// position that the session had then. What is newer comes by the stream.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) feed: Feed,
    pub(super) topics: Vec<Topic>,
    /// The last sequence read.
    pub(super) at: u64,
    /// The position that the session had.
    pub(super) floor: u64,
}

impl<T: Transport> Session<T> {
    /// Delivers the next part of what the client has not got yet.
    pub(super) async fn advance(&mut self) -> Result<Progress, End> {
        self.changes.borrow_and_update();
        if let Some(progress) = self.join_waiting().await? {
            return Ok(progress);
        }
        if !self.sides.is_empty() {
            let read = self.read_side().await;
            return self.after_read(read);
        }
        let lap = self.lap().await?;
        let before = *self.place.positions();
        let step = self.shared.hub.step(&mut self.place, &self.topics, &lap);
        if let Some(feed) = step.reset {
            if self.place.position(feed) != Some(BEGINNING) {
                if self.others_are_overdue(feed).await {
                    return Ok(Progress::Retry(Instant::now() + BUS_RETRY));
                }
                self.resume(Verdict::Gap.into()).await?;
                return Ok(Progress::More);
            }
            let read = self.begin_snapshot(feed).await;
            return self.after_read(read);
        }
        if let Some(feed) = step.behind {
            self.notice_overtaken().await?;
            let read = self.read_log(feed).await;
            return self.after_read(read);
        }
        if step.inactive.is_some() {
            // It ended while this client came. It is made active again.
            return Ok(Progress::Retry(Instant::now() + BUS_RETRY));
        }
        self.go_on_in(lap);
        self.take(&step, before).await?;
        if step.more {
            return Ok(Progress::More);
        }
        self.finish_lap().await?;
        self.send_caught_up().await?;
        Ok(if step.at_tail {
            Progress::Idle
        } else {
            Progress::More
        })
    }

    fn after_read(&mut self, read: Result<(), ReadOrEnd>) -> Result<Progress, End> {
        match read {
            Ok(()) => Ok(Progress::More),
            Err(ReadOrEnd::End(end)) => Err(end),
            Err(ReadOrEnd::Read(error)) => {
                tracing::debug!(connection_id = self.connection_id, %error, "cannot read the log yet");
                Ok(Progress::Retry(Instant::now() + BUS_RETRY))
            }
        }
    }

    pub(super) async fn deliver(&mut self, frame: &Frame, cursor: Option<Cursor>) -> Result<(), End> {
        for (_, replayed) in &mut self.owed {
            *replayed += 1;
        }
        let cursor = cursor.filter(|_| self.ids);
        self.transmit(&frame.envelope, cursor).await?;
        if self.one_run && frame.terminal {
            self.send_caught_up().await?;
            self.flush().await?;
            return Err(End::Finished);
        }
        Ok(())
    }

    /// Whether another feed that the client follows was made anew as well, and this gateway has not noticed yet. One wipe
    /// of the bus is one `resume`: it is waited for.
    async fn others_are_overdue(&self, reset: Feed) -> bool {
        let (hub, logs) = (&self.shared.hub, &self.shared.logs);
        let mut overdue = false;
        for feed in Feed::ALL.into_iter().filter(|feed| *feed != reset) {
            let (Some(_), Some(view)) = (self.place.position(feed), hub.view(feed)) else {
                continue;
            };
            // A bus that does not answer says nothing of its streams.
            let Ok(state) = logs.state(feed).await else {
                continue;
            };
            if state.epoch != view.epoch || state.last_seq < view.high {
                hub.ask_audit(feed);
                overdue = true;
            }
        }
        overdue
    }

    /// Begins a snapshot of a feed. Odds: a read of the log from its beginning, which holds last images alone. Runs:
    /// the last image of each run worth showing.
    async fn begin_snapshot(&mut self, feed: Feed) -> Result<(), ReadOrEnd> {
        let Some(view) = self.shared.hub.view(feed) else {
            return Err(ReadError::Timeout.into());
        };
        let seq = match feed {
            Feed::Odds => 0,
            Feed::Run => {
                let images = self
                    .shared
                    .logs
                    .images(&self.topics, 0, self.one_run, &view)
                    .await?;
                for image in &images.images {
                    if !wanted(&self.topics, &image.frame) {
                        continue;
                    }
                    // By rising sequence: every other run's later events come after this position.
                    self.place.set(feed, Some(view.at(image.seq)));
                    self.deliver(&image.frame, Some(self.cursor())).await?;
                }
                images.as_of
            }
        };
        self.place.set(feed, Some(view.at(seq)));
        self.pace.end_lap();
        Ok(())
    }

    /// Reads the next part of the log for a feed whose ring does not reach back to the session's position.
    async fn read_log(&mut self, feed: Feed) -> Result<(), ReadOrEnd> {
        let (Some(view), Some(at)) = (self.shared.hub.view(feed), self.place.position(feed)) else {
            return Ok(());
        };
        if !view.is_of(&at) {
            // The stream has another history since the ring was looked at: the next look at it says so.
            return Ok(());
        }
        let logs = &self.shared.logs;
        let part = logs.part(feed, &self.topics, at.seq, view.floor, &view).await?;
        if let Some(state) = part.state()
            && (state.epoch != at.epoch || state.first_seq > at.seq + 1)
        {
            let oldest = Position {
                epoch: state.epoch,
                ..view.at(state.first_seq.saturating_sub(1))
            };
            let oldest = Some(self.carried.with(feed, Some(oldest)));
            self.resume(Resume {
                verdict: Verdict::Gap,
                oldest,
            })
            .await?;
            return Ok(());
        }
        for frame in part.between(at.seq, u64::MAX) {
            self.place.set(feed, Some(view.at(frame.seq)));
            if wanted(&self.topics, frame) {
                self.deliver(frame, Some(self.cursor())).await?;
            }
        }
        self.place.set(feed, Some(view.at(part.reaches())));
        self.pace.end_lap();
        Ok(())
    }

    /// Reads the next part of what a subscribe in mid-connection asked for.
    async fn read_side(&mut self) -> Result<(), ReadOrEnd> {
        let Some(side) = self.sides.first() else {
            return Ok(());
        };
        let (feed, at, floor, topics) = (side.feed, side.at, side.floor, side.topics.clone());
        let view = self.shared.hub.view(feed).ok_or(ReadError::Timeout)?;
        let cursor = self.cursor();
        let logs = &self.shared.logs;
        let reaches = match feed {
            Feed::Run => {
                let images = logs.images(&topics, floor, false, &view).await?;
                for image in &images.images {
                    // What is newer comes by the stream.
                    if image.seq <= floor && wanted(&topics, &image.frame) {
                        self.deliver(&image.frame, Some(cursor)).await?;
                    }
                }
                floor
            }
            Feed::Odds => {
                let part = logs.part(feed, &topics, at, floor, &view).await?;
                for frame in part.between(at, floor).filter(|frame| wanted(&topics, frame)) {
                    self.deliver(frame, Some(cursor)).await?;
                }
                part.reaches()
            }
        };
        if reaches >= floor {
            self.sides.remove(0);
            // What changed while they were read is owed too.
            self.pace.end_lap();
        } else {
            self.sides[0].at = reaches;
        }
        Ok(())
    }
}

/// Whether what was read belongs to one of the topics: a read may have been made for more than them.
pub(super) fn wanted(topics: &[Topic], frame: &Frame) -> bool {
    topics.iter().any(|topic| topic.matches(&frame.key))
}

/// A read failed, which may pass, or the session is over.
#[derive(Debug)]
enum ReadOrEnd {
    Read(ReadError),
    End(End),
}

impl From<ReadError> for ReadOrEnd {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<End> for ReadOrEnd {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}
