//! `data` of the messages that the gateway itself makes.

use crate::{Cursor, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a connection continues what the client had. Never left out and never wrong. Ordered from best to worst: one
/// verdict covers all feeds asked for, the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// From now on.
    Live,
    /// Every run event after the cursor follows, and the newest image of each odds key that changed since.
    Replayed,
    /// The last image of each key follows, then live. The client drops what it holds for these topics.
    Snapshot,
    /// History is gone; a snapshot follows, so the state is right though events were lost.
    Gap,
    /// The bus is down; `since` is kept and served when it is back, with a `resume`.
    Unavailable,
}

/// The verdict and, for a gap, from where history is still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resume {
    /// How it continues.
    pub verdict: Verdict,
    /// With `gap`: the oldest cursor that could have been continued, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest: Option<Cursor>,
}

impl From<Verdict> for Resume {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            oldest: None,
        }
    }
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Topics at once.
    pub topics: usize,
    /// Bytes in one message of the client.
    pub message_bytes: usize,
    /// Messages of the client a second.
    pub messages_per_s: u32,
}

/// `connection_ack`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionAck {
    /// The topics granted.
    pub topics: Vec<String>,
    /// For the operator's logs.
    pub connection_id: String,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// Milliseconds of conflation granted; 0 is none.
    pub conflate_ms: u64,
    /// What this connection may do.
    pub limits: Limits,
    /// The position before what follows.
    pub cursor: Cursor,
    /// How this connection continues.
    pub resume: Resume,
    /// When the connection ends unless a new token comes; left out where this gateway asks for none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token_expires_at: Option<Timestamp>,
    /// The `ref` of the `auth` that opened this connection.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Ref>,
}

/// An optional text or number of the client, given back to it.
pub type Ref = serde_json::Value;

/// `caught_up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaughtUp {
    /// The position now.
    pub cursor: Cursor,
    /// Events delivered for this before it.
    pub replayed: u64,
    /// The `ref` of the subscribe that this answers.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Ref>,
}

/// `subscription_ack`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionAck {
    /// The topics now in force.
    pub topics: Vec<String>,
    /// How the topics just asked for continue.
    pub resume: Resume,
    /// When the connection ends unless a new token comes; left out where this gateway asks for none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token_expires_at: Option<Timestamp>,
    /// The `ref` of the message that this answers.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Ref>,
}

/// Whether the bus is there, in `heartbeat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Upstream {
    /// Connected, and the last check found nothing missing.
    Ok,
    /// Connected, but the last good check is too long ago.
    Stale,
    /// Not connected.
    Down,
}

/// `heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// A safe position: everything before it was delivered.
    pub cursor: Cursor,
    /// The gateway's clock, so that a client with a wrong one computes ages well.
    pub server_time: Timestamp,
    /// Whether the bus is there.
    pub upstream: Upstream,
    /// Milliseconds since the bus was last known to be there; 0 while `ok`.
    pub lag_ms: u64,
}

/// `lagging`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lagging {
    /// Messages left out because a newer image of the same key follows.
    pub conflated: u64,
    /// Since when.
    pub since: Timestamp,
}

/// `reconnect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reconnect {
    /// Milliseconds until this connection is closed; come back then.
    pub after_ms: u64,
    /// Why, for a person.
    pub reason: String,
}

/// `pong`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pong {
    /// The `ref` of the ping, if it had one.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Ref>,
}

/// Stable codes of `error`. Each has a page in `docs/errors/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The text is not JSON.
    InvalidJson,
    /// A `type` that clients do not send.
    UnknownType,
    /// A known type with missing or wrong fields, or not an object with a `type` at all.
    InvalidMessage,
    /// Not a topic, or not one that this connection has.
    InvalidTopic,
    /// More topics than a connection may have.
    TooManyTopics,
    /// More messages than a connection may send.
    RateLimited,
    /// This gateway does not ask for tokens.
    AuthDisabled,
    /// A topic that the token does not allow.
    TopicForbidden,
    /// No token came.
    TokenMissing,
    /// Several tokens came, by one way or by two.
    SeveralTokens,
    /// The token is refused, for a reason that is not its age.
    TokenInvalid,
    /// The token's time is over.
    TokenExpired,
    /// The token's time is over soon: the connection ends unless a new one comes.
    TokenExpiring,
    /// A ticket that was never given, was used, or is too old.
    TicketInvalid,
    /// A new token is for somebody else.
    SubjectChanged,
    /// What is needed to check a token cannot be had now.
    AuthUnavailable,
    /// Something failed on our side; it was logged.
    Internal,
}

impl ErrorCode {
    /// As it is written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::UnknownType => "unknown_type",
            Self::InvalidMessage => "invalid_message",
            Self::InvalidTopic => "invalid_topic",
            Self::TooManyTopics => "too_many_topics",
            Self::RateLimited => "rate_limited",
            Self::AuthDisabled => "auth_disabled",
            Self::TopicForbidden => "topic_forbidden",
            Self::TokenMissing => "token_missing",
            Self::SeveralTokens => "several_tokens",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::TokenExpiring => "token_expiring",
            Self::TicketInvalid => "ticket_invalid",
            Self::SubjectChanged => "subject_changed",
            Self::AuthUnavailable => "auth_unavailable",
            Self::Internal => "internal",
        }
    }
}

/// `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// Stable.
    pub code: ErrorCode,
    /// One sentence for a person.
    pub detail: String,
    /// The `ref` of the message that this answers.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Ref>,
}
