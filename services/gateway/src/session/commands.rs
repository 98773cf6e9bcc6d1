//! What clients say in mid-connection.

use super::{End, Input, Session, Since, Transport, catch_up::Side};
use oddswire_protocol::{
    Feed, Topic,
    client::{ClientMessage, SubscribeSince},
    close::CloseCode,
    server::{ErrorCode, Pong, Ref, Resume, SubscriptionAck, Verdict},
};
use std::time::Duration;
use tokio::time::Instant;

/// How many messages a client may send: refilled at a rate, with room for two seconds of it.
#[derive(Debug)]
pub(super) struct Budget {
    rate_per_s: f64,
    left: f64,
    at: Instant,
    /// Refused in a row.
    refused: u32,
}

/// What a message costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spend {
    Ok,
    /// Too many; the first one of a row is told.
    Refuse {
        tell: bool,
    },
    /// Far too many: the client does not listen.
    Close,
}

/// A client that goes on this long in spite of being refused is closed.
const REFUSED_MAX: u32 = 1_000;

impl Budget {
    pub(super) fn new(rate_per_s: u32) -> Self {
        let rate_per_s = f64::from(rate_per_s);
        Self {
            rate_per_s,
            left: rate_per_s * 2.0,
            at: Instant::now(),
            refused: 0,
        }
    }

    pub(super) fn spend(&mut self) -> Spend {
        let now = Instant::now();
        let refill = now.duration_since(self.at).as_secs_f64() * self.rate_per_s;
        self.left = (self.left + refill).min(self.rate_per_s * 2.0);
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            self.refused = 0;
            return Spend::Ok;
        }
        self.refused += 1;
        if self.refused > REFUSED_MAX {
            Spend::Close
        } else {
            Spend::Refuse {
                tell: self.refused == 1,
            }
        }
    }
}

/// Subscribes that may be waited for at once.
const OWED_MAX: usize = 32;

impl<T: Transport> Session<T> {
    pub(super) async fn on_input(&mut self, input: Input) -> Result<(), End> {
        let text = match input {
            Input::Text(text) => text,
            Input::Violation(code) => return Err(End::Close(code)),
            Input::Gone => return Err(End::Gone),
        };
        match self.budget.spend() {
            Spend::Ok => {}
            Spend::Refuse { tell: false } => return Ok(()),
            Spend::Refuse { tell: true } => {
                let detail = format!("at most {} messages a second", self.limits.messages_per_s);
                return self.send_error(ErrorCode::RateLimited, detail, None).await;
            }
            Spend::Close => return Err(End::Close(CloseCode::Policy)),
        }
        match ClientMessage::parse(&text) {
            Ok(ClientMessage::Ping { reference }) => self.send(&Pong { reference }, None).await,
            Ok(ClientMessage::Subscribe {
                topics,
                since,
                conflate_ms,
                reference,
            }) => {
                if let Some(conflate_ms) = conflate_ms {
                    self.pace.set_conflate(Duration::from_millis(conflate_ms));
                }
                self.subscribe(&topics, since, reference).await
            }
            Ok(ClientMessage::Unsubscribe { topics, reference }) => {
                self.unsubscribe(&topics, reference).await
            }
            Ok(ClientMessage::Auth { token, reference }) => self.renew(&token, reference).await,
            Err(error) => self.send_error(error.code, error.detail, error.reference).await,
        }
    }

    async fn subscribe(
        &mut self,
        names: &[String],
        since: SubscribeSince,
        reference: Option<Ref>,
    ) -> Result<(), End> {
        if !self.admits(names, reference.as_ref()).await? {
            return Ok(());
        }
        let most = self.limits.topics;
        let mut new: Vec<Topic> = Vec::new();
        for name in names {
            let fault = match name.parse::<Topic>() {
                Ok(topic) if self.access.as_ref().is_some_and(|a| !a.grant.covers(&topic)) => (
                    ErrorCode::TopicForbidden,
                    format!("{topic}: the token does not allow it"),
                ),
                Ok(topic) if new.contains(&topic) => continue,
                Ok(topic) if self.topics.contains(&topic) => {
                    // Asked for again: its last images may be wanted again.
                    new.push(topic);
                    continue;
                }
                Ok(topic) if self.topics.len() < most => {
                    self.topics.push(topic.clone());
                    new.push(topic);
                    continue;
                }
                Ok(topic) => (
                    ErrorCode::TooManyTopics,
                    format!("{topic}: a connection has at most {most} topics"),
                ),
                Err(error) => (ErrorCode::InvalidTopic, error.to_string()),
            };
            self.send_error(fault.0, fault.1, reference.clone()).await?;
        }
        let before = self.cursor();
        let resume = self.join_new(&new, since).await;
        if !self.sides.is_empty() {
            self.pinned.get_or_insert(before);
        }
        self.owed.push((reference.clone(), 0));
        let ack = SubscriptionAck {
            topics: self.topic_names(),
            resume,
            token_expires_at: self.token_expires_at(),
            reference,
        };
        self.send(&ack, None).await
    }

