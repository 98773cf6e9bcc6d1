//! What goes by without being stored, or right after: the live side of streams, requests, and words to whoever listens.

use crate::{
    bus::{Bus, REQUEST_TIMEOUT},
    log::{ReadError, STREAM, Stored},
};
use async_nats::Client;
use futures_util::StreamExt;
use oddswire_protocol::{Feed, Subjects};

impl Bus {
    /// Listens to the live side of a feed. To be sure that the server has the subscription, read something on the
    /// same connection afterwards: commands of one connection are carried out in order, a flush proves nothing.
    ///
    /// # Errors
    /// [`ReadError`] when the subject is refused by the client.
    pub async fn listen(&self, feed: Feed) -> Result<Listener, ReadError> {
        let subscriber = self
            .client()
            .subscribe(self.subjects().live_all(feed))
            .await
            .map_err(|e| ReadError::Other(e.to_string()))?;
        Ok(Listener {
            subscriber,
            subjects: self.subjects().clone(),
            stream: self.names().feed(feed).to_owned(),
        })
    }

    /// Answers requests on `subject` until the returned value is dropped.
    ///
    /// # Errors
    /// [`ReadError`] when the subject is refused by the client.
    pub async fn serve(&self, subject: String) -> Result<Requests, ReadError> {
        let subscriber = self
            .client()
            .subscribe(subject)
            .await
            .map_err(|e| ReadError::Other(e.to_string()))?;
        Ok(Requests {
            subscriber,
            client: self.client().clone(),
        })
    }

    /// Asks whoever serves `subject`, and tells whether somebody answered.
    pub async fn ask(&self, subject: String) -> bool {
        self.client().request(subject, bytes::Bytes::new()).await.is_ok()
    }

    /// Sends a message that nothing stores.
    pub async fn tell(&self, subject: String, payload: bytes::Bytes) {
        // Nothing waits for it: when the connection is gone, so is the message.
        let _ = tokio::time::timeout(REQUEST_TIMEOUT, self.client().publish(subject, payload)).await;
    }
}

/// Committed events of a stream as they happen.
#[derive(Debug)]
pub struct Listener {
    subscriber: async_nats::Subscriber,
    subjects: Subjects,
    stream: String,
}

impl Listener {
    /// The next event; `None` when the connection was closed for good.
    ///
    /// What does not prove that it is one is skipped. Whoever may ask JetStream anything can have its answers come by
    /// here, and they are like events: but of another stream, or on another subject than theirs.
    ///
    /// # Cancel safety
    /// Dropping this future loses nothing.
    pub async fn next(&mut self) -> Option<Stored> {
        loop {
            let message = self.subscriber.next().await?;
            let came_by = message.subject.clone();
            if let Some(stored) = Stored::from_message(message).filter(|stored| self.proves(&came_by, stored))
            {
                return Some(stored);
            }
        }
    }

    fn proves(&self, came_by: &str, stored: &Stored) -> bool {
        stored.header(STREAM) == Some(self.stream.as_str())
            && self.subjects.is_live_of(came_by, &stored.subject)
    }

    /// Ends the subscription at the server.
    pub async fn close(mut self) {
        // The connection may be gone, and the subscription with it.
        let _ = self.subscriber.unsubscribe().await;
    }
}

/// Requests to a subject.
#[derive(Debug)]
pub struct Requests {
    subscriber: async_nats::Subscriber,
    client: Client,
}

impl Requests {
    /// Waits for the next request and acknowledges it with an empty answer; `None` when the connection was closed.
    ///
    /// # Cancel safety
    /// Dropping this future before it is ready loses nothing.
    pub async fn next(&mut self) -> Option<bytes::Bytes> {
        let message = self.subscriber.next().await?;
        if let Some(reply) = message.reply {
            // The asker may be gone.
            let _ = self.client.publish(reply, bytes::Bytes::new()).await;
        }
        Some(message.payload)
    }
}
