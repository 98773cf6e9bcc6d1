//! Why a page has no rows for us.

use oddswire_protocol::progress::ErrorType;

/// Why a page has no rows for us. None of these is cured by asking again at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// A block page or a captcha in place of the content.
    #[error("a block page: {0}")]
    Blocked(String),
    /// Not the format that was expected, or not the whole of it.
    #[error("not a whole page: {0}")]
    Parse(String),
    /// The right format, but the site says in it that something went wrong.
    #[error("the site reports an error: {0}")]
    Envelope(String),
    /// The right format with another layout.
    #[error("the layout changed: {0}")]
    Drift(String),
}

impl Error {
    /// The kind, as progress tells it.
    pub(crate) fn error_type(&self) -> ErrorType {
        match self {
            Self::Blocked(_) => ErrorType::Blocked,
            Self::Parse(_) | Self::Envelope(_) => ErrorType::Parse,
            Self::Drift(_) => ErrorType::SchemaDrift,
        }
    }

    /// Whether a later run may succeed without anybody changing the definition.
    pub(crate) fn recoverable(&self) -> bool {
        !matches!(self, Self::Drift(_))
    }
}
