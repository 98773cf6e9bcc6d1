//! The log, read for many clients at once.
//!
//! Clients that come back together want the same part of it: what lies below the ring's floor. A read begins at a
//! round sequence, so that those who left at different moments share it; whoever wants a part that is being read waits
//! for that read, and a part serves for a short time after it. Few reads run at the same time.

mod images;
mod part;
mod proof;

pub use images::{Image, Images};
pub use part::Part;
pub use proof::Past;

use crate::{frame::Frame, hub::FeedView, metrics::Metrics, quarantine::Quarantine};
use images::{ImagesRead, ImagesWanted};
use oddswire_kit::{
    bus::Bus,
    log::{ReadError, Stored, StreamState},
};
use oddswire_protocol::{
    Feed, Topic,
    cursor::{Position, Proof},
};
use part::PartsRead;
use prometheus_client::metrics::gauge::Gauge;
use proof::Proved;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Mutex, Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Reads of the log that run at the same time, at most; the others wait.
const READS_AT_ONCE: usize = 16;
/// How long what was read serves others. A part stays right for ever, but what is overwritten later is read in vain.
const SERVES: Duration = Duration::from_secs(2);
/// How long somebody waits for a read, his turn included.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The filters of a read, behind `<prefix>.feed.`.
type Filters = BTreeSet<String>;

/// Reads the log.
#[derive(Debug)]
pub struct Logs {
    bus: Bus,
    metrics: Arc<Metrics>,
    quarantine: Arc<Quarantine>,
    admission: Semaphore,
    // By the life of the feed as well: another chain is another log.
    parts: std::sync::Mutex<HashMap<(Feed, u64, Filters), Arc<PartsRead>>>,
    images: std::sync::Mutex<HashMap<(u64, Filters, bool), Arc<ImagesRead>>>,
    states: [Shared<StreamState>; Feed::ALL.len()],
    odds_end: Shared<Position>,
    proved: Proved,
}

/// The newest answer to one question, a failure too, and a place to wait for the next.
#[derive(Debug)]
struct Shared<T> {
    asked: std::sync::atomic::AtomicU64,
    newest: Mutex<(u64, Option<Result<T, ReadError>>)>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self {
            asked: std::sync::atomic::AtomicU64::new(0),
            newest: Mutex::new((0, None)),
        }
    }
}

impl<T: Clone> Shared<T> {
    /// An answer to a question that was asked after this call: by this caller, or by one who asked for many.
    async fn ask(&self, question: impl AsyncFnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
        use std::sync::atomic::Ordering::SeqCst;
        let before = self.asked.load(SeqCst);
        let mut newest = self.newest.lock().await;
        if let (number, Some(answer)) = &*newest
            && *number > before
        {
            return answer.clone();
        }
        let number = self.asked.fetch_add(1, SeqCst) + 1;
        let answer = question().await;
        *newest = (number, Some(answer.clone()));
        answer
    }
}

impl Logs {
    /// Reads over this connection, which is not the one that listens.
    pub fn new(bus: Bus, metrics: Arc<Metrics>, quarantine: Arc<Quarantine>) -> Self {
        Self {
            bus,
            metrics,
            quarantine,
            admission: Semaphore::new(READS_AT_ONCE),
            parts: std::sync::Mutex::default(),
            images: std::sync::Mutex::default(),
            states: Default::default(),
            odds_end: Shared::default(),
            proved: Proved::default(),
        }
    }

    /// The bus itself, for reads that no other client shares.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The check that every message passes before it is shown.
    pub fn quarantine(&self) -> &Arc<Quarantine> {
        &self.quarantine
    }

