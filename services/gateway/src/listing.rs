//! Lists as JSON that are made while they are sent: nothing of them is in memory but the part that is next.

use bytes::Bytes;
use oddswire_kit::log::ReadError;
use std::fmt::Display;

/// Bytes of a page that is read from the bus for a list, at most; one message where that is larger.
pub const PAGE_BYTES: usize = 128 * 1024;
/// Bytes after which a part is handed over. It may be larger by a page.
const PART_BYTES: usize = 64 * 1024;

/// A list that is made part by part.
pub trait Listing: Send + 'static {
    /// The next part. After the last one nobody asks again.
    ///
    /// # Errors
    /// [`ReadError`]. Then the list stays without its end.
    fn next(&mut self) -> impl Future<Output = Result<Part, ReadError>> + Send;
}

/// A part of a list.
#[derive(Debug)]
pub struct Part {
    /// Its bytes. All parts together are one JSON object.
    pub bytes: Bytes,
    /// Whether none follows.
    pub is_last: bool,
}

/// Writes lists, with commas between their items.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    is_first: bool,
}

impl Writer {
    /// A list that begins like this.
    pub fn begin(head: &str) -> Self {
        Self {
            out: head.as_bytes().to_vec(),
            is_first: true,
        }
    }

    /// Ends a list and begins another, as `text` does.
    pub fn list(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.is_first = true;
    }

    /// An item, as it is.
    pub fn item(&mut self, item: &[u8]) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(item);
    }

    /// A value under a name that needs no escape.
    pub fn member(&mut self, name: &str, value: &[u8]) {
        self.item(format!("\"{name}\":").as_bytes());
        self.out.extend_from_slice(value);
    }

    /// Ends the last list with `bracket`, and the object with where the next page begins.
    pub fn end(&mut self, bracket: &str, next_page: Option<impl Display>) {
        let next = next_page.map_or_else(|| "null".into(), |page| format!("\"{page}\""));
        self.list(&format!("{bracket},\"next_page\":{next}}}"));
    }

    /// Whether there is enough for a part.
    pub fn is_full(&self) -> bool {
        self.out.len() >= PART_BYTES
    }

    /// What was written since the last part.
    pub fn part(&mut self, is_last: bool) -> Part {
        Part {
            bytes: std::mem::take(&mut self.out).into(),
            is_last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_together_are_one_json_object_of_the_publishers_bytes() {
        let mut out = Writer::begin("{\"markets\":[");
        out.item(b"{\"a\": 1}");
        let first = out.part(false);
        out.item(b"{}");
        out.list("],\"confirmed\":{");
        out.member("alpha", b"{\"b\":2}");
        out.end("}", Some(7));
        let last = out.part(true);
        let text = String::from_utf8([first.bytes, last.bytes].concat()).unwrap();
        assert_eq!(
            text,
            r#"{"markets":[{"a": 1},{}],"confirmed":{"alpha":{"b":2}},"next_page":"7"}"#
        );
    }

    #[test]
    fn an_empty_list_and_no_next_page() {
        let mut out = Writer::begin("{\"runs\":[");
        out.end("]", None::<u64>);
        assert_eq!(out.part(true).bytes, &b"{\"runs\":[],\"next_page\":null}"[..]);
    }
}
