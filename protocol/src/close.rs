//! WebSocket close codes that a gateway sends. The **range** tells a client whether to come back, so that an old
//! client behaves well with a new code.

/// Why a gateway closed a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1000: the client asked for it.
    Normal,
    /// 1001: the gateway goes away.
    GoingAway,
    /// 1002: broken frames.
    Protocol,
    /// 1007: text that is not UTF-8.
    InvalidText,
    /// 1008: the client broke a rule again and again.
    Policy,
    /// 1009: a message over the limit.
    TooBig,
    /// 1011: something failed on our side.
    Internal,
    /// 1012: the gateway restarts; another replica, or this one soon, continues.
    Restart,
    /// 1013: too much load now.
    TryAgain,
    /// 4000: no sign of life from the client for too long.
    PeerTimeout,
    /// 4401: the token's time is over; come back with a new one.
    TokenExpired,
    /// 4500: none of the topics asked for is valid.
    NoTopic,
    /// 4501: no token, or one that is refused.
    Unauthorized,
}

impl CloseCode {
    /// Every code.
    pub const ALL: [Self; 13] = [
        Self::Normal,
        Self::GoingAway,
        Self::Protocol,
        Self::InvalidText,
        Self::Policy,
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::TryAgain,
        Self::PeerTimeout,
        Self::TokenExpired,
        Self::NoTopic,
        Self::Unauthorized,
    ];

    /// The number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::InvalidText => 1007,
            Self::Policy => 1008,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::TryAgain => 1013,
            Self::PeerTimeout => 4000,
            Self::TokenExpired => 4401,
            Self::NoTopic => 4500,
            Self::Unauthorized => 4501,
        }
    }

    /// A few words for a person, sent with the code.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "bye",
            Self::GoingAway => "gateway goes away",
            Self::Protocol => "protocol violation",
            Self::InvalidText => "text is not UTF-8",
            Self::Policy => "limits broken",
            Self::TooBig => "message too big",
            Self::Internal => "internal error",
            Self::Restart => "gateway restarts, come back",
            Self::TryAgain => "overloaded, come back later",
            Self::PeerTimeout => "no sign of life",
            Self::TokenExpired => "token expired, come back with a new one",
            Self::NoTopic => "no valid topic",
            Self::Unauthorized => "token refused",
        }
    }
}

/// Whether a client should come back after a close with `code`: 1001, 1006, 1012, 1013 and 4000–4499.
pub fn comes_back(code: u16) -> bool {
    matches!(code, 1001 | 1006 | 1012 | 1013 | 4000..=4499)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_tells_whether_to_come_back() {
        let back: Vec<u16> = CloseCode::ALL
            .into_iter()
            .map(CloseCode::code)
            .filter(|c| comes_back(*c))
            .collect();
        assert_eq!(back, [1001, 1012, 1013, 4000, 4401]);
    }
}
