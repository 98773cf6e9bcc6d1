//! How a session joins a feed, and the verdict on it.

use super::{BUS_RETRY, End, Progress, Session, Since, Transport};
use crate::{
    hub::{FeedView, PerFeed},
    logs::Past,
    metrics::JoinLabel,
};
use oddswire_kit::log::ReadError;
use oddswire_protocol::{
    Cursor, Feed, Timestamp,
    cursor::Position,
    server::{Resume, Verdict},
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Before everything, in whatever life of the stream: a snapshot is a join from here. No stream has epoch 0.
pub(super) const BEGINNING: Position = Position::new(0, 0);

/// Whether a client drops what it holds at this verdict.
fn begins_anew(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Snapshot | Verdict::Gap)
}

/// How long a client waits for a feed to become active before it is told that the bus is down.
const ACTIVE_WITHIN: Duration = Duration::from_secs(2);
/// How long a replica that is behind a client's cursor is waited for.
const REACH_WITHIN: Duration = Duration::from_secs(5);
/// Withdrawn images expire after 7 days; a client that was away for longer than this might keep one for ever.
const ODDS_AGE_MAX_MS: u64 = 6 * 24 * 3600 * 1000;

impl<T: Transport> Session<T> {
    /// Joins those of `feeds` that a topic touches and that are not followed yet, together: one verdict covers them.
    pub(super) async fn join(&mut self, feeds: &[Feed], since: Since) -> Resume {
        let touched = |feed: &Feed| self.topics.iter().any(|topic| topic.feed() == *feed);
        let new: Vec<Feed> = feeds
            .iter()
            .copied()
            .filter(|feed| touched(feed) && self.interests[feed.index()].is_none())
            .collect();
        for feed in &new {
            self.interests[feed.index()] = Some(self.shared.hub.become_interested(*feed));
        }
        self.wait_active(&new).await;
        let wanted: Vec<(Feed, Since)> = new.into_iter().map(|feed| (feed, since)).collect();
        let placed = if wanted.iter().all(|(feed, _)| self.shared.health.serves(*feed)) {
            self.place_in(&wanted).await
        } else {
            Err(ReadError::NoResponders)
        };
        let resume = placed.unwrap_or_else(|error| {
            tracing::debug!(connection_id = self.connection_id, %error, "cannot join yet");
            for (feed, since) in wanted {
                self.waiting[feed.index()] = Some(since);
            }
            Verdict::Unavailable.into()
        });
        self.count_verdict(resume.verdict);
        resume
    }

    /// Waits until these feeds are active, for a short time.
    async fn wait_active(&self, feeds: &[Feed]) {
        let (hub, health) = (&self.shared.hub, &self.shared.health);
        let mut changes = hub.changes();
        let active = |feed: &Feed| health.serves(*feed) && hub.view(*feed).is_some();
        let all_active = || feeds.iter().all(active);
        // When they are not, the client is told that the bus is unavailable, and joins later.
        let _ = timeout(ACTIVE_WITHIN, async {
            while !all_active() && changes.changed().await.is_ok() {}
        })
        .await;
    }

    /// Joins what had to wait for the bus, when it is back; tells when to try again.
    pub(super) async fn join_waiting(&mut self) -> Result<Option<Progress>, End> {
        let waiting: Vec<(Feed, Since)> = Feed::ALL
            .into_iter()
            .filter_map(|feed| Some((feed, self.waiting[feed.index()]?)))
            .collect();
        let (hub, health) = (&self.shared.hub, &self.shared.health);
        if waiting.is_empty()
            || waiting
                .iter()
                .any(|(feed, _)| !health.serves(*feed) || hub.view(*feed).is_none())
        {
            return Ok(None);
        }
        let Ok(resume) = self.place_in(&waiting).await else {
            return Ok(Some(Progress::Retry(Instant::now() + BUS_RETRY)));
        };
        self.waiting = PerFeed::default();
        self.resume(resume).await?;
        Ok(None)
    }

    /// Tells in mid-connection how it continues. Where the client is to drop what it holds, everything that it follows
    /// begins anew.
    pub(super) async fn resume(&mut self, resume: Resume) -> Result<(), End> {
        if begins_anew(resume.verdict) {
            for feed in Feed::ALL {
                if self.place.position(feed).is_some() {
                    self.place.set(feed, Some(BEGINNING));
                    self.pace.catch_up(feed);
                }
            }
            self.pace.end_lap();
            self.sides.clear();
            self.pace.forget();
        }
        self.send_resume(resume).await
    }

