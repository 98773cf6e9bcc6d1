//! Control records: small values under keys, in the stream behind a key-value bucket.
//!
//! Written and read as plain messages, since the client library's own update cannot renew a value's time to live.

use crate::{
    bus::Bus,
    log::{ReadError, Stored},
    publish::{Publication, PublishError},
};
use bytes::Bytes;
use oddswire_protocol::header::MSG_ID;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Why a value could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its removal could not be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

const OPERATION: &str = "KV-Operation";

impl Bus {
    /// Puts a value under a key, for `ttl` or for ever, and tries until it is there or `stop`.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn kv_put(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        stop: &CancellationToken,
    ) -> Result<(), PublishError> {
        let id = format!("{key}:{:032x}", rand::random::<u128>());
        let message = Publication {
            ttl,
            ..Publication::new(self.names().record_subject(key), id, value)
        };
        self.publish(&message, stop).await.map(|_| ())
    }

    /// Removes a key.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn kv_delete(&self, key: &str, stop: &CancellationToken) -> Result<(), PublishError> {
        let id = format!("{key}:{:032x}", rand::random::<u128>());
        let message = Publication {
            headers: vec![(OPERATION, "DEL".into())],
            ..Publication::new(self.names().record_subject(key), id, Bytes::new())
        };
        self.publish(&message, stop).await.map(|_| ())
    }

    /// Puts an empty value under a key that has none, for `ttl`: of several who do so at once one hears `true`.
    ///
    /// # Errors
    /// [`TakeError`]. Then nobody knows whether it is claimed.
    pub async fn kv_claim(
        &self,
        key: &str,
        ttl: Duration,
        stop: &CancellationToken,
    ) -> Result<bool, TakeError> {
        let id = format!("{:032x}", rand::random::<u128>());
        let subject = self.names().record_subject(key);
        let message = Publication {
            expected: Some(0),
            ttl: Some(ttl),
            ..Publication::new(subject.clone(), id.clone(), Bytes::new())
        };
        match self.publish(&message, stop).await {
            Ok(_) => Ok(true),
            Err(PublishError::WrongLast) => {
                // An earlier try of ours may have been stored without our hearing of it.
                let last = self
                    .leader_last_message(&self.names().record_stream(key), &subject)
                    .await?;
                Ok(last.is_some_and(|last| last.header(MSG_ID) == Some(id.as_str())))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the value under a key away: of several who do so at once one gets it. What is left is forgotten after
    /// `marker_ttl`.
    ///
    /// # Errors
    /// [`TakeError`]. Then nobody knows whether it is taken.
    pub async fn kv_take(
        &self,
        key: &str,
        marker_ttl: Duration,
        stop: &CancellationToken,
    ) -> Result<Option<Bytes>, TakeError> {
        let (stream, subject) = (self.names().record_stream(key), self.names().record_subject(key));
        // By the leader: a follower may not know yet what another gateway has put there.
        let last = self.leader_last_message(&stream, &subject).await?;
        let Some(value) = last.filter(is_value) else {
            return Ok(None);
        };
        let id = format!("{key}:{:032x}", rand::random::<u128>());
        let message = Publication {
            headers: vec![(OPERATION, "DEL".into())],
            expected: Some(value.seq),
            ttl: Some(marker_ttl),
            ..Publication::new(subject.clone(), id.clone(), Bytes::new())
        };
        match self.publish(&message, stop).await {
            Ok(_) => Ok(Some(value.payload)),
            Err(PublishError::WrongLast) => {
                // An earlier try of ours may have been stored without our hearing of it.
                let last = self.leader_last_message(&stream, &subject).await?;
                let ours = last.is_some_and(|last| last.header(MSG_ID) == Some(id.as_str()));
                Ok(ours.then_some(value.payload))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The value under a key, as the leader knows it: a follower of a quiet stream hears of the last write only with
    /// the next heartbeat, up to a second later.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn kv_get(&self, key: &str) -> Result<Option<Bytes>, ReadError> {
        let stream = self.names().record_stream(key);
        let subject = self.names().record_subject(key);
        let found = self.leader_last_message(&stream, &subject).await?;
        Ok(found.filter(is_value).map(|m| m.payload))
    }

    /// All values whose key begins with `<group>.`, with the key behind it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn kv_list(&self, group: &str) -> Result<Vec<(String, Bytes)>, ReadError> {
        let stream = self.names().record_stream(group);
        let prefix = self.names().record_subject(&format!("{group}."));
        // To the tail, wherever that is when the read gets there: a value that is written anew meanwhile moves there.
        let mut read = self.read(&stream, format!("{prefix}*"), 1, u64::MAX);
        let mut values = std::collections::BTreeMap::new();
        while let Some(page) = read.next_page().await? {
            for message in page {
                let Some(key) = message.subject.strip_prefix(&prefix).map(str::to_owned) else {
                    continue;
                };
                if is_value(&message) {
                    values.insert(key, message.payload);
                } else {
                    values.remove(&key);
                }
            }
        }
        Ok(values.into_iter().collect())
    }
}

fn is_value(message: &Stored) -> bool {
    message.header(OPERATION).is_none() && message.header("Nats-Marker-Reason").is_none()
}
