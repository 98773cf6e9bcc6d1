//! What a close frame says.

use crate::Violation;

/// The code and the words of a close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason {
    /// 1000 to 4999, without those that must not be sent.
    pub code: u16,
    /// At most 123 bytes, often empty.
    pub reason: String,
}

/// The longest reason of a close frame in bytes.
pub(crate) const REASON_MAX_BYTES: usize = 123;

/// Whether a client may send this code: RFC 6455, 7.4, with those that IANA registered since.
///
/// # Source
/// IANA, "WebSocket Close Code Number Registry": 1012 to 1014 were added; 1004 is reserved; 1005, 1006 and 1015 are
/// never sent.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads a close frame's payload; an empty one says nothing.
pub(crate) fn parse(payload: &[u8]) -> Result<Option<CloseReason>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Violation::BadClose)
        };
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(Violation::BadClose);
    }
    let reason = str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
    Ok(Some(CloseReason {
        code,
        reason: reason.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(code: u16) -> Result<Option<CloseReason>, Violation> {
        parse(&code.to_be_bytes())
    }

    #[test]
    fn codes_that_may_be_sent_are_read() {
        for code in [
            1000, 1001, 1002, 1003, 1007, 1008, 1011, 1012, 1014, 3000, 3999, 4000, 4999,
        ] {
            assert_eq!(read(code).unwrap().unwrap().code, code);
        }
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse("\u{3}\u{e8}tschüß".as_bytes()), Err(Violation::BadClose));
        assert_eq!(parse(b"\x03\xe8bye").unwrap().unwrap().reason, "bye");
    }

    #[test]
    fn codes_that_may_not_be_sent_are_refused() {
        for code in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
        ] {
            assert_eq!(read(code), Err(Violation::BadClose), "{code}");
        }
    }

    #[test]
    fn half_a_code_and_a_reason_that_is_no_text_are_refused() {
        assert_eq!(parse(b"\x03"), Err(Violation::BadClose));
        assert_eq!(parse(b"\x03\xe8\xff"), Err(Violation::NotUtf8));
    }
}
