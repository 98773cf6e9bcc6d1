//! What the process holds for its clients, in bytes, and what is refused when that comes near to what it may hold.
//!
//! Nothing is measured. Each is counted where it is held, and a connection as what one costs that behaves.

/// The process without clients: code, runtime, connections to the bus, and what the allocator keeps.
pub(crate) const PROCESS_BYTES: u64 = 64 << 20;
/// A connection that is open: buffers, session, the reader of its frames. Measured: 3.5 KiB of an idle event stream,
/// without optimisation; more while a message comes in parts.
pub(super) const CONNECTION_BYTES: u64 = 16 << 10;
/// What one costs besides with TLS. Measured: 16 KiB.
pub(super) const TLS_BYTES: u64 = 24 << 10;
/// What answers from the bus may need together: this part of all.
const PART_OF_ANSWERS: u64 = 8;
/// Answers that there is room for however little memory there is.
const ANSWERS_MIN: u64 = 8;

/// What clients ask for, in the order in which it is refused as memory runs out: whoever has a stream keeps it longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// An answer that is read from the bus.
    Answer,
    /// A stream.
    Stream,
    /// A connection.
    Connection,
}

impl Wish {
    /// Whether there is room for it where `held` of `max` bytes are held; 0 is no limit.
    pub(super) fn has_room(self, held: u64, max: u64) -> bool {
        let eighths = match self {
            Self::Answer => 6,
            Self::Stream => 7,
            Self::Connection => 8,
        };
        max == 0 || held < max / 8 * eighths
    }
}

/// How many answers from the bus there may be at once where the process may hold `max` bytes.
pub(super) fn answers_max(max: u64, each: u64) -> usize {
    let max = if max == 0 {
        super::options::MEMORY_BYTES
    } else {
        max
    };
    usize::try_from((max / PART_OF_ANSWERS / each).max(ANSWERS_MIN)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_refused_first_then_streams_then_connections() {
        let order = [Wish::Answer, Wish::Stream, Wish::Connection];
        for (held, granted) in [(74, 3), (76, 2), (88, 1), (100, 0)] {
            let has_room = order.map(|wish| wish.has_room(held << 20, 100 << 20));
            let expected = [granted > 2, granted > 1, granted > 0];
            assert_eq!(has_room, expected, "{held} of 100");
        }
        assert!(order.iter().all(|wish| wish.has_room(u64::MAX, 0)));
    }

    #[test]
    fn answers_have_an_eighth_and_a_few_always() {
        assert_eq!(answers_max(1 << 30, 1 << 20), 128);
        assert_eq!(answers_max(32 << 20, 1 << 20), 8);
    }
}
