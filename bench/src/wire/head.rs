//! The head of an HTTP answer.

/// What a client has to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes, with the empty line.
    pub(crate) length: usize,
    /// 101 or 200, or something else.
    pub(crate) status: u16,
    /// Whether the body comes in chunks.
    pub(crate) chunked: bool,
    /// Whether permessage-deflate was agreed on.
    pub(crate) deflate: bool,
}

/// Reads it; `None` while it is not whole.
pub(crate) fn read(bytes: &[u8]) -> Option<Head> {
    let length = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..length]).to_ascii_lowercase();
    let says = |name: &str, word: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .any(|(key, value)| key == name && value.contains(word))
    };
    Some(Head {
        length,
        status: text.get(9..12)?.parse().unwrap_or(0),
        chunked: says("transfer-encoding", "chunked"),
        deflate: says("sec-websocket-extensions", "permessage-deflate"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n\x81\x00";
        let length = text.len() - 2;
        for cut in 0..length {
            assert_eq!(read(&text[..cut]), None);
        }
        let head = Head {
            length,
            status: 101,
            chunked: false,
            deflate: true,
        };
        assert_eq!(read(text), Some(head));
    }

    #[test]
    fn chunks_are_announced_in_any_case() {
        let head = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n").unwrap();
        assert_eq!((head.status, head.chunked, head.deflate), (200, true, false));
    }
}
