//! Single messages as the leader of a stream knows them: followers may be behind.

use super::{ReadError, Stored};
use crate::bus::Bus;
use async_nats::jetstream::stream::RawMessage;
use serde::Deserialize;

impl Bus {
    /// The first sequence from `seq` on whose subject is under `filter`, as the leader knows it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn leader_next(&self, stream: &str, seq: u64, filter: &str) -> Result<Option<u64>, ReadError> {
        self.leader_get(
            stream,
            &serde_json::json!({ "seq": seq.max(1), "next_by_subj": filter }),
        )
        .await
    }

    /// The sequence of the last message of a subject, as the leader knows it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn leader_last(&self, stream: &str, subject: &str) -> Result<Option<u64>, ReadError> {
        self.leader_get(stream, &serde_json::json!({ "last_by_subj": subject }))
            .await
    }

    /// The last message of a subject, as the leader knows it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn leader_last_message(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<Stored>, ReadError> {
        let query = serde_json::json!({ "last_by_subj": subject });
        self.leader_message_by(stream, &query).await
    }

    /// The message with exactly this sequence, as the leader knows it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn leader_message(&self, stream: &str, seq: u64) -> Result<Option<Stored>, ReadError> {
        self.leader_message_by(stream, &serde_json::json!({ "seq": seq }))
            .await
    }

    async fn leader_message_by(
        &self,
        stream: &str,
        query: &serde_json::Value,
    ) -> Result<Option<Stored>, ReadError> {
        #[derive(Deserialize)]
        struct Answer {
            message: RawMessage,
        }
        let answer = self
            .api::<Answer>(&format!("STREAM.MSG.GET.{stream}"), query)
            .await;
        match answer {
            Ok(answer) => Stored::from_raw(answer.message).map(Some),
            Err(ReadError::Other(text)) if text.contains("no message found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn leader_get(&self, stream: &str, query: &serde_json::Value) -> Result<Option<u64>, ReadError> {
        #[derive(Deserialize)]
        struct Answer {
            message: Head,
        }
        #[derive(Deserialize)]
        struct Head {
            seq: u64,
        }
        match self
            .api::<Answer>(&format!("STREAM.MSG.GET.{stream}"), query)
            .await
        {
            Ok(answer) => Ok(Some(answer.message.seq)),
            Err(ReadError::Other(text)) if text.contains("no message found") => Ok(None),
            Err(error) => Err(error),
        }
    }
}
