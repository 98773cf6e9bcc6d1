//! How clients and wake-ups reach a shard.

use super::Post;
use mio::{Poll, Token, Waker};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize},
    },
};

/// No client has this key.
const WAKE: Token = Token(usize::MAX);

/// Where clients and wake-ups arrive.
pub(super) struct Inbox {
    pub(super) poll: Poll,
    pub(super) post: Arc<Post>,
}

impl Inbox {
    pub(super) fn new() -> std::io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let post = Arc::new(Post {
            arrivals: Mutex::new(VecDeque::new()),
            clients: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            leave_all: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            waker,
        });
        Ok(Self { poll, post })
    }

    pub(super) fn post(&self) -> Arc<Post> {
        Arc::clone(&self.post)
    }
}
