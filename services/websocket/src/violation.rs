//! What a client did wrong.

use std::{error::Error, fmt};

/// How a client broke the protocol. The connection is of no use any more: send a close frame with [`Violation::code`],
/// then end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A reserved bit is set that no extension gave a meaning to.
    ReservedBit,
    /// An opcode that RFC 6455 keeps for later.
    ReservedOpcode,
    /// A frame without a mask.
    Unmasked,
    /// A length in more bytes than it needs, or of 2⁶³ and more.
    BadLength,
    /// A control frame that is not the last of its message.
    FragmentedControl,
    /// A control frame of more than 125 bytes.
    LongControl,
    /// A continuation while no message is open.
    StrayContinuation,
    /// A new message while another is open.
    UnfinishedMessage,
    /// A close frame with one byte, or with a code that must not be sent.
    BadClose,
    /// A text, or a close frame's reason, that is not UTF-8.
    NotUtf8,
    /// A compressed message that does not inflate to its end.
    BadDeflate,
    /// A message longer than the limit, as it came or inflated.
    TooLong,
}

impl Violation {
    /// The close code to answer with: 1002, 1007 or 1009.
    pub fn code(self) -> u16 {
        match self {
            Self::NotUtf8 | Self::BadDeflate => 1007,
            Self::TooLong => 1009,
            _ => 1002,
        }
    }

    /// A few words, fit for a close frame's reason.
    pub fn detail(self) -> &'static str {
        match self {
            Self::ReservedBit => "a reserved bit is set",
            Self::ReservedOpcode => "a reserved opcode",
            Self::Unmasked => "a frame without a mask",
            Self::BadLength => "a length that is not in its shortest form",
            Self::FragmentedControl => "a fragmented control frame",
            Self::LongControl => "a control frame of more than 125 bytes",
            Self::StrayContinuation => "a continuation without a message",
            Self::UnfinishedMessage => "a new message before the end of the last",
            Self::BadClose => "a malformed close frame",
            Self::NotUtf8 => "a text that is not UTF-8",
            Self::BadDeflate => "a compressed message that does not inflate",
            Self::TooLong => "a message longer than the limit",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

impl Error for Violation {}