    /// Whether a list of topics is short enough, and this client is not owed too much already.
    async fn admits(&mut self, names: &[String], reference: Option<&Ref>) -> Result<bool, End> {
        let most = self.limits.topics;
        let detail = if names.len() > most {
            format!("at most {most} topics in one message")
        } else if self.owed.len() >= OWED_MAX {
            format!("{OWED_MAX} subscribes are not caught up yet: wait for them")
        } else {
            return Ok(true);
        };
        self.send_error(ErrorCode::TooManyTopics, detail, reference.cloned())
            .await?;
        Ok(false)
    }

    /// Joins feeds that new topics touch for the first time; on the others a snapshot is read beside the stream.
    async fn join_new(&mut self, new: &[Topic], since: SubscribeSince) -> Resume {
        let (from, verdict) = match since {
            SubscribeSince::Now => (Since::Now, Verdict::Live),
            SubscribeSince::Snapshot => (Since::Snapshot, Verdict::Snapshot),
        };
        let mut resume = Resume::from(verdict);
        for feed in Feed::ALL {
            let topics: Vec<Topic> = new.iter().filter(|topic| topic.feed() == feed).cloned().collect();
            if topics.is_empty() {
                continue;
            }
            if self.interests[feed.index()].is_none() {
                let joined = self.join(&[feed], from).await;
                if joined.verdict > resume.verdict {
                    resume = joined;
                }
            } else if let Some(waiting) = self.waiting[feed.index()].as_mut() {
                if since == SubscribeSince::Snapshot {
                    *waiting = Since::Snapshot;
                }
                resume = Verdict::Unavailable.into();
            } else if let (SubscribeSince::Snapshot, Some(at)) = (since, self.place.position(feed)) {
                self.read_beside(feed, topics, at.seq);
            }
        }
        resume
    }

    /// Has the last images of topics read up to `floor`, together with those of the same feed that are not read yet.
    fn read_beside(&mut self, feed: Feed, mut topics: Vec<Topic>, floor: u64) {
        if let Some(pending) = self.sides.iter().position(|side| side.feed == feed) {
            let pending = self.sides.remove(pending);
            topics.extend(
                pending
                    .topics
                    .into_iter()
                    .filter(|topic| !topics.contains(topic))
                    .collect::<Vec<_>>(),
            );
        }
        self.sides.push(Side {
            feed,
            topics,
            at: 0,
            floor,
        });
    }

    async fn unsubscribe(&mut self, names: &[String], reference: Option<Ref>) -> Result<(), End> {
        if !self.admits(names, reference.as_ref()).await? {
            return Ok(());
        }
        for name in names {
            let named = name.parse::<Topic>().ok();
            let granted = self.topics.iter().position(|topic| Some(topic) == named.as_ref());
            if let Some(at) = granted {
                let topic = self.topics.remove(at);
                for side in &mut self.sides {
                    side.topics.retain(|other| *other != topic);
                }
            } else {
                let shown: String = name.chars().take(80).collect();
                let detail = format!("{shown:?} is not one of this connection's topics");
                self.send_error(ErrorCode::InvalidTopic, detail, reference.clone())
                    .await?;
            }
        }
        self.sides.retain(|side| !side.topics.is_empty());
        for feed in Feed::ALL {
            if !self.topics.iter().any(|topic| topic.feed() == feed) {
                self.leave(feed);
            }
        }
        let ack = SubscriptionAck {
            topics: self.topic_names(),
            resume: Verdict::Live.into(),
            token_expires_at: self.token_expires_at(),
            reference,
        };
        self.send(&ack, None).await
    }

    /// Follows a feed no more. Its position is carried on in the cursor.
    pub(super) fn leave(&mut self, feed: Feed) {
        if self.interests[feed.index()].take().is_some() {
            self.carried = self.cursor();
            self.place.set(feed, None);
            self.pace.end_lap();
            self.waiting[feed.index()] = None;
            self.sides.retain(|side| side.feed != feed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_has_two_seconds_of_messages_and_then_its_rate() {
        let mut budget = Budget::new(10);
        assert_eq!((0..20).filter(|_| budget.spend() == Spend::Ok).count(), 20);
        assert_eq!(budget.spend(), Spend::Refuse { tell: true });
        assert_eq!(budget.spend(), Spend::Refuse { tell: false });
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(budget.spend(), Spend::Ok);
        assert_eq!(budget.spend(), Spend::Refuse { tell: true });
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_listen_is_closed() {
        let mut budget = Budget::new(1);
        let last = (0..=REFUSED_MAX + 2).map(|_| budget.spend()).last();
        assert_eq!(last, Some(Spend::Close));
    }
}
