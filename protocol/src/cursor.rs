//! The cursor: where a client is, and nothing else.

use crate::{Feed, Timestamp};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// A position in the feeds, opaque to clients and the same on every replica and both transports.
///
/// It says where, never what: no topics, no state of a replica. A feed that is absent has no position: who asks for it gets
/// its state.
///
/// The time of issue belongs to the odds position, the only one that ages by time: a cursor whose odds position is
/// only carried through keeps the time at which that position was true.
///
/// Text form, final: base64url without padding of
/// `version (1) · flags (bit 0 run, bit 1 odds: present; bits 2 and 3: with proof) · per present feed: epoch (u32 BE),
/// sequence (LEB128), with a proof its end less the sequence (LEB128) and its mark (u32 BE) · seconds since 1970 of
/// issue (u40 BE) · FNV-1a 32 of all before`. The checksum makes a damaged cursor malformed instead of a wrong
/// position. At most [`Cursor::TEXT_MAX_BYTES`] long.
///
/// Releases before proofs write the same without, and refuse one that has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    positions: [Option<Position>; Feed::ALL.len()],
    issued_s: u64,
}

/// A position in one feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Which life of the stream, see [`epoch`].
    pub epoch: u32,
    /// The last sequence that the client has, or need not have. 0 is before the first.
    pub seq: u64,
    /// What the stream held when the position was given; `None` where nobody knew, and from releases before proofs.
    pub proof: Option<Proof>,
    /// How often the process that works with this position saw the stream's history change. It means nothing to others,
    /// and is not in the text.
    pub forks: u32,
}

impl Position {
    /// A position without a proof.
    pub const fn new(epoch: u32, seq: u64) -> Self {
        Self {
            epoch,
            seq,
            proof: None,
            forks: 0,
        }
    }
}

/// What shows that a position is of the stream's present history: a stream that was put back from a copy, or that lost
/// its newest messages, gives the same sequences again to other messages, without another epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Proof {
    /// The newest sequence of the stream when the position was given; not below the position's own.
    pub end: u64,
    /// The [`mark`] of the newest message at or before `end` that the stream cannot have replaced since; 0: there was
    /// none.
    pub mark: u32,
}

/// The mark of a stored message: a hash of its sequence and of when the server stored it, which all replicas agree on.
/// Never 0.
pub fn mark(seq: u64, stored_at: Timestamp) -> u32 {
    let hash = fnv1a(FNV_OFFSET, &seq.to_be_bytes());
    fnv1a(hash, &stored_at.unix_ms().to_be_bytes()).max(1)
}

/// A text is not a [`Cursor`]: malformed, damaged, or of a version that this build does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct CursorError;

const VERSION: u8 = 1;
const ISSUED_MAX: u64 = (1 << 40) - 1;

/// The epoch of a stream: a hash of its name and the nanoseconds of its creation, so that every replica computes the
/// same one and a stream that was made anew has another.
pub fn epoch(stream: &str, created_unix_ns: i128) -> u32 {
    let hash = fnv1a(
        fnv1a(FNV_OFFSET, stream.as_bytes()),
        &created_unix_ns.to_be_bytes(),
    );
    hash.max(1)
}

impl Cursor {
    /// The longest text in bytes.
    pub const TEXT_MAX_BYTES: usize = 90;

    /// A cursor with no position at all, issued at `at`.
    pub fn at(at: Timestamp) -> Self {
        let issued_s = u64::try_from(at.unix_ms() / 1000).unwrap_or(0).min(ISSUED_MAX);
        Self {
            positions: [None; Feed::ALL.len()],
            issued_s,
        }
    }

    /// The position in a feed; `None` where the cursor has none.
    pub fn position(&self, feed: Feed) -> Option<Position> {
        self.positions[feed.index()]
    }

    /// The same cursor with another position in one feed.
    #[must_use]
    pub fn with(mut self, feed: Feed, position: Option<Position>) -> Self {
        self.positions[feed.index()] = position;
        self
    }

    /// The same position, issued at `at`.
    #[must_use]
    pub fn issued_at(self, at: Timestamp) -> Self {
        Self {
            positions: self.positions,
            ..Self::at(at)
        }
    }

