//! How a session joins a feed, and the verdict on it.

use super::{BUS_RETRY, End, Progress, Session, Since, Transport};
use crate::hub::FeedView;
use oddswire_kit::log::ReadError;
use oddswire_protocol::{
    Cursor, Feed, Timestamp,
    cursor::Position,
    server::{Resume, Verdict},
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Before everything, in whatever life of the stream: a snapshot is a join from here. No stream has epoch 0.
pub(super) const BEGINNING: Position = Position { epoch: 0, seq: 0 };

/// How long a client waits for a feed to become active before it is told that the bus is down.
const ACTIVE_WITHIN: Duration = Duration::from_secs(2);
/// How long a replica that is behind a client's cursor is waited for.
const REACH_WITHIN: Duration = Duration::from_secs(5);
/// Withdrawn images expire after 7 days; a client that was away for longer than this might keep one for ever.
const ODDS_AGE_MAX_MS: u64 = 6 * 24 * 3600 * 1000;

impl<T: Transport> Session<T> {
    /// Joins those of `feeds` that a topic touches and that are not followed yet. One verdict covers them, the
    /// worst.
    pub(super) async fn join(&mut self, feeds: &[Feed], since: Since) -> Resume {
        let mut resume = Resume::from(Verdict::Live);
        for feed in feeds {
            let touched = self.topics.iter().any(|topic| topic.feed() == *feed);
            if !touched || self.interests[feed.index()].is_some() {
                continue;
            }
            self.interests[feed.index()] = Some(self.shared.hub.become_interested(*feed));
            let found = match self.wait_active(*feed).await {
                Some(view) => self.place_in(*feed, view, since).await,
                None => Err(ReadError::Timeout),
            };
            let found = found.unwrap_or_else(|_| {
                self.waiting[feed.index()] = Some(since);
                Verdict::Unavailable.into()
            });
            if found.verdict > resume.verdict {
                resume = found;
            }
        }
        self.count_verdict(resume.verdict);
        resume
    }

    async fn wait_active(&mut self, feed: Feed) -> Option<FeedView> {
        let hub = &self.shared.hub;
        let mut changes = hub.changes();
        timeout(ACTIVE_WITHIN, async {
            loop {
                if let Some(view) = hub.view(feed) {
                    return Some(view);
                }
                changes.changed().await.ok()?;
            }
        })
        .await
        .ok()?
    }

    /// Joins what had to wait for the bus; tells how far that came.
    pub(super) async fn join_waiting(&mut self) -> Result<Option<Progress>, End> {
        for feed in Feed::ALL {
            let (Some(since), Some(view)) = (self.waiting[feed.index()], self.shared.hub.view(feed)) else {
                continue;
            };
            let Ok(resume) = self.place_in(feed, view, since).await else {
                return Ok(Some(Progress::Retry(Instant::now() + BUS_RETRY)));
            };
            self.waiting[feed.index()] = None;
            self.send_resume(resume).await?;
        }
        Ok(None)
    }

    /// Decides where the session begins in an active feed.
    async fn place_in(&mut self, feed: Feed, view: FeedView, since: Since) -> Result<Resume, ReadError> {
        let (position, resume) = match since {
            Since::Now => (view.tail(), Verdict::Live.into()),
            Since::Snapshot => (BEGINNING, Verdict::Snapshot.into()),
            Since::Malformed => (BEGINNING, Verdict::Gap.into()),
            Since::At(cursor) => match cursor.position(feed) {
                None => (view.tail(), Verdict::Live.into()),
                Some(BEGINNING) => (BEGINNING, Verdict::Snapshot.into()),
                Some(position) => self.judge(feed, view, cursor, position).await?,
            },
        };
        self.place.positions[feed.index()] = Some(position);
        Ok(resume)
    }

    /// Whether a position can be continued.
    async fn judge(
        &self,
        feed: Feed,
        view: FeedView,
        cursor: Cursor,
        position: Position,
    ) -> Result<(Position, Resume), ReadError> {
        let gap = |oldest| {
            Ok((
                BEGINNING,
                Resume {
                    verdict: Verdict::Gap,
                    oldest,
                },
            ))
        };
        let too_old = feed == Feed::Odds && cursor.age_ms(Timestamp::now()) > ODDS_AGE_MAX_MS;
        if position.epoch != view.epoch || too_old {
            return gap(None);
        }
        if position.seq > view.high && !self.reaches(feed, position).await? {
            return gap(None);
        }
        // What the ring holds was not evicted for this session, whatever the stream has forgotten since.
        if feed == Feed::Run && position.seq < view.floor {
            let state = self
                .shared
                .bus
                .stream_state(self.shared.bus.names().feed(feed))
                .await?;
            if state.first_seq > position.seq + 1 {
                let oldest = Position {
                    epoch: view.epoch,
                    seq: state.first_seq - 1,
                };
                return gap(Some(self.carried.with(feed, Some(oldest))));
            }
        }
        Ok((position, Verdict::Replayed.into()))
    }

    /// Whether a position past what this gateway has shown is real: this replica may merely be behind.
    async fn reaches(&self, feed: Feed, position: Position) -> Result<bool, ReadError> {
        let (hub, bus) = (&self.shared.hub, &self.shared.bus);
        let state = bus.stream_state(bus.names().feed(feed)).await?;
        if state.epoch != position.epoch || state.last_seq < position.seq {
            return Ok(false);
        }
        hub.ask_audit(feed);
        let mut changes = hub.changes();
        let reached = || hub.view(feed).is_some_and(|view| view.high >= position.seq);
        timeout(REACH_WITHIN, async {
            while !reached() && changes.changed().await.is_ok() {}
        })
        .await
        .map(|()| true)
        .map_err(|_| ReadError::Behind)
    }
}