    /// The state of a feed's stream as its leader knows it now, asked once for all who ask at the same time.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn state(&self, feed: Feed) -> Result<StreamState, ReadError> {
        let state =
            self.states[feed.index()].ask(async || self.bus.stream_state(self.bus.names().feed(feed)).await);
        timeout(ANSWER_WITHIN, state)
            .await
            .map_err(|_| ReadError::Timeout)?
    }

    /// The position at the end of ODDS as its leader knows it now, asked once for all who ask at the same time.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn odds_end(&self) -> Result<Position, ReadError> {
        let end = self.odds_end.ask(async || {
            let state = self.bus.stream_state(self.bus.names().feed(Feed::Odds)).await?;
            let marks = self.bus.marks(Feed::Odds, state.last_seq).await?;
            let proof = marks.last().map(|(_, mark)| Proof {
                end: state.last_seq,
                mark: *mark,
            });
            Ok(Position {
                proof,
                ..Position::new(state.epoch, state.last_seq)
            })
        });
        timeout(ANSWER_WITHIN, end)
            .await
            .map_err(|_| ReadError::Timeout)?
    }

    /// What the topics select of a feed's log after `at`, as far as one read reaches, `floor` at most.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn part(
        &self,
        feed: Feed,
        topics: &[Topic],
        at: u64,
        floor: u64,
        view: &FeedView,
    ) -> Result<Arc<Part>, ReadError> {
        let filters = filters(feed, topics);
        let read = {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(parts.entry((feed, view.life, filters.clone())).or_default())
        };
        let part = read.covering(self, feed, &filters, at, floor);
        timeout(ANSWER_WITHIN, part)
            .await
            .map_err(|_| ReadError::Timeout)?
    }

    /// The last image of each run that the topics select, as of `at_least` or later: of those worth showing, or of all
    /// with `everything`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn images(
        &self,
        topics: &[Topic],
        at_least: u64,
        everything: bool,
        view: &FeedView,
    ) -> Result<Arc<Images>, ReadError> {
        let filters = filters(Feed::Run, topics);
        let read = {
            let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                images
                    .entry((view.life, filters.clone(), everything))
                    .or_default(),
            )
        };
        let want = ImagesWanted {
            everything,
            high: view.high,
            at_least,
        };
        let images = read.as_of(self, &filters, &want);
        timeout(ANSWER_WITHIN, images)
            .await
            .map_err(|_| ReadError::Timeout)?
    }

    /// Forgets what serves nobody any more, again and again until `stop`.
    pub async fn keep_small(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(SERVES)).await.is_some() {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            parts.retain(|_, read| !read.is_idle());
            drop(parts);
            let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
            images.retain(|_, read| !read.is_idle());
        }
    }

    async fn admit(&self) -> SemaphorePermit<'_> {
        self.metrics.log_reads.inc();
        match self.admission.acquire().await {
            Ok(permit) => permit,
            Err(closed) => unreachable!("nobody closes it: {closed}"),
        }
    }

    /// Counts frames among the bytes that wait for clients, for as long as somebody holds them.
    fn count<'a>(&self, frames: impl IntoIterator<Item = &'a Arc<Frame>>) -> Counted {
        let bytes: usize = frames.into_iter().map(|frame| frame.bytes()).sum();
        let counted = Counted {
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
            all: self.metrics.queue_bytes.clone(),
        };
        counted.all.inc_by(counted.bytes);
        counted
    }

    /// Encodes what was read of a feed; what is not what the contract says is left out.
    fn frame(&self, feed: Feed, message: &Stored) -> Option<Arc<Frame>> {
        self.quarantine.admit(feed, message).map(Arc::new)
    }
}

/// Bytes that are counted while this lives.
#[derive(Debug)]
struct Counted {
    bytes: i64,
    all: Gauge,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.dec_by(self.bytes);
    }
}

/// Whether something read at `at` still serves.
fn is_fresh(at: Instant) -> bool {
    at.elapsed() < SERVES
}

/// One filter a read: with more than this many, the whole feed is read once and filtered here.
const FILTERS_MAX: usize = 8;

/// The different filters of the topics on one feed; one that takes everything makes the others idle.
fn filters(feed: Feed, topics: &[Topic]) -> Filters {
    let all: Filters = topics
        .iter()
        .filter(|topic| topic.feed() == feed)
        .flat_map(Topic::filters)
        .collect();
    let everything = format!("{feed}.>");
    if all.contains(&everything) || all.len() > FILTERS_MAX {
        Filters::from([everything])
    } else {
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    #[test]
    fn many_topics_are_read_as_the_whole_feed_once() {
        let topics: Vec<Topic> = (0..9)
            .map(|n| format!("scrape_progress.s{n}").parse().unwrap())
            .collect();
        assert_eq!(filters(Feed::Run, &topics), Filters::from(["run.>".to_owned()]));
        assert_eq!(filters(Feed::Run, &topics[..8]).len(), 8);
    }

    #[test]
    fn a_topic_that_takes_everything_makes_the_others_idle() {
        let topics: Vec<Topic> = ["odds_updates", "odds_updates.soccer", "scrape_progress.alpha"]
            .map(|t| t.parse().unwrap())
            .into();
        assert_eq!(filters(Feed::Odds, &topics), Filters::from(["odds.>".to_owned()]));
        assert_eq!(
            filters(Feed::Run, &topics),
            Filters::from(["run.alpha.>".to_owned()])
        );
    }

    #[tokio::test]
    async fn who_asks_together_shares_an_answer_and_nobody_gets_an_older_one_than_his_question() {
        let shared = Shared::default();
        let questions = AtomicU32::new(0);
        let ask = || {
            shared.ask(async || {
                tokio::task::yield_now().await;
                Ok(questions.fetch_add(1, SeqCst))
            })
        };
        let answers = futures_util::future::join_all((0..100).map(|_| ask())).await;
        // The first question was under way when the others came: they may not have its answer, and share the second.
        assert_eq!(questions.load(SeqCst), 2);
        assert_eq!(answers.iter().filter(|answer| **answer == Ok(1)).count(), 99);
        assert_eq!(ask().await, Ok(2));
    }

    #[tokio::test]
    async fn a_question_that_failed_is_asked_again() {
        let shared = Shared::<u32>::default();
        let failed = shared.ask(async || Err(ReadError::Timeout)).await;
        assert_eq!(failed, Err(ReadError::Timeout));
        assert_eq!(shared.ask(async || Ok(7)).await, Ok(7));
    }
}