    /// Milliseconds from its issue to `now`; 0 when it claims to be from the future.
    pub fn age_ms(&self, now: Timestamp) -> u64 {
        let issued_ms = i64::try_from(self.issued_s * 1000).unwrap_or(i64::MAX);
        u64::try_from(now.unix_ms().saturating_sub(issued_ms)).unwrap_or(0)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if fnv1a(FNV_OFFSET, body).to_be_bytes() != sum {
            return None;
        }
        let (&[version, flags], mut rest) = body.split_first_chunk::<2>()?;
        if version != VERSION {
            return None;
        }
        let mut positions = [None; Feed::ALL.len()];
        let mut known = 0;
        for feed in Feed::ALL {
            if flags & present(feed) != 0 {
                let position;
                (position, rest) = read_position(rest, flags & proved(feed) != 0)?;
                positions[feed.index()] = Some(position);
                known |= present(feed) | proved(feed);
            }
        }
        // A flag that this build does not know, or a proof of nothing.
        if flags & !known != 0 {
            return None;
        }
        let issued: [u8; 5] = rest.try_into().ok()?;
        let issued_s = issued
            .iter()
            .fold(0, |value, byte| (value << 8) | u64::from(*byte));
        Some(Self { positions, issued_s })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(48);
        bytes.push(VERSION);
        bytes.push(0);
        for feed in Feed::ALL {
            let Some(Position {
                epoch, seq, proof, ..
            }) = self.position(feed)
            else {
                continue;
            };
            bytes[1] |= present(feed);
            bytes.extend_from_slice(&epoch.to_be_bytes());
            write_leb128(&mut bytes, seq);
            if let Some(Proof { end, mark }) = proof {
                bytes[1] |= proved(feed);
                write_leb128(&mut bytes, end.saturating_sub(seq));
                bytes.extend_from_slice(&mark.to_be_bytes());
            }
        }
        bytes.extend_from_slice(&self.issued_s.to_be_bytes()[3..]);
        let sum = fnv1a(FNV_OFFSET, &bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.len() > Self::TEXT_MAX_BYTES {
            return Err(CursorError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        let cursor = Self::decode(&bytes).ok_or(CursorError)?;
        // One text a cursor: a padded number or a stray bit is another text.
        (cursor.to_string() == text).then_some(cursor).ok_or(CursorError)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for Cursor {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cursor".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "Opaque. Pass it back as since or Last-Event-ID." })
    }
}

const FNV_OFFSET: u32 = 0x811c_9dc5;

/// FNV-1a, 32 bits.
///
/// # Source
/// Fowler, Noll, Vo; parameters as in RFC 9923.
fn fnv1a(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

fn present(feed: Feed) -> u8 {
    1 << feed.index()
}

fn proved(feed: Feed) -> u8 {
    present(feed) << Feed::ALL.len()
}

fn read_position(bytes: &[u8], with_proof: bool) -> Option<(Position, &[u8])> {
    let (epoch, rest) = bytes.split_first_chunk::<4>()?;
    let (seq, mut rest) = read_leb128(rest)?;
    let mut position = Position::new(u32::from_be_bytes(*epoch), seq);
    if with_proof {
        let (ahead, after) = read_leb128(rest)?;
        let (mark, after) = after.split_first_chunk::<4>()?;
        position.proof = Some(Proof {
            end: seq.checked_add(ahead)?,
            mark: u32::from_be_bytes(*mark),
        });
        rest = after;
    }
    Some((position, rest))
}

fn write_leb128(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn read_leb128(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        value |= part.checked_shl(7 * u32::try_from(at).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cursor() -> impl Strategy<Value = Cursor> {
        let proof = proptest::option::of((any::<u64>(), any::<u32>()));
        let one = (any::<u32>(), any::<u64>(), proof).prop_map(|(epoch, seq, proof)| Position {
            proof: proof.map(|(end, mark)| Proof {
                end: end.max(seq),
                mark,
            }),
            ..Position::new(epoch, seq)
        });
        let position = || proptest::option::of(one.clone());
        (position(), position(), 0..=ISSUED_MAX).prop_map(|(run, odds, issued_s)| Cursor {
            positions: [run, odds],
            issued_s,
        })
    }

    #[test]
    fn the_text_form_is_final() {
        let at = "2026-02-06T01:30:00.123Z".parse().unwrap();
        let cursor = Cursor::at(at)
            .with(Feed::Run, Some(Position::new(7, 300)))
            .with(Feed::Odds, Some(Position::new(0xffff_ffff, u64::MAX)));
        assert_eq!(cursor.to_string(), "AQMAAAAHrAL_________________AQBphUQYEIFP0A");
        assert_eq!(cursor.age_ms(at), 123);
        let proof = Some(Proof {
            end: 302,
            mark: 0x0102_0304,
        });
        let proved = cursor.with(
            Feed::Run,
            Some(Position {
                proof,
                ..Position::new(7, 300)
            }),
        );
        assert_eq!(
            proved.to_string(),
            "AQcAAAAHrAICAQIDBP________________8BAGmFRBhFzA_u"
        );
    }

    #[test]
    fn a_flag_that_nobody_knows_and_a_proof_of_nothing_are_malformed() {
        for flags in [0b1_0000, 0b0100, 0b1001] {
            let mut bytes = vec![VERSION, flags];
            if flags & 1 != 0 {
                bytes.extend_from_slice(&[0, 0, 0, 7, 1]);
            }
            bytes.extend_from_slice(&[0; 5]);
            bytes.extend_from_slice(&fnv1a(FNV_OFFSET, &bytes).to_be_bytes());
            assert_eq!(Cursor::decode(&bytes), None, "{flags:b}");
        }
    }

    #[test]
    fn marks_tell_the_messages_of_one_sequence_apart() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (one, other) = (at("2026-02-06T01:30:00.123Z"), at("2026-02-06T01:30:00.124Z"));
        assert_eq!(mark(7, one), mark(7, one));
        assert_ne!(mark(7, one), mark(7, other));
        assert_ne!(mark(7, one), mark(8, one));
    }

    #[test]
    fn epochs_tell_streams_and_their_lives_apart() {
        assert_eq!(epoch("RUNS", 1), epoch("RUNS", 1));
        assert_ne!(epoch("RUNS", 1), epoch("RUNS", 2));
        assert_ne!(epoch("RUNS", 1), epoch("ODDS", 1));
    }

    proptest! {
        #[test]
        fn every_cursor_round_trips_within_its_length(cursor in cursor()) {
            let text = cursor.to_string();
            prop_assert!(text.len() <= Cursor::TEXT_MAX_BYTES, "{}", text.len());
            prop_assert_eq!(text.parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn a_damaged_cursor_is_malformed_never_another_position(cursor in cursor(), at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_-]") {
            let mut text = cursor.to_string();
            let at = at.index(text.len());
            let damaged = text.as_bytes()[at] != to.as_bytes()[0];
            text.replace_range(at..=at, &to);
            prop_assert_eq!(text.parse::<Cursor>().is_err(), damaged);
        }

        #[test]
        fn hostile_text_is_refused_without_panic(text in ".{0,80}") {
            prop_assert!(text.parse::<Cursor>().is_err());
        }
    }
}
