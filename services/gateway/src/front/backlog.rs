//! Answers on their way to a client: what waits is counted until it is gone, and an answer that is not taken is noticed.
//!
//! hyper asks for a piece of an answer when it has room for it, and drops the piece when the socket, or the window of an
//! HTTP/2 stream, has taken all of it. So what is counted is what is held; an answer is under way until the last piece of
//! it is dropped; and one of whose pieces none is dropped is one that its client does not read.

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// A piece of an answer at most. A client that takes one within the patience is not cut off.
pub(crate) const PIECE_BYTES: usize = 32 * 1024;

/// The answers that are under way on one connection.
#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    answers: Mutex<Vec<Weak<Backlog>>>,
    /// One began, or is gone.
    changed: Notify,
}

/// One answer, from its request until its last byte is gone.
#[derive(Debug)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    /// Ends the answer, as far as it is not handed over.
    reset: CancellationToken,
    /// The bytes that wait, of all answers.
    all: Gauge,
    connection: Arc<Backlogs>,
}

#[derive(Debug, Default)]
struct State {
    /// Pieces that its client has not taken.
    pieces: usize,
    /// Since when there are any, and none was taken.
    waits_since: Option<Instant>,
    /// What is given back with the answer.
    kept: Vec<Box<dyn fmt::Debug + Send>>,
}

impl Backlogs {
    /// A new answer, whose bytes count in `all`, and which `reset` ends. Nothing of it is made yet.
    pub(super) fn begin(self: &Arc<Self>, all: &Gauge, reset: CancellationToken) -> Arc<Backlog> {
        let backlog = Arc::new(Backlog {
            state: Mutex::default(),
            reset,
            all: all.clone(),
            connection: Arc::clone(self),
        });
        self.alive().push(Arc::downgrade(&backlog));
        self.changed.notify_one();
        backlog
    }

    /// Waits until there was no answer under way for as long as this.
    pub(super) async fn idle_for(&self, limit: Duration) {
        loop {
            let changed = self.changed.notified();
            if !self.alive().is_empty() {
                changed.await;
            } else if timeout(limit, changed).await.is_err() {
                return;
            }
        }
    }

    /// Resets each answer of which its client takes nothing for as long as `patience`. Waits until there is one that is
    /// not gone after another `patience`: all of it was handed over before.
    pub(super) async fn stalled(&self, patience: Duration) {
        loop {
            for answer in self.alive().iter().filter_map(Weak::upgrade) {
                if !answer.waits_for(patience) {
                    continue;
                }
                if answer.reset.is_cancelled() {
                    return;
                }
                answer.reset.cancel();
                answer.state().waits_since = Some(Instant::now());
            }
            sleep(patience / 4).await;
        }
    }

    fn alive(&self) -> MutexGuard<'_, Vec<Weak<Backlog>>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.strong_count() > 0);
        answers
    }
}

impl Backlog {
    /// Keeps something until the last byte of the answer is gone.
    pub(crate) fn keep(&self, what: impl fmt::Debug + Send + 'static) {
        self.state().kept.push(Box::new(what));
    }

    /// Counts a piece from now on until the last copy of it is gone.
    pub(crate) fn hold(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        let mut state = self.state();
        state.pieces += 1;
        state.waits_since.get_or_insert_with(Instant::now);
        drop(state);
        Bytes::from_owner(Piece {
            _held: Held::new(bytes.len() as u64, &self.all),
            bytes,
            answer: Arc::clone(self),
        })
    }

    fn waits_for(&self, patience: Duration) -> bool {
        let since = self.state().waits_since;
        since.is_some_and(|since| since.elapsed() >= patience)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.connection.changed.notify_one();
    }
}

/// A piece on its way. While it is, its answer is.
struct Piece {
    bytes: Bytes,
    _held: Held,
    answer: Arc<Backlog>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut state = self.answer.state();
        state.pieces -= 1;
        state.waits_since = (state.pieces > 0).then(Instant::now);
    }
}

/// Bytes that are counted as long as they are there.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: i64,
    all: Gauge,
}

impl Held {
    pub(super) fn new(bytes: u64, all: &Gauge) -> Self {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        all.inc_by(bytes);
        Self {
            bytes,
            all: all.clone(),
        }
    }

    /// Bytes that count until the last copy of them is gone.
    pub(super) fn with(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(HeldBytes(bytes, self))
    }
}

/// Bytes with what they count.
struct HeldBytes(
    Vec<u8>,
    #[expect(dead_code, reason = "it counts as long as it is there")] Held,
);

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.dec_by(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn one() -> (Arc<Backlogs>, Gauge, Arc<Backlog>) {
        let (backlogs, all) = (Arc::<Backlogs>::default(), Gauge::default());
        let answer = backlogs.begin(&all, CancellationToken::new());
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
    async fn what_an_answer_keeps_is_given_back_with_its_last_piece() {
        let (_, _, answer) = one();
        let place = Arc::new("a place");
        answer.keep(Arc::clone(&place));
        let piece = answer.hold(Bytes::from_static(b"piece"));
        drop(answer);
        assert_eq!(Arc::strong_count(&place), 2);
        drop(piece);
        assert_eq!(Arc::strong_count(&place), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_reset_whose_client_takes_nothing_and_none_whose_client_is_slow() {
        let (backlogs, _, answer) = one();
        let mut pieces = Vec::from([1, 2, 3].map(|_| answer.hold(Bytes::from_static(b"piece"))));
        while pieces.len() > 1 {
            advance(PATIENCE.saturating_sub(Duration::from_secs(1))).await;
            assert!(
                !is_stalled(&backlogs).await && !answer.reset.is_cancelled(),
                "slow is not dead"
            );
            pieces.pop();
        }
        let beside = backlogs.begin(&answer.all, CancellationToken::new());
        advance(PATIENCE).await;
        assert!(!is_stalled(&backlogs).await);
        assert!(answer.reset.is_cancelled() && !beside.reset.is_cancelled());
        pieces.clear();
        advance(PATIENCE).await;
        assert!(!is_stalled(&backlogs).await, "it is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_go_when_it_is_reset_ends_its_connection() {
        let (backlogs, _, answer) = one();
        let piece = answer.hold(Bytes::from_static(b"piece"));
        drop(answer);
        advance(PATIENCE).await;
        assert!(!is_stalled(&backlogs).await);
        advance(PATIENCE).await;
        assert!(is_stalled(&backlogs).await);
        drop(piece);
        assert!(!is_stalled(&backlogs).await);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_client_that_has_all_there_is() {
        let (backlogs, _, answer) = one();
        drop(answer.hold(Bytes::from_static(b"an event")));
        advance(PATIENCE * 100).await;
        assert!(!is_stalled(&backlogs).await && !answer.reset.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_the_last_byte_of_its_last_answer_on() {
        let (backlogs, _, answer) = one();
        let began = Instant::now();
        let wait = backlogs.idle_for(Duration::from_secs(10));
        let answering = async {
            sleep(Duration::from_secs(9)).await;
            let piece = answer.hold(Bytes::from_static(b"piece"));
            drop(answer);
            sleep(Duration::from_secs(60)).await;
            drop(piece);
        };
        tokio::join!(wait, answering);
        assert_eq!(began.elapsed(), Duration::from_secs(79));
    }
}
