//! Publishing to streams: acknowledged, tried again with the same id until it is, and fenced where asked.

use crate::{
    bus::Bus,
    span::{Kind, Span},
    trace::Trace,
};
use async_nats::{
    HeaderMap,
    jetstream::{ErrorCode, context::PublishErrorKind, message::PublishMessage},
};
use bytes::Bytes;
use oddswire_protocol::header::{CE_TYPE, MSG_ID, RESERVED, TRACEPARENT};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A message for a stream.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Where to.
    pub subject: String,
    /// `Nats-Msg-Id`: the same for every try of the same message, another for every other message.
    pub id: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes.
    pub payload: Bytes,
    /// The sequence that the last message of this subject must have; 0: there is none.
    pub expected: Option<u64>,
    /// How long it is kept, when not for ever.
    pub ttl: Option<Duration>,
    /// The span that it is published within. Its own is the one that its `traceparent` names.
    pub within: Option<Trace>,
}

impl Publication {
    /// A message without further headers, expectation or end.
    pub fn new(subject: String, id: String, payload: Bytes) -> Self {
        Self {
            subject,
            id,
            headers: Vec::new(),
            payload,
            expected: None,
            ttl: None,
            within: None,
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The span of its publication, where it belongs to a trace.
    fn span(&self) -> Option<Span> {
        let trace = self.header(TRACEPARENT)?.parse().ok()?;
        let name = format!("publish {}", self.header(CE_TYPE).unwrap_or("job"));
        let mut span = Span::begin(Kind::Producer, &name, trace, self.within);
        span.tell("messaging.system", "nats");
        span.tell("messaging.destination.name", &self.subject);
        Some(span)
    }
}

/// A message was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Under this sequence.
    pub seq: u64,
    /// By an earlier try.
    pub duplicate: bool,
    /// With this try; more than 1 when the bus had to be asked again.
    pub tries: u32,
}

/// Why a message was not stored. What may pass by itself is tried again and never shows here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The last message of the subject is not the expected one. Its writer may have been an earlier try of this
    /// same message: this check comes before de-duplication, so look at the id of what is there.
    #[error("somebody else wrote to the subject")]
    WrongLast,
    /// The subject may hold one message only, and holds one.
    #[error("the subject is taken")]
    Taken,
    /// Larger than the server takes.
    #[error("the message is too large")]
    TooLarge,
    /// A header that only the server sets.
    #[error("header {0} is reserved to the server")]
    Reserved(&'static str),
    /// The stop signal came before it was stored; it may have been stored nevertheless.
    #[error("stopped before it was acknowledged")]
    Stopped,
    /// The server refuses it.
    #[error("{0}")]
    Refused(String),
}

const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

impl Bus {
    /// Publishes until it is acknowledged, refused, or `stop`.
    ///
    /// A try that timed out may be stored nevertheless; the id makes the next one a duplicate, or, with an
    /// expectation, a [`PublishError::WrongLast`] whose writer is oneself.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(
        &self,
        message: &Publication,
        stop: &CancellationToken,
    ) -> Result<Ack, PublishError> {
        self.publish_telling(message, stop, |_| ()).await
    }

    /// The same, and tells why the server does not take it for now, each time that it says so: a stream that is full,
    /// for one, may be so until somebody makes it larger. A bus that does not answer says nothing.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_telling(
        &self,
        message: &Publication,
        stop: &CancellationToken,
        tell: impl Fn(&str),
    ) -> Result<Ack, PublishError> {
        if let Some((name, _)) = message.headers.iter().find(|(name, _)| RESERVED.contains(name)) {
            return Err(PublishError::Reserved(name));
        }
        let mut span = message.span();
        let published = self.publish_in_tries(message, stop, tell).await;
        if let (Some(span), Err(error)) = (&mut span, &published) {
            span.fail(error);
        }
        published
    }

    async fn publish_in_tries(
        &self,
        message: &Publication,
        stop: &CancellationToken,
        tell: impl Fn(&str),
    ) -> Result<Ack, PublishError> {
        let mut delay = RETRY_MIN;
        let mut tries = 0;
        loop {
            tries += 1;
            let tried = tokio::select! {
                tried = self.try_publish(message) => tried,
                () = stop.cancelled() => return Err(PublishError::Stopped),
            };
            match tried {
                Ok(ack) => return Ok(Ack { tries, ..ack }),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Refused(why)) => tell(&why),
                Err(Failure::Silent) => {}
            }
            tokio::select! {
                () = sleep(delay.mul_f64(rand::random_range(0.5..1.0))) => {}
                () = stop.cancelled() => return Err(PublishError::Stopped),
            }
            delay = (delay * 2).min(RETRY_MAX);
        }
    }

    async fn try_publish(&self, message: &Publication) -> Result<Ack, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            headers.insert(*name, value.as_str());
        }
        headers.insert(MSG_ID, message.id.as_str());
        let mut outgoing = PublishMessage::build()
            .payload(message.payload.clone())
            .headers(headers);
        if let Some(seq) = message.expected {
            outgoing = outgoing.expected_last_subject_sequence(seq);
        }
        if let Some(ttl) = message.ttl {
            outgoing = outgoing.ttl(ttl);
        }
        let context = self.jetstream();
        let sent = context
            .send_publish(message.subject.clone(), outgoing)
            .await
            .map_err(|e| sort(&e))?;
        let ack = sent.await.map_err(|e| sort(&e))?;
        Ok(Ack {
            seq: ack.sequence,
            duplicate: ack.duplicate,
            tries: 1,
        })
    }
}

/// How one try failed.
enum Failure {
    /// It will not pass by itself.
    Final(PublishError),
    /// The server says why it does not take it now; that may pass.
    Refused(String),
    /// Nothing was heard.
    Silent,
}

/// Tells what may pass by itself from what will not.
fn sort(error: &async_nats::jetstream::context::PublishError) -> Failure {
    let server = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>());
    match error.kind() {
        PublishErrorKind::WrongLastSequence => Failure::Final(PublishError::WrongLast),
        PublishErrorKind::MaxPayloadExceeded => Failure::Final(PublishError::TooLarge),
        PublishErrorKind::Other => server.map_or(Failure::Silent, sort_answer),
        _ => Failure::Silent,
    }
}

fn sort_answer(fault: &async_nats::jetstream::Error) -> Failure {
    let code = fault.error_code();
    // One code for two things: a subject that is taken, and a stream that is full for now.
    if code == ErrorCode::STREAM_STORE_FAILED && fault.to_string().contains("per subject") {
        Failure::Final(PublishError::Taken)
    } else if code == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM {
        Failure::Final(PublishError::TooLarge)
    } else if code == ErrorCode::STREAM_STORE_FAILED || fault.code() >= 500 {
        Failure::Refused(fault.to_string())
    } else {
        Failure::Final(PublishError::Refused(fault.to_string()))
    }
}
