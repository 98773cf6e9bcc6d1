//! Publishing to streams: acknowledged, tried again with the same id until it is, and fenced where asked; one message, or
//! several that are stored together or not at all.

mod batch;
mod term;

pub(crate) use term::Marked;

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

    fn check(&self) -> Result<(), PublishError> {
        match self.headers.iter().find(|(name, _)| RESERVED.contains(name)) {
            Some((name, _)) => Err(PublishError::Reserved(name)),
            None => Ok(()),
        }
    }

    fn outgoing(&self) -> PublishMessage {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(*name, value.as_str());
        }
        headers.insert(MSG_ID, self.id.as_str());
        let mut outgoing = PublishMessage::build()
            .payload(self.payload.clone())
            .headers(headers);
        if let Some(seq) = self.expected {
            outgoing = outgoing.expected_last_subject_sequence(seq);
        }
        if let Some(ttl) = self.ttl {
            outgoing = outgoing.ttl(ttl);
        }
        outgoing
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
    /// The last message of the subject is not the expected one, or a batch has an id that was stored before. Its writer
    /// may have been an earlier try of this same message or batch, so look at the id of what is there.
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
        message.check()?;
        let mut span = message.span();
        let of_odds = self.subjects().is_fence(&message.subject);
        let try_once = || async {
            if of_odds {
                self.hold_term().await?;
            }
            let tried = self.try_publish(message.outgoing(), &message.subject).await;
            if of_odds {
                self.note_try(&tried);
            }
            tried
        };
        let published = until_acknowledged(try_once, stop, tell).await;
        if let (Some(span), Err(error)) = (&mut span, &published) {
            span.fail(error);
        }
        published
    }

    async fn try_publish(&self, outgoing: PublishMessage, subject: &str) -> Result<Ack, Failure> {
        let context = self.jetstream();
        let sent = context
            .send_publish(subject.to_owned(), outgoing)
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

/// Tries until it is acknowledged, refused, or `stop`.
async fn until_acknowledged<T>(
    mut try_once: impl FnMut() -> T,
    stop: &CancellationToken,
    tell: impl Fn(&str),
) -> Result<Ack, PublishError>
where
    T: Future<Output = Result<Ack, Failure>>,
{
    let mut delay = RETRY_MIN;
    let mut tries = 0;
    loop {
        tries += 1;
        let tried = tokio::select! {
            // On the heap: whoever publishes holds this future in its own.
            tried = Box::pin(try_once()) => tried,
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
    match fault.error_code() {
        // One code for two things: a subject that is taken, and a stream that is full for now.
        ErrorCode::STREAM_STORE_FAILED if fault.to_string().contains("per subject") => {
            Failure::Final(PublishError::Taken)
        }
        ErrorCode::STREAM_STORE_FAILED => Failure::Refused(fault.to_string()),
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => Failure::Final(PublishError::TooLarge),
        // Another message of the subject, or an earlier try of this one, is being stored just now: soon it is there.
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT | ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT => {
            Failure::Silent
        }
        // An earlier try of this batch was stored.
        ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE => Failure::Final(PublishError::WrongLast),
        // A part of the batch was lost on its way.
        ErrorCode::ATOMIC_PUBLISH_INCOMPLETE_BATCH => Failure::Silent,
        ErrorCode::ATOMIC_PUBLISH_DISABLED => {
            Failure::Refused(format!("{fault}: run `oddswire provision --apply`"))
        }
        _ if fault.code() >= 500 || fault.code() == 429 => Failure::Refused(fault.to_string()),
        _ => Failure::Final(PublishError::Refused(fault.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, err_code: u64, description: &str) -> Failure {
        let fault = serde_json::json!({ "code": code, "err_code": err_code, "description": description });
        sort_answer(&serde_json::from_value(fault).unwrap())
    }

    #[test]
    fn what_passes_by_itself_is_tried_again_and_what_does_not_is_told() {
        for (code, err_code, text) in [
            (400, 10164, "wrong last sequence"),
            (409, 10158, "duplicate message id is in process"),
            (400, 10176, "atomic publish batch is incomplete"),
        ] {
            assert!(matches!(answer(code, err_code, text), Failure::Silent), "{text}");
        }
        for (code, err_code, text) in [
            (503, 10077, "maximum bytes exceeded"),
            (429, 10210, "atomic publish too many inflight"),
            (400, 10174, "atomic publish is disabled"),
            (503, 10008, "JetStream system temporarily unavailable"),
        ] {
            let failure = answer(code, err_code, text);
            assert!(
                matches!(failure, Failure::Refused(why) if why.contains(text)),
                "{text}"
            );
        }
        let last = |failure| match failure {
            Failure::Final(error) => Some(error),
            _ => None,
        };
        let twice = answer(400, 10201, "atomic publish batch contains duplicate message id");
        assert_eq!(last(twice), Some(PublishError::WrongLast));
        let taken = answer(503, 10077, "maximum messages per subject exceeded");
        assert_eq!(last(taken), Some(PublishError::Taken));
        let strange = answer(400, 10199, "atomic publish batch is too large: 1000");
        assert!(matches!(last(strange), Some(PublishError::Refused(_))));
    }
}
