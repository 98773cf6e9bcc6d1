//! Moving a session: by the ring where it reaches back, by the log where it does not.

use super::{BUS_RETRY, End, Progress, Session, Transport, join::BEGINNING};
use crate::frame::{Frame, is_terminal};
use oddswire_kit::{
    bus::Bus,
    log::{ReadError, Stored},
};
use oddswire_protocol::{
    Cursor, Feed, Timestamp, Topic,
    cursor::Position,
    header::CE_TIME,
    server::{Resume, Verdict},
};
use std::collections::{BTreeMap, BTreeSet};
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

/// Messages of a part of the log, by rising sequence, and how far that part reaches.
struct Part {
    messages: Vec<Stored>,
    reaches: u64,
}

/// A run that is over is part of a snapshot for this long.
const RUN_SHOWN_MS: u64 = 10 * 60 * 1000;

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
        let step = self.shared.hub.step(&mut self.place, &self.topics);
        if let Some(feed) = step.reset {
            if self.place.position(feed) != Some(BEGINNING) {
                self.resume(Verdict::Gap.into()).await?;
                return Ok(Progress::More);
            }
            let read = self.begin_snapshot(feed).await;
            return self.after_read(read);
        }
        if let Some(feed) = step.behind {
            let read = self.read_log(feed).await;
            return self.after_read(read);
        }
        if step.inactive.is_some() {
            return Ok(Progress::Idle);
        }
        for (frame, positions) in &step.frames {
            let cursor = self.pinned.unwrap_or_else(|| self.cursor_at(positions));
            self.deliver(frame, cursor).await?;
        }
        if step.more {
            return Ok(Progress::More);
        }
        self.send_caught_up().await?;
        Ok(Progress::Idle)
    }

    fn after_read(&mut self, read: Result<(), ReadOrEnd>) -> Result<Progress, End> {
        match read {
            Ok(()) => Ok(Progress::More),
            Err(ReadOrEnd::End(end)) => Err(end),
            Err(ReadOrEnd::Read(error)) => {
                tracing::debug!(connection = self.connection_id, %error, "cannot read the log yet");
                Ok(Progress::Retry(Instant::now() + BUS_RETRY))
            }
        }
    }

    async fn deliver(&mut self, frame: &Frame, cursor: Cursor) -> Result<(), End> {
        for (_, replayed) in &mut self.owed {
            *replayed += 1;
        }
        self.transmit(&frame.envelope, self.ids.then_some(cursor)).await?;
        if self.one_run && frame.terminal {
            self.flush().await?;
            return Err(End::Finished);
        }
        Ok(())
    }

    /// Begins a snapshot of a feed. Odds: a read of the log from its beginning, which holds last images alone. Runs:
    /// the last image of each run worth showing.
    async fn begin_snapshot(&mut self, feed: Feed) -> Result<(), ReadOrEnd> {
        let Some(view) = self.shared.hub.view(feed) else {
            return Err(ReadError::Timeout.into());
        };
        let position = match feed {
            Feed::Odds => Position {
                epoch: view.epoch,
                seq: 0,
            },
            Feed::Run => {
                let topics = self.topics.clone();
                for image in self.run_images(&topics, view.high).await? {
                    // By rising sequence: every other run's later events come after this position.
                    let at = Position {
                        epoch: view.epoch,
                        seq: image.origin_seq(),
                    };
                    self.place.set(feed, Some(at));
                    self.deliver_stored(std::slice::from_ref(&image), self.cursor())
                        .await?;
                }
                view.tail()
            }
        };
        self.place.set(feed, Some(position));
        Ok(())
    }

    /// Reads the next part of the log for a feed whose ring does not reach back to the session's position.
    async fn read_log(&mut self, feed: Feed) -> Result<(), ReadOrEnd> {
        let (Some(view), Some(at)) = (self.shared.hub.view(feed), self.place.position(feed)) else {
            return Ok(());
        };
        let part = self.read_part(feed, &self.topics, at.seq, view.floor).await?;
        if feed == Feed::Run {
            // Asked after the read: whatever was evicted before is known now.
            let state = self
                .shared
                .bus
                .stream_state(self.shared.bus.names().feed(feed))
                .await?;
            if state.epoch != at.epoch || state.first_seq > at.seq + 1 {
                let oldest = Position {
                    epoch: state.epoch,
                    seq: state.first_seq.saturating_sub(1),
                };
                let oldest = Some(self.carried.with(feed, Some(oldest)));
                self.resume(Resume {
                    verdict: Verdict::Gap,
                    oldest,
                })
                .await?;
                return Ok(());
            }
        }
        for message in &part.messages {
            self.place.set(
                feed,
                Some(Position {
                    seq: message.seq,
                    ..at
                }),
            );
            let cursor = self.cursor();
            self.deliver_stored(std::slice::from_ref(message), cursor).await?;
        }
        self.place.set(
            feed,
            Some(Position {
                seq: part.reaches,
                ..at
            }),
        );
        Ok(())
    }

    /// Reads the next part of what a subscribe in mid-connection asked for.
    async fn read_side(&mut self) -> Result<(), ReadOrEnd> {
        let Some(side) = self.sides.first() else {
            return Ok(());
        };
        let (feed, floor) = (side.feed, side.floor);
        let (messages, reaches) = match feed {
            Feed::Run => (self.run_images(&side.topics, floor).await?, floor),
            Feed::Odds => {
                let part = self.read_part(feed, &side.topics, side.at, floor).await?;
                (part.messages, part.reaches)
            }
        };
        let cursor = self.cursor();
        self.deliver_stored(&messages, cursor).await?;
        if reaches >= floor {
            self.sides.remove(0);
        } else {
            self.sides[0].at = reaches;
        }
        Ok(())
    }

    async fn deliver_stored(&mut self, messages: &[Stored], cursor: Cursor) -> Result<(), ReadOrEnd> {
        for message in messages {
            if let Ok(frame) = Frame::new(self.shared.bus.subjects(), message) {
                self.deliver(&frame, cursor).await?;
            } else {
                self.shared.metrics.skipped.inc();
            }
        }
        Ok(())
    }

    /// One page of each filter of these topics, merged: what is after `at`, as far as every filter reaches.
    async fn read_part(&self, feed: Feed, topics: &[Topic], at: u64, floor: u64) -> Result<Part, ReadError> {
        let bus = &self.shared.bus;
        let mut messages: Vec<Stored> = Vec::new();
        let mut reaches = floor;
        for filter in filters(feed, topics) {
            let mut read = bus.read(
                bus.names().feed(feed),
                bus.subjects().feed_filter(&filter),
                at + 1,
                floor,
            );
            let page = read.next_page().await?.unwrap_or_default();
            if !read.is_done() {
                reaches = reaches.min(page.last().map_or(at, |m| m.seq));
            }
            messages.extend(page);
        }
        messages.retain(|m| m.seq <= reaches && wanted(bus, topics, m));
        messages.sort_by_key(|m| m.seq);
        messages.dedup_by_key(|m| m.seq);
        Ok(Part {
            messages,
            reaches: reaches.max(at),
        })
    }

    /// The last images, as of `floor`, of the runs that are worth showing. The copy that holds them may be behind the
    /// log; what it does not have yet is read from the log itself.
    async fn run_images(&self, topics: &[Topic], floor: u64) -> Result<Vec<Stored>, ReadError> {
        let bus = &self.shared.bus;
        let names = bus.names();
        let log = bus.stream_state(&names.runs).await?;
        let copied = bus.copied_to(&names.runs_last, &log).await?;
        let mut last: BTreeMap<String, Stored> = BTreeMap::new();
        for filter in filters(Feed::Run, topics) {
            let subject = bus.subjects().feed_filter(&filter);
            for (stream, from, to) in [(&names.runs_last, 1, u64::MAX), (&names.runs, copied + 1, floor)] {
                let mut read = bus.read(stream, subject.clone(), from, to);
                while let Some(page) = read.next_page().await? {
                    // What is past the floor comes by the stream.
                    let known = page.into_iter().filter(|message| {
                        message.is_of(&log) && message.origin_seq() <= floor && wanted(bus, topics, message)
                    });
                    last.extend(known.map(|message| (message.subject.clone(), message)));
                }
            }
        }
        let now = Timestamp::now();
        let mut images: Vec<Stored> = last
            .into_values()
            .filter(|message| self.one_run || worth_showing(message, now))
            .collect();
        images.sort_by_key(Stored::origin_seq);
        Ok(images)
    }
}

