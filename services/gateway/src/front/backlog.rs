//! Answers on their way to a client: what waits is counted until it is gone, and an answer that is not taken is noticed.
//!
//! hyper asks for a piece of an answer when it has room for it, and drops the piece when the socket, or the window of an
//! HTTP/2 stream, has taken all of it. So what is counted is what is held, and an answer of which neither is heard is one
//! that its client does not read.

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A piece of an answer at most. A client that takes one within the patience is not cut off.
pub(crate) const PIECE_BYTES: usize = 32 * 1024;
/// How long the gateway may take to make the next piece of an answer that ends.
const MADE_WITHIN: Duration = Duration::from_secs(30);

/// The answers that are under way on one connection.
#[derive(Debug, Default)]
pub(crate) struct Backlogs(Mutex<Vec<Weak<Backlog>>>);

/// One answer on its way.
#[derive(Debug)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    /// The bytes that wait, of all answers.
    all: Gauge,
}

#[derive(Debug)]
struct State {
    turn: Turn,
    /// When a piece was asked for or taken last.
    moved_at: Instant,
}

/// Who is to do something next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The client: to take what is there.
    Client,
    /// The gateway: to make the next piece.
    Gateway,
    /// The gateway, of a stream: nothing may happen for as long as it likes.
    Stream,
}

impl Backlogs {
    /// A new answer, whose bytes count in `all`. Nothing of it is made yet.
    pub(crate) fn begin(&self, all: &Gauge) -> Arc<Backlog> {
        let backlog = Arc::new(Backlog {
            state: Mutex::new(State {
                turn: Turn::Stream,
                moved_at: Instant::now(),
            }),
            all: all.clone(),
        });
        let mut backlogs = self.lock();
        backlogs.retain(|known| known.strong_count() > 0);
        backlogs.push(Arc::downgrade(&backlog));
        backlog
    }

    /// Waits until there is an answer that its client has not moved for as long as `patience`.
    pub(crate) async fn stalled(&self, patience: Duration) {
        while !self.has_stalled(patience) {
            sleep(patience / 4).await;
        }
    }

    fn has_stalled(&self, patience: Duration) -> bool {
        let backlogs = self.lock();
        let mut alive = backlogs.iter().filter_map(Weak::upgrade);
        alive.any(|backlog| backlog.lock().has_stalled(patience))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Backlog>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_stalled(&self, patience: Duration) -> bool {
        let within = match self.turn {
            Turn::Client => patience,
            Turn::Gateway => patience + MADE_WITHIN,
            Turn::Stream => return false,
        };
        self.moved_at.elapsed() >= within
    }
}

impl Backlog {
    /// Whose turn it is from now on.
    pub(crate) fn is_turn_of(&self, turn: Turn) {
        *self.lock() = State {
            turn,
            moved_at: Instant::now(),
        };
    }

    /// Counts a piece from now on until the last copy of it is gone.
    pub(crate) fn hold(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        self.all.inc_by(as_count(bytes.len()));
        Bytes::from_owner(Piece {
            bytes,
            backlog: Arc::clone(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece on its way. While it is, its answer is.
struct Piece {
    bytes: Bytes,
    backlog: Arc<Backlog>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.backlog.lock().moved_at = Instant::now();
        self.backlog.all.dec_by(as_count(self.bytes.len()));
    }
}

fn as_count(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, timeout};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn one() -> (Backlogs, Gauge, Arc<Backlog>) {
        let (backlogs, all) = (Backlogs::default(), Gauge::default());
        let answer = backlogs.begin(&all);
        (backlogs, all, answer)
    }

    async fn is_stalled(backlogs: &Backlogs) -> bool {
        timeout(Duration::ZERO, backlogs.stalled(PATIENCE)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_is_counted_until_its_last_copy_is_gone() {
        let (_, all, answer) = one();
        let mut piece = answer.hold(Bytes::from_static(b"abcdef"));
        let rest = piece.split_off(2);
        drop(piece);
        assert_eq!(all.get(), 6);
        drop((answer, rest));
        assert_eq!(all.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_stalls_and_one_that_takes_slowly_does_not() {
        let (backlogs, _, answer) = one();
        let mut pieces = Vec::from([1, 2, 3].map(|_| answer.hold(Bytes::from_static(b"piece"))));
        answer.is_turn_of(Turn::Client);
        while pieces.pop().is_some() {
            advance(PATIENCE.saturating_sub(Duration::from_secs(1))).await;
            assert!(!is_stalled(&backlogs).await, "slow is not dead");
        }
        advance(PATIENCE).await;
        assert!(is_stalled(&backlogs).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_whose_body_is_over_stalls_while_its_last_piece_waits() {
        let (backlogs, _, answer) = one();
        let piece = answer.hold(Bytes::from_static(b"piece"));
        answer.is_turn_of(Turn::Client);
        drop(answer);
        advance(PATIENCE).await;
        assert!(is_stalled(&backlogs).await);
        drop(piece);
        assert!(!is_stalled(&backlogs).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_gateway_has_time_to_make_a_piece_and_a_stream_may_be_silent() {
        let (backlogs, _, answer) = one();
        answer.is_turn_of(Turn::Gateway);
        advance(PATIENCE).await;
        assert!(!is_stalled(&backlogs).await);
        advance(MADE_WITHIN).await;
        assert!(is_stalled(&backlogs).await);
        answer.is_turn_of(Turn::Stream);
        advance(PATIENCE * 100).await;
        assert!(!is_stalled(&backlogs).await);
    }
}
