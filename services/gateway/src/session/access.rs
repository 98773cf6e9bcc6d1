//! What a client's token allows in mid-connection: how it ends, and how another one takes its place.

use super::{End, Gone, Session, Transport};
use crate::auth::{Grant, Refusal};
use oddswire_protocol::{
    Feed, Timestamp,
    close::CloseCode,
    server::{ErrorCode, ErrorData, Ref, SubscriptionAck, Verdict},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// A grant, and when it ends by this machine's own clock, which no one sets.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) grant: Arc<Grant>,
    ends_at: Instant,
    /// When the client is told that it ends; none once that is done.
    notice_at: Option<Instant>,
}

impl Access {
    /// One that ends with its grant, and is announced `notice` before, or in the middle of what is left.
    pub(super) fn new(grant: Arc<Grant>, notice: Duration) -> Self {
        let left = Duration::from_millis(grant.left_ms());
        let now = Instant::now();
        // A time that the clock cannot hold is as good as a year.
        let ends_at = now.checked_add(left).unwrap_or(now + YEAR);
        Self {
            grant,
            ends_at,
            notice_at: ends_at.checked_sub(notice.min(left / 2)),
        }
    }

    /// When there is something to say or to do.
    pub(super) fn due_at(&self) -> Instant {
        self.notice_at.unwrap_or(self.ends_at)
    }

    pub(super) fn ends_at(&self) -> Instant {
        self.ends_at
    }

    /// Waits until a transport has taken what it is given: until the end of the token, where there is one. How slowly
    /// its client may take it is the transport's to judge, which sees whether it takes some.
    pub(super) async fn while_allowed(
        ends_at: Option<Instant>,
        taken: impl Future<Output = Result<(), Gone>>,
    ) -> Result<(), End> {
        let taken = match ends_at {
            Some(at) => timeout_at(at, taken)
                .await
                .map_err(|_| End::Close(CloseCode::TokenExpired))?,
            None => taken.await,
        };
        taken.map_err(End::from)
    }

    pub(super) fn is_over(&self) -> bool {
        self.ends_at <= Instant::now()
    }
}

/// How long the last word may take to be handed over.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl<T: Transport> Session<T> {
    /// From when on it must not get anything any more.
    pub fn over_at(&self) -> Instant {
        let access = self.access.as_ref().map(Access::ends_at);
        access.unwrap_or_else(|| Instant::now() + self.shared.heartbeat)
    }

    /// Whether it must not get anything any more.
    pub fn is_over(&self) -> bool {
        self.access.as_ref().is_some_and(Access::is_over)
    }

    pub(super) fn access_at(&self) -> Instant {
        self.access.as_ref().map_or_else(Instant::now, Access::due_at)
    }

    pub(super) fn token_expires_at(&self) -> Option<Timestamp> {
        self.access.as_ref().map(|access| access.grant.expires_at())
    }

    /// Tells that the token ends soon; ends with it.
    pub(super) async fn look_at_access(&mut self) -> Result<(), End> {
        let Some(access) = self.access.as_mut() else {
            return Ok(());
        };
        if access.is_over() {
            self.shared.door.note("expired_in_connection");
            // The last word needs no time of the token.
            self.access = None;
            let detail = "the token has expired: come back with a new one";
            self.send_notice(ErrorCode::TokenExpired, detail.into()).await?;
            // Who takes no bytes is not waited for.
            let _ = timeout(LAST_WORDS_WITHIN, self.flush()).await;
            return Err(End::Close(CloseCode::TokenExpired));
        }
        if access.notice_at.is_some_and(|at| at <= Instant::now()) {
            access.notice_at = None;
            let left = access.ends_at.saturating_duration_since(Instant::now());
            let detail = format!(
                "the token expires in {} s: send auth with a new one, or come back with it",
                left.as_secs_f64().round()
            );
            self.send_notice(ErrorCode::TokenExpiring, detail).await?;
        }
        Ok(())
    }

    /// An `error` that answers nothing.
    async fn send_notice(&mut self, code: ErrorCode, detail: String) -> Result<(), End> {
        let notice = ErrorData {
            code,
            detail,
            reference: None,
        };
        self.send(&notice, None).await
    }

    /// Takes a new token in place of the old one. Topics that it does not allow are left.
    pub(super) async fn renew(&mut self, token: &str, reference: Option<Ref>) -> Result<(), End> {
        if !self.shared.door.is_on() {
            let detail = "this gateway does not ask for tokens".to_owned();
            return self.send_error(ErrorCode::AuthDisabled, detail, reference).await;
        }
        let checked = self.shared.door.by_token(token).await;
        let same = |grant: &Arc<Grant>| {
            let old = self.access.as_ref();
            old.is_none_or(|old| old.grant.is_of_same_subject(grant))
        };
        let grant = match checked {
            Ok(grant) if same(&grant) => grant,
            refused => {
                let refusal = refused.map_or_else(|r| r, |_| self.shared.door.refuse(Refusal::Subject));
                return self
                    .send_error(refusal.code(), refusal.to_string(), reference)
                    .await;
            }
        };
        self.topics.retain(|topic| grant.covers(topic));
        for side in &mut self.sides {
            side.topics.retain(|topic| grant.covers(topic));
        }
        self.sides.retain(|side| !side.topics.is_empty());
        for feed in Feed::ALL {
            if !self.topics.iter().any(|topic| topic.feed() == feed) {
                self.leave(feed);
            }
        }
        self.access = Some(Access::new(grant, self.shared.door.auth().notice));
        let ack = SubscriptionAck {
            topics: self.topic_names(),
            resume: Verdict::Live.into(),
            token_expires_at: self.token_expires_at(),
            reference,
        };
        self.send(&ack, None).await
    }
}