/// A run is part of a snapshot until ten minutes after its end.
fn worth_showing(message: &Stored, now: Timestamp) -> bool {
    let ended_at = message
        .header(CE_TIME)
        .and_then(|t| t.parse().ok())
        .unwrap_or(message.stored_at);
    !is_terminal(message) || now.ms_since(ended_at) <= RUN_SHOWN_MS
}

/// One filter a read: with more than this many, the whole feed is read once and filtered here.
const FILTERS_MAX: usize = 8;

/// The different filters of the topics on one feed; one that takes everything makes the others idle.
fn filters(feed: Feed, topics: &[Topic]) -> BTreeSet<String> {
    let all: BTreeSet<String> = topics
        .iter()
        .filter(|topic| topic.feed() == feed)
        .flat_map(Topic::filters)
        .collect();
    let everything = format!("{feed}.>");
    if all.contains(&everything) || all.len() > FILTERS_MAX {
        BTreeSet::from([everything])
    } else {
        all
    }
}

/// Whether a message read from the log is one of the topics'.
fn wanted(bus: &Bus, topics: &[Topic], message: &Stored) -> bool {
    // What is no event of ours is kept: it is told apart, and counted, where it is encoded.
    bus.subjects()
        .parse(&message.subject)
        .is_none_or(|key| topics.iter().any(|topic| topic.matches(&key)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_topics_are_read_as_the_whole_feed_once() {
        let topics: Vec<Topic> = (0..9)
            .map(|n| format!("scrape_progress.s{n}").parse().unwrap())
            .collect();
        assert_eq!(filters(Feed::Run, &topics), BTreeSet::from(["run.>".to_owned()]));
        assert_eq!(filters(Feed::Run, &topics[..8]).len(), 8);
    }

    #[test]
    fn a_topic_that_takes_everything_makes_the_others_idle() {
        let topics: Vec<Topic> = ["odds_updates", "odds_updates.soccer", "scrape_progress.alpha"]
            .map(|t| t.parse().unwrap())
            .into();
        assert_eq!(
            filters(Feed::Odds, &topics),
            BTreeSet::from(["odds.>".to_owned()])
        );
        assert_eq!(
            filters(Feed::Run, &topics),
            BTreeSet::from(["run.alpha.>".to_owned()])
        );
    }
}
