//! RFC 9457 problem documents: the errors of the REST interface, and every code that one may have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem document. `code` is stable; `detail` is for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:oddswire:problem:<code>`.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable.
    pub code: String,
    /// What happened here, in one sentence.
    pub detail: String,
    /// Further members that belong to the code.
    #[serde(flatten)]
    pub members: serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    /// The problem that a code stands for, with the status that it usually has.
    pub fn of(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self::new(code.status(), code.as_str(), code.title(), detail)
    }

    /// A problem without further members.
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            problem_type: format!("urn:oddswire:problem:{code}"),
            title: title.into(),
            status,
            code: code.into(),
            detail: detail.into(),
            members: serde_json::Map::new(),
        }
    }

    /// The same problem with one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }
}

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $title:literal, [$first:literal $(, $more:literal)*];)*) => {
        /// Stable codes of problem documents. A later release may have more of them. Each has a page in `docs/errors/`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ProblemCode {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As it is written on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// For a person; the same wherever the code comes.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Every HTTP status that it comes with, the usual one first.
            pub fn statuses(self) -> &'static [u16] {
                match self { $(Self::$name => &[$first $(, $more)*],)* }
            }

            /// The HTTP status that it usually comes with.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $first,)* }
            }
        }
    };
}

problem_codes! {
    /// The address has as many connections as one may have.
    AddressFull = "address_full", "Too many connections", [503];
    /// This gateway asks for no tokens, so that nothing needs a ticket.
    AuthDisabled = "auth_disabled", "No tickets here", [404];
    /// What is needed to check a token cannot be had now.
    AuthUnavailable = "auth_unavailable", "Tokens cannot be checked", [503];
    /// Not HTTP, or limits of the connection were broken.
    BadRequest = "bad_request", "Bad request", [400];
    /// The body did not come in time.
    BodyTimeout = "body_timeout", "Request body too slow", [408];
    /// The body is larger than any command needs.
    BodyTooLarge = "body_too_large", "Request body too large", [413];
    /// NATS could not be reached, did not answer in time, or refused.
    BusUnavailable = "bus_unavailable", "The bus is not available", [503];
    /// Every source asked for has a run; `busy` lists them.
    Busy = "busy", "Busy", [409];
    /// The gateway has as many connections as it takes.
    GatewayFull = "gateway_full", "No room", [503];
    /// The head of the request is too long.
    HeadTooLarge = "head_too_large", "Request head too large", [431];
    /// The gateway serves its own machine and is not known by this name.
    HostNotAllowed = "host_not_allowed", "Host not allowed", [403];
    /// The body is not JSON, or not of its shape.
    InvalidBody = "invalid_body", "Bad request body", [400];
    /// A query parameter has a value that it cannot have.
    InvalidQuery = "invalid_query", "Bad query parameter", [400];
    /// None of the topics asked for is valid.
    InvalidTopic = "invalid_topic", "No valid topic", [400];
    /// The gateway holds as much memory as it may.
    MemoryFull = "memory_full", "No memory left", [503];
    /// The address exists and does not take this method.
    MethodNotAllowed = "method_not_allowed", "Method not allowed", [405];
    /// The request is no WebSocket handshake; 426 where its version is another.
    NotAWebsocket = "not_a_websocket", "WebSocket handshake expected", [400, 426];
    /// There is nothing at this address.
    NotFound = "not_found", "Not found", [404];
    /// The run to be retried is not over.
    NotOver = "not_over", "Not over", [409];
    /// Nothing failed in the run to be retried.
    NothingFailed = "nothing_failed", "Nothing failed", [409];
    /// Pages of this origin may not use this gateway.
    OriginNotAllowed = "origin_not_allowed", "Origin not allowed", [403];
    /// The token is good, and lacks a scope; `scope` names it.
    ScopeMissing = "scope_missing", "Not allowed", [403];
    /// More than one token came.
    SeveralTokens = "several_tokens", "Several tokens", [400];
    /// The path and the query are too long.
    TargetTooLong = "target_too_long", "Target too long", [414];
    /// The ticket was never given, was used, or is too old.
    TicketInvalid = "ticket_invalid", "Ticket refused", [401];
    /// The token's time is over.
    TokenExpired = "token_expired", "Token expired", [401];
    /// The token is refused, for a reason that is not its age.
    TokenInvalid = "token_invalid", "Token refused", [401];
    /// No token came.
    TokenMissing = "token_missing", "Token needed", [401];
    /// Too many streams are being opened at this moment; 429 where the address opens too many.
    TooManyHandshakes = "too_many_handshakes", "Too many clients at once", [503, 429];
    /// The address asks more often than one may.
    TooManyRequests = "too_many_requests", "Too many requests", [429];
    /// The token allows none of the topics asked for.
    TopicForbidden = "topic_forbidden", "No topic allowed", [403];
    /// There is no run of this id.
    UnknownRun = "unknown_run", "Unknown run", [404];
    /// A source is not known; `known` lists those that are.
    UnknownSource = "unknown_source", "Unknown source", [422];
}
