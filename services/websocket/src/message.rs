//! A message of which maybe not all frames have come.

use crate::{Violation, frame::Opcode, inflate::inflate, reader::Incoming};

/// The message that is being read.
#[derive(Debug)]
pub(crate) struct Message {
    is_text: bool,
    deflated: bool,
    /// As it came.
    bytes: Vec<u8>,
    /// How many bytes of a plain text are known to be whole characters.
    checked: usize,
}

impl Message {
    /// Of a text or binary frame.
    pub(crate) fn new(opcode: Opcode, deflated: bool) -> Self {
        Self {
            is_text: opcode == Opcode::Text,
            deflated,
            bytes: Vec::new(),
            checked: 0,
        }
    }

    /// How many bytes of memory it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether a frame of this length still fits. A compressed message may come a little longer than it is.
    pub(crate) fn admit(&self, frame_len: u64, limit: usize) -> Result<(), Violation> {
        let room = self.most(limit) - self.bytes.len();
        if frame_len > room as u64 {
            return Err(Violation::TooLong);
        }
        Ok(())
    }

    /// The most bytes in which a message within the limit comes.
    fn most(&self, limit: usize) -> usize {
        if self.deflated {
            limit.saturating_add(limit / 16).saturating_add(64)
        } else {
            limit
        }
    }

    /// Adds bytes of an admitted frame. Text is looked at as it comes: nothing that is wrong waits for the end.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        unmask: impl FnOnce(&mut [u8]),
        limit: usize,
    ) -> Result<(), Violation> {
        let (before, most) = (self.bytes.len(), self.most(limit));
        append(&mut self.bytes, bytes, most);
        unmask(&mut self.bytes[before..]);
        if !self.is_text || self.deflated {
            return Ok(());
        }
        match str::from_utf8(&self.bytes[self.checked..]) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::NotUtf8),
        }
        Ok(())
    }

    /// After the last frame.
    pub(crate) fn finish(self, limit: usize) -> Result<Incoming, Violation> {
        let bytes = if self.deflated {
            inflate(&self.bytes, limit)?
        } else {
            self.bytes
        };
        if !self.is_text {
            return Ok(Incoming::Binary(bytes));
        }
        String::from_utf8(bytes)
            .map(Incoming::Text)
            .map_err(|_| Violation::NotUtf8)
    }
}

/// Appends to a buffer that doubles as it grows, but never beyond `limit`, within which the result must be.
pub(crate) fn append(buffer: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let needed = buffer.len() + bytes.len();
    if needed > buffer.capacity() {
        let capacity = needed.max(2 * buffer.capacity()).min(limit);
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_by_doubling_up_to_the_limit() {
        let mut buffer = Vec::new();
        let mut capacities = Vec::new();
        for _ in 0..100 {
            append(&mut buffer, b"0123456789", 1000);
            if capacities.last() != Some(&buffer.capacity()) {
                capacities.push(buffer.capacity());
            }
        }
        assert_eq!(capacities, [10, 20, 40, 80, 160, 320, 640, 1000]);
    }
}
