//! Taking messages from a work queue, one at a time.
//!
//! One pull is under way at most, and only while somebody waits in [`Queue::next`]: what is not taken stays with the
//! server, where another worker gets it.

use crate::{bus::Bus, log::ReadError};
use async_nats::{Subscriber, jetstream};
use bytes::Bytes;
use futures_util::StreamExt;
use jetstream::{AckKind, Message};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long the server keeps a pull open at most.
const PULL_FOR_MAX: Duration = Duration::from_secs(5);
/// How often the server says meanwhile that it is there, at least.
const HEARTBEAT_MAX: Duration = Duration::from_secs(1);
/// Without a word for this long a pull counts as lost: the server was restarted, or has another leader.
const SILENCE: Duration = Duration::from_millis(2_500);
/// How long [`Queue::close`] waits for what is on its way.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// How long an acknowledgement may take, the wait for room in the client included.
const ACK_WITHIN: Duration = Duration::from_secs(4);

/// What a durable pull consumer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueState {
    /// Without a sign of life for this long a message goes to another worker.
    pub ack_wait: Duration,
    /// How often a message is handed out at most.
    pub max_deliver: i64,
    /// The sequence up to which messages were handed out at least once.
    pub delivered_seq: u64,
}

impl Bus {
    /// The messages of a durable pull consumer.
    pub fn queue(&self, stream: &str, consumer: &str) -> Queue {
        Queue {
            bus: self.clone(),
            stream: stream.to_owned(),
            consumer: consumer.to_owned(),
            replies: None,
            pulled_at: None,
        }
    }

    /// The state of a durable pull consumer; `None` when there is no such consumer.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn queue_state(&self, stream: &str, consumer: &str) -> Result<Option<QueueState>, ReadError> {
        #[derive(Deserialize)]
        struct Info {
            config: Config,
            delivered: Delivered,
        }
        #[derive(Deserialize)]
        struct Config {
            ack_wait: u64,
            max_deliver: i64,
        }
        #[derive(Deserialize)]
        struct Delivered {
            stream_seq: u64,
        }
        let name = format!("CONSUMER.INFO.{stream}.{consumer}");
        match self.api::<Info>(&name, &serde_json::json!({})).await {
            Ok(info) => Ok(Some(QueueState {
                ack_wait: Duration::from_nanos(info.config.ack_wait),
                max_deliver: info.config.max_deliver,
                delivered_seq: info.delivered.stream_seq,
            })),
            Err(ReadError::Other(text)) if text.contains("consumer not found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes one message of a stream that allows it. It may be gone already.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn delete_message(&self, stream: &str, seq: u64) -> Result<(), ReadError> {
        let query = serde_json::json!({ "seq": seq });
        match self
            .api::<serde::de::IgnoredAny>(&format!("STREAM.MSG.DELETE.{stream}"), &query)
            .await
        {
            Ok(_) => Ok(()),
            Err(ReadError::Other(text)) if text.contains("no message found") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Listens to the notices that messages of this consumer were handed out as often as allowed. The notice is
    /// sent once, and only while some worker pulls: look at the stream from time to time as well.
    ///
    /// # Errors
    /// [`ReadError`] when the subject is refused by the client.
    pub async fn exhausted(&self, stream: &str, consumer: &str) -> Result<Exhausted, ReadError> {
        let subject = format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{consumer}");
        let notices = self
            .client()
            .subscribe(subject)
            .await
            .map_err(|e| ReadError::Other(e.to_string()))?;
        Ok(Exhausted { notices })
    }
}

/// Notices of messages that were handed out as often as allowed.
#[derive(Debug)]
pub struct Exhausted {
    notices: Subscriber,
}

impl Exhausted {
    /// The stream sequence of the next one; `None` when the connection was closed for good.
    ///
    /// # Cancel safety
    /// Dropping this future loses nothing.
    pub async fn next(&mut self) -> Option<u64> {
        #[derive(Deserialize)]
        struct Notice {
            stream_seq: u64,
        }
        loop {
            let message = self.notices.next().await?;
            if let Ok(notice) = serde_json::from_slice::<Notice>(&message.payload) {
                return Some(notice.stream_seq);
            }
        }
    }
}

/// The messages of a durable pull consumer, see [`Bus::queue`].
#[derive(Debug)]
pub struct Queue {
    bus: Bus,
    stream: String,
    consumer: String,
    replies: Option<(Subscriber, String)>,
    /// When the pull that is under way was sent.
    pulled_at: Option<Instant>,
}

impl Queue {
    /// Waits for the next message; `None` when a whole pull of some seconds went by without one, which means that
    /// none was there to be had.
    ///
    /// `ack_wait` is the consumer's. Signs of life are sent every third of it, so a message comes again two thirds after
    /// its worker froze at the earliest: a pull ends after half of it, lest the frozen worker be given its own message.
    ///
    /// # Errors
    /// [`ReadError`]; call again after a moment, it begins anew.
    ///
    /// # Cancel safety
    /// Dropping this future loses nothing: the pull stays under way and is waited for by the next call.
    pub async fn next(&mut self, ack_wait: Duration) -> Result<Option<Delivery>, ReadError> {
        if self.pulled_at.is_none() {
            self.pull(PULL_FOR_MAX.min(ack_wait / 2)).await?;
        }
        let found = self.answer().await;
        self.pulled_at = None;
        if found.is_ok() {
            // Each pull has a reply subject of its own: where the server passes answers on from another account, it keeps
            // a note of each pull until its reply subject is gone. After a failure an answer may still be on its way.
            self.replies = None;
        }
        found
    }

    /// Takes no more messages, and gives those that were on their way.
    pub async fn close(mut self) -> Vec<Delivery> {
        let mut late = Vec::new();
        let drain = async {
            if let Some((replies, _)) = &mut self.replies
                && replies.drain().await.is_ok()
            {
                while let Some(message) = replies.next().await {
                    late.extend(Delivery::new(&self.bus, message));
                }
            }
        };
        // Without a connection the server has forgotten the pull anyway.
        let _ = timeout(CLOSE_WITHIN, drain).await;
        late
    }

    async fn pull(&mut self, pull_for: Duration) -> Result<(), ReadError> {
        let other = |e: &dyn std::fmt::Display| ReadError::Other(e.to_string());
        let client = self.bus.client();
        if self.replies.is_none() {
            let inbox = client.new_inbox();
            let subscriber = client.subscribe(inbox.clone()).await.map_err(|e| other(&e))?;
            self.replies = Some((subscriber, inbox));
        }
        let inbox = self.replies.as_ref().map(|(_, inbox)| inbox.clone());
        let heartbeat = HEARTBEAT_MAX.min(pull_for / 3);
        let request = serde_json::json!({
            "batch": 1,
            "expires": u64::try_from(pull_for.as_nanos()).unwrap_or(u64::MAX),
            "idle_heartbeat": u64::try_from(heartbeat.as_nanos()).unwrap_or(u64::MAX),
        });
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.consumer);
        let sent = client.publish_with_reply(subject, inbox.unwrap_or_default(), request.to_string().into());
        timeout(SILENCE, sent)
            .await
            .map_err(|_| ReadError::Timeout)?
            .map_err(|e| other(&e))?;
        self.pulled_at = Some(Instant::now());
        Ok(())
    }

    async fn answer(&mut self) -> Result<Option<Delivery>, ReadError> {
        let (bus, replies) = (&self.bus, &mut self.replies);
        loop {
            let Some((subscriber, _)) = replies else {
                return Err(ReadError::Timeout);
            };
            let message = timeout(SILENCE, subscriber.next())
                .await
                .map_err(|_| ReadError::Timeout)?;
            let Some(message) = message else {
                *replies = None;
                return Err(ReadError::Timeout);
            };
            match message.status.map(|status| status.as_u16()) {
                None => {
                    if let Some(delivery) = Delivery::new(bus, message) {
                        return Ok(Some(delivery));
                    }
                }
                Some(100) => {}
                Some(404 | 408) => return Ok(None),
                Some(503) => return Err(ReadError::NoResponders),
                Some(_) => {
                    let text = message.description.unwrap_or_else(|| "pull refused".into());
                    return Err(ReadError::Other(text));
                }
            }
        }
    }
}

/// A message that was handed to this process, to be answered.
#[derive(Debug)]
pub struct Delivery {
    message: Message,
    seq: u64,
    times: u64,
}

impl Delivery {
    fn new(bus: &Bus, message: async_nats::Message) -> Option<Self> {
        let message = Message {
            message,
            context: bus.jetstream(),
        };
        let info = message.info().ok()?;
        let (seq, times) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1));
        Some(Self { message, seq, times })
    }

