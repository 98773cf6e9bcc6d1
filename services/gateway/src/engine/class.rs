//! Clients that get the same bytes.

use crate::{
    frame::{Frame, Shape},
    held::Held,
    hub::PerFeed,
    session::Profile,
    wire::Form,
};
use bytes::Bytes;
use oddswire_protocol::{Cursor, Feed, Timestamp, Topic, cursor::Position};
use std::sync::Arc;
use tokio::time::Instant;

/// What makes clients equal: their messages are the same to the byte, ids included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) form: Form,
    pub(super) profile: Profile,
}

/// Clients of one kind.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) kind: Arc<Kind>,
    /// Their keys in the shard.
    pub(super) clients: Vec<usize>,
    /// Frames of the sweep under way that they want, by their place in it.
    pub(super) batch: Vec<usize>,
    /// Of a class that conflates: what waits for the next tick.
    pub(super) held: Arc<Held>,
    /// That tick, while something waits.
    pub(super) due: Option<Instant>,
}

impl Class {
    pub(super) fn new(kind: Arc<Kind>) -> Self {
        Self {
            kind,
            clients: Vec::new(),
            batch: Vec::new(),
            held: Arc::default(),
            due: None,
        }
    }
}

impl Kind {
    pub(super) fn conflates(&self) -> bool {
        !self.profile.conflate.is_zero()
    }

    pub(super) fn wants(&self, frame: &Frame) -> bool {
        self.profile
            .topics
            .iter()
            .any(|topic: &Topic| topic.matches(&frame.key))
    }

    /// The position of a client that has everything up to these positions.
    pub(super) fn cursor_at(&self, positions: &PerFeed<Option<Position>>) -> Cursor {
        let follows = self.profile.follows;
        // The time of issue is that of the odds position.
        let base = match self.profile.carried {
            Some(carried) if !follows[Feed::Odds.index()] => carried,
            Some(carried) => carried.issued_at(Timestamp::now()),
            None => Cursor::at(Timestamp::now()),
        };
        Feed::ALL
            .into_iter()
            .filter(|feed| follows[feed.index()])
            .fold(base, |cursor, feed| cursor.with(feed, positions[feed.index()]))
    }

    /// The position after a frame of a client that has everything until then.
    pub(super) fn cursor_after(&self, frame: &Frame) -> Cursor {
        if self.profile.carried.is_none() {
            return frame.cursor(self.profile.follows);
        }
        self.cursor_at(&frame.positions())
    }

    /// A frame as these clients get it, in the order of emission.
    pub(super) fn encode(&self, frame: &Frame) -> Bytes {
        if self.profile.ids && self.profile.carried.is_some() {
            return self.encode_with(frame, Some(self.cursor_after(frame)));
        }
        frame.encoded(Shape {
            form: self.form,
            ids: self.profile.ids.then_some(self.profile.follows),
        })
    }

    /// A frame with another position, or none.
    pub(super) fn encode_with(&self, frame: &Frame, cursor: Option<Cursor>) -> Bytes {
        match cursor.filter(|_| self.profile.ids) {
            None => frame.encoded(Shape {
                form: self.form,
                ids: None,
            }),
            cursor => {
                let mut bytes = Vec::with_capacity(frame.envelope.bytes().len() + 100);
                self.form.put(&mut bytes, &frame.envelope, cursor.as_ref());
                bytes.into()
            }
        }
    }
}
