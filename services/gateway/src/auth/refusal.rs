//! Why a client is not let in.

use oddswire_protocol::{close::CloseCode, server::ErrorCode};

/// Why a token, or what came in its place, is refused. None of it holds a part of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing came.
    #[error("a token is needed")]
    Missing,
    /// By one way or by two.
    #[error("more than one token came: send one, by one way")]
    Several,
    /// Another scheme than Bearer.
    #[error("the header Authorization must be \"Bearer\" and a token")]
    Scheme,
    /// Larger than any token of use.
    #[error("the token has more than {} bytes", super::TOKEN_MAX_BYTES)]
    TooLarge,
    /// No token at all.
    #[error("this is no JSON Web Token: {0}")]
    Malformed(&'static str),
    /// Not that of the key.
    #[error("the token's algorithm is not that of its key")]
    Algorithm,
    /// A `kid` that no key has.
    #[error("the token's key is not known here")]
    UnknownKey,
    /// Wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` to `exp`.
    #[error("the token is made for a longer time than this gateway allows")]
    TooLongLived,
    /// `iss`.
    #[error("the token's issuer is not one that this gateway trusts")]
    Issuer,
    /// `aud`.
    #[error("the token is for another audience")]
    Audience,
    /// A claim is missing or of the wrong form.
    #[error("the token's claims: {0}")]
    Claims(String),
    /// Never given, used, or too old.
    #[error("the ticket was not given here, was used, or is too old: ask for a new one")]
    Ticket,
    /// A cookie came with a request of another site.
    #[error("a cookie counts only in requests of pages of this host")]
    Origin,
    /// A new token is for somebody else.
    #[error("the new token is for another subject: it changes nothing")]
    Subject,
    /// Keys or tickets cannot be read now.
    #[error("tokens cannot be checked now: {0}")]
    Unavailable(&'static str),
}

impl Refusal {
    /// The stable code that clients see.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Missing => ErrorCode::TokenMissing,
            Self::Several => ErrorCode::SeveralTokens,
            Self::Expired => ErrorCode::TokenExpired,
            Self::Ticket => ErrorCode::TicketInvalid,
            Self::Subject => ErrorCode::SubjectChanged,
            Self::Unavailable(_) => ErrorCode::AuthUnavailable,
            _ => ErrorCode::TokenInvalid,
        }
    }

    /// What a WebSocket is closed with.
    pub fn close_code(&self) -> CloseCode {
        match self {
            // A new token, or a new ticket, is all it takes.
            Self::Expired | Self::Ticket => CloseCode::TokenExpired,
            Self::Unavailable(_) => CloseCode::TryAgain,
            _ => CloseCode::Unauthorized,
        }
    }

    /// A word for the operator's counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several => "several",
            Self::Scheme => "scheme",
            Self::TooLarge => "too_large",
            Self::Malformed(_) => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TooLongLived => "too_long_lived",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims(_) => "claims",
            Self::Ticket => "ticket",
            Self::Origin => "origin",
            Self::Subject => "subject",
            Self::Unavailable(_) => "unavailable",
        }
    }
}