    /// Its sequence in the stream.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How often it was handed out, this time included.
    pub fn times(&self) -> u64 {
        self.times
    }

    /// Its subject.
    pub fn subject(&self) -> &str {
        self.message.message.subject.as_str()
    }

    /// The last value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.message.message.headers.as_ref()?.get_all(name);
        values.last().map(async_nats::HeaderValue::as_str)
    }

    /// Its bytes.
    pub fn payload(&self) -> &Bytes {
        &self.message.message.payload
    }

    /// Says that somebody works at it, and waits until the server has heard it.
    ///
    /// # Errors
    /// [`ReadError`] when the server did not answer.
    pub async fn progress(&self) -> Result<(), ReadError> {
        self.answer(AckKind::Progress).await
    }

    /// Says that it is done, and waits until the server has heard it: the message is gone then.
    ///
    /// # Errors
    /// [`ReadError`] when the server did not answer.
    pub async fn done(&self) -> Result<(), ReadError> {
        self.answer(AckKind::Ack).await
    }

    /// Gives it back, to be handed out again at once or after `delay`.
    ///
    /// # Errors
    /// [`ReadError`] when the server did not answer; the message is handed out again later.
    pub async fn give_back(&self, delay: Option<Duration>) -> Result<(), ReadError> {
        self.answer(AckKind::Nak(delay)).await
    }

    /// Says that nobody can do anything with it: the message is gone then.
    ///
    /// # Errors
    /// [`ReadError`] when the server did not answer.
    pub async fn discard(&self) -> Result<(), ReadError> {
        self.answer(AckKind::Term).await
    }

    async fn answer(&self, kind: AckKind) -> Result<(), ReadError> {
        timeout(ACK_WITHIN, self.message.double_ack_with(kind))
            .await
            .map_err(|_| ReadError::Timeout)?
            .map_err(|e| ReadError::Other(e.to_string()))
    }
}
