//! Several messages that are stored together or not at all: atomic batches of NATS 2.12 (ADR-50).

use super::{Ack, Failure, Publication, PublishError, until_acknowledged};
use crate::{
    bus::{Bus, REQUEST_TIMEOUT},
    span::Span,
};
use async_nats::{
    client::PublishErrorKind,
    header::{NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE},
    jetstream::message::PublishMessage,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

impl Bus {
    /// Publishes messages to one stream, which must allow batches: all of them are stored, one behind the other, or
    /// none is, when what one of them expects is not so. A server takes 1,000 in a batch. The sequence that comes back is
    /// that of the last one; nothing of the stream stands between them.
    ///
    /// Tries until it is acknowledged, refused, or `stop`, with the same ids each time, and tells why the server does not
    /// take it for now. A try that timed out may be stored nevertheless: then the next one ends with
    /// [`PublishError::WrongLast`], so have the first message expect something, and look at its subject.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_batch(
        &self,
        messages: &[Publication],
        stop: &CancellationToken,
        tell: impl Fn(&str),
    ) -> Result<Ack, PublishError> {
        messages.iter().try_for_each(Publication::check)?;
        let Some((last, before)) = messages.split_last() else {
            return Err(PublishError::Refused("an empty batch".into()));
        };
        let mut spans: Vec<Span> = messages.iter().filter_map(Publication::span).collect();
        let of_odds = self.subjects().is_fence(&messages[0].subject);
        let try_once = || async {
            if of_odds {
                self.hold_term().await?;
            }
            let tried = self.try_batch(before, last).await;
            if of_odds {
                self.note_try(&tried);
            }
            tried
        };
        let published = until_acknowledged(try_once, stop, tell).await;
        if let Err(error) = &published {
            for span in &mut spans {
                span.fail(error);
            }
        }
        published
    }

    async fn try_batch(&self, before: &[Publication], last: &Publication) -> Result<Ack, Failure> {
        // Each try is a batch of its own: what the server still has of the one before comes to nothing.
        let id = format!("{:032x}", rand::random::<u128>());
        let of_batch = |message: &Publication, number: usize| {
            let outgoing = message.outgoing().header(NATS_BATCH_ID, id.as_str());
            outgoing.header(NATS_BATCH_SEQUENCE, number.to_string())
        };
        for (number, message) in (1..).zip(before) {
            self.send(message, of_batch(message, number)).await?;
        }
        let commit = of_batch(last, before.len() + 1).header(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
        self.try_publish(commit, &last.subject).await
    }

    /// Sends a message that nobody acknowledges by itself.
    async fn send(&self, message: &Publication, outgoing: PublishMessage) -> Result<(), Failure> {
        let outbound = outgoing.outbound_message(message.subject.clone());
        let headers = outbound.headers.unwrap_or_default();
        let sent = self
            .client()
            .publish_with_headers(outbound.subject, headers, outbound.payload);
        match timeout(REQUEST_TIMEOUT, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(Failure::Final(PublishError::TooLarge))
            }
            // Without a connection the client keeps a number of messages, and then has its callers wait.
            Ok(Err(_)) | Err(_) => Err(Failure::Silent),
        }
    }
}