    /// Decides where the session begins in active feeds that it joins together. If it begins anew in one of them it does
    /// in all: the client drops what it holds of all.
    async fn place_in(&mut self, feeds: &[(Feed, Since)]) -> Result<Resume, ReadError> {
        let mut worst = Resume::from(Verdict::Live);
        let mut positions = Vec::new();
        for (feed, since) in feeds {
            let view = self.shared.hub.view(*feed).ok_or(ReadError::Timeout)?;
            let (position, resume) = match since {
                Since::Now => (view.tail(), Verdict::Live.into()),
                Since::Snapshot => (BEGINNING, Verdict::Snapshot.into()),
                Since::Malformed => (BEGINNING, Verdict::Gap.into()),
                Since::At(cursor) => match cursor.position(*feed) {
                    // The client has nothing of this feed: its state is what it lacks, not only what comes.
                    None | Some(BEGINNING) => (BEGINNING, Verdict::Snapshot.into()),
                    Some(position) => self.judge(*feed, view, *cursor, position).await?,
                },
            };
            positions.push((*feed, view, position));
            if resume.verdict > worst.verdict {
                worst = resume;
            }
        }
        for (feed, view, position) in positions {
            let position = if begins_anew(worst.verdict) {
                BEGINNING
            } else {
                position
            };
            let is_in_ring = view.is_of(&position) && position.seq >= view.floor;
            let from = if is_in_ring { "ring" } else { "log" };
            let joins = &self.shared.metrics.joins;
            joins.get_or_create(&JoinLabel { from }).inc();
            self.place.set(feed, Some(position));
            if worst.verdict != Verdict::Live {
                self.pace.catch_up(feed);
            }
        }
        self.pace.end_lap();
        Ok(worst)
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
        if position.epoch != view.epoch && self.leader_epoch(feed).await? == position.epoch {
            // This replica has not noticed yet that the stream was made anew: the client knows more.
            self.shared.hub.ask_audit(feed);
            return Err(ReadError::Behind);
        }
        let too_old = feed == Feed::Odds && cursor.age_ms(Timestamp::now()) > ODDS_AGE_MAX_MS;
        if position.epoch != view.epoch || too_old {
            return gap(None);
        }
        let end = position.proof.map_or(position.seq, |proof| proof.end);
        if end > view.high && !self.reaches(feed, view.epoch, end).await? {
            return gap(None);
        }
        if !self.is_of_this_history(feed, &view, &position).await? {
            return gap(None);
        }
        // What the ring holds was not evicted for this session, whatever the stream has forgotten since.
        if feed == Feed::Run && position.seq < view.floor {
            let state = self.shared.logs.state(feed).await?;
            if state.first_seq > position.seq + 1 {
                let oldest = view.at(state.first_seq - 1);
                return gap(Some(self.carried.with(feed, Some(oldest))));
            }
        }
        let position = Position {
            forks: view.forks,
            ..position
        };
        Ok((position, Verdict::Replayed.into()))
    }

    /// Whether the stream still has what it had when a position was given. One without a proof is believed: it comes
    /// from a release before them, or was given where nobody knew.
    async fn is_of_this_history(
        &self,
        feed: Feed,
        view: &FeedView,
        position: &Position,
    ) -> Result<bool, ReadError> {
        let Some(proof) = position.proof.filter(|_| self.shared.proofs) else {
            return Ok(true);
        };
        let seen = self.shared.hub.mark_at(feed, proof.end);
        if seen == Some(proof.mark) {
            return Ok(true);
        }
        match self.shared.logs.past(feed, view.life, proof).await? {
            Past::Other => Ok(false),
            // The client knows more: this replica has not noticed yet that the stream has another past.
            Past::Same if seen.is_some() => {
                self.shared.hub.ask_audit(feed);
                Err(ReadError::Behind)
            }
            Past::Same | Past::Forgotten => Ok(true),
        }
    }

    async fn leader_epoch(&self, feed: Feed) -> Result<u32, ReadError> {
        Ok(self.shared.logs.state(feed).await?.epoch)
    }

    /// Whether a position past what this gateway has shown is real: this replica may merely be behind.
    async fn reaches(&self, feed: Feed, epoch: u32, end: u64) -> Result<bool, ReadError> {
        let hub = &self.shared.hub;
        let state = self.shared.logs.state(feed).await?;
        if state.epoch != epoch || state.last_seq < end {
            return Ok(false);
        }
        hub.ask_audit(feed);
        let mut changes = hub.changes();
        // To the end, not to the cursor: what the log holds now belongs before the client's `caught_up`.
        let high = || hub.view(feed).map_or(0, |view| view.high);
        let waited = timeout(REACH_WITHIN, async {
            while high() < state.last_seq && changes.changed().await.is_ok() {}
        });
        if waited.await.is_err() && high() < end {
            return Err(ReadError::Behind);
        }
        Ok(true)
    }
}
