//! One event of the bus, ready to be shown: encoded once a form, shared by every client.

use crate::{hub::PerFeed, wire::Form};
use bytes::Bytes;
use oddswire_kit::log::Stored;
use oddswire_protocol::{
    Cursor, EventKey, Feed, Subjects, Timestamp,
    cursor::Position,
    envelope::Envelope,
    event::{self, EventFault},
    header::{CE_TIME, STATUS},
    progress::Status,
};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// No frame has this number.
const NEVER: u64 = u64::MAX;

/// A committed event that passed its check.
#[derive(Debug)]
pub struct Frame {
    /// The feed that it came by.
    pub feed: Feed,
    /// Its sequence in the feed's stream.
    pub seq: u64,
    /// What it is about.
    pub key: EventKey,
    /// Whether it ends its run.
    pub terminal: bool,
    /// The message to clients.
    pub envelope: Envelope,
    /// Its own time, as its publisher wrote it.
    pub at: Option<Timestamp>,
    /// Its place in the order in which this gateway emitted what it emitted; 0 before.
    pub number: u64,
    /// The bytes of all that was emitted before it.
    pub emitted_before: u64,
    /// The position of a client that has everything up to this frame, in every feed that this gateway followed then.
    pub after: Cursor,
    encoded: Mutex<Encoded>,
    superseded_by: AtomicU64,
}

/// What a client's copy of a frame looks like, where that is the same for many clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The transport's form.
    pub form: Form,
    /// Whose positions stand in its id; `None` where it has no id.
    pub ids: Option<PerFeed<bool>>,
}

/// The encoded copies of a frame. They are kept while the frame is fresh; nearly all clients take it then.
#[derive(Debug)]
enum Encoded {
    Fresh(Vec<(Shape, Bytes)>),
    Stale,
}

/// Why a stored message is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// It says who may write, or that a term of the stream begins, and has nothing for clients.
    #[error("a fence or a term")]
    Fence,
    /// Its subject is none of the contract's.
    #[error("the subject is none of docs/protocol.md")]
    Subject,
    /// Its headers or payload are not.
    #[error(transparent)]
    Event(#[from] EventFault),
}

impl FrameFault {
    /// Every word of [`Self::reason`].
    pub const REASONS: [&str; 6] = ["subject", "header", "size", "json", "schema", "mismatch"];

    /// The word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Fence | Self::Subject => "subject",
            Self::Event(fault) => fault.reason(),
        }
    }
}

impl Frame {
    /// Checks a stored message and encodes it.
    ///
    /// # Errors
    /// [`FrameFault`]: it is shown to nobody.
    pub fn new(subjects: &Subjects, stored: &Stored) -> Result<Self, FrameFault> {
        let key = subjects.parse(&stored.subject).ok_or_else(|| {
            if subjects.is_fence(&stored.subject) || subjects.term_slot(&stored.subject).is_some() {
                FrameFault::Fence
            } else {
                FrameFault::Subject
            }
        })?;
        event::check_event(&key, |name| stored.header(name), &stored.payload)?;
        Ok(Self::of_stored(key, stored))
    }

    /// Only on trial: the same without a check of what it says. `None` when the subject says nothing.
    pub fn unchecked(subjects: &Subjects, stored: &Stored) -> Option<Self> {
        let key = subjects.parse(&stored.subject)?;
        Some(Self::of_stored(key, stored))
    }

    fn of_stored(key: EventKey, stored: &Stored) -> Self {
        let time = stored.header(CE_TIME).unwrap_or_default();
        let envelope = Envelope::from_bus(event::message_type(&key), time, &stored.payload);
        let frame = Self::of(key, stored.seq, is_terminal(stored), envelope);
        Self {
            at: time.parse().ok(),
            ..frame
        }
    }

    /// A frame that was not emitted yet.
    pub fn of(key: EventKey, seq: u64, terminal: bool, envelope: Envelope) -> Self {
        Self {
            feed: key.feed(),
            seq,
            key,
            terminal,
            envelope,
            at: None,
            number: 0,
            emitted_before: 0,
            after: Cursor::at(Timestamp::now()),
            encoded: Mutex::new(Encoded::Fresh(Vec::new())),
            superseded_by: AtomicU64::new(NEVER),
        }
    }

    /// The positions of a client that has everything up to this frame.
    pub fn positions(&self) -> PerFeed<Option<Position>> {
        Feed::ALL.map(|feed| self.after.position(feed))
    }

    /// The position after this frame of a client that follows these feeds and nothing else.
    pub fn cursor(&self, follows: PerFeed<bool>) -> Cursor {
        let left = Feed::ALL.into_iter().filter(|feed| !follows[feed.index()]);
        left.fold(self.after, |cursor, feed| cursor.with(feed, None))
    }

    /// The bytes for the sockets of clients of one shape: encoded once, at the first call.
    pub fn encoded(&self, shape: Shape) -> Bytes {
        let mut encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Encoded::Fresh(copies) = &*encoded
            && let Some((_, bytes)) = copies.iter().find(|(known, _)| *known == shape)
        {
            return bytes.clone();
        }
        let id = shape.ids.map(|follows| self.cursor(follows));
        let mut bytes = Vec::with_capacity(self.envelope.bytes().len() + 100);
        shape.form.put(&mut bytes, &self.envelope, id.as_ref());
        let bytes = Bytes::from(bytes);
        if let Encoded::Fresh(copies) = &mut *encoded {
            copies.push((shape, bytes.clone()));
        }
        bytes
    }

    /// Whether a newer frame of the same key was emitted since.
    pub fn is_superseded(&self) -> bool {
        self.is_superseded_before(NEVER)
    }

    /// Whether a newer frame of the same key was emitted before the frame of this number. The answer for a number that
    /// was given already never changes, which is what lets a session leave out the same frames for all of a lap.
    pub fn is_superseded_before(&self, number: u64) -> bool {
        self.superseded_by.load(Relaxed) < number
    }

    /// A newer frame of the same key was emitted, with this number.
    pub fn supersede(&self, by: u64) {
        self.superseded_by.store(by, Relaxed);
    }

    /// Keeps no encoded copy any more.
    pub fn grow_stale(&self) {
        *self.encoded.lock().unwrap_or_else(PoisonError::into_inner) = Encoded::Stale;
    }

    /// What it counts against a bound in bytes.
    pub fn bytes(&self) -> usize {
        self.envelope.bytes().len() + size_of::<Self>()
    }
}

/// Whether a stored run message ends its run, by its header.
pub fn is_terminal(stored: &Stored) -> bool {
    stored
        .header(STATUS)
        .and_then(|s| s.parse::<Status>().ok())
        .is_some_and(Status::is_terminal)
}
