//! What the scraper reads from the bus, and how patiently.

use crate::diff::QuoteKey;
use oddswire_kit::{
    bus::Bus,
    log::{ReadError, Stored},
};
use oddswire_protocol::{
    EventKey, Feed, SourceKey, event::check_event, header::MSG_ID, odds::OddsUpdate, progress::ScrapeProgress,
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Reads until it succeeds; `None` when `stop` came first.
pub(crate) async fn patiently<T, F>(stop: &CancellationToken, mut read: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Result<T, ReadError>>,
{
    let mut delay = RETRY_MIN;
    loop {
        let pause = tokio::select! {
            found = read() => match found {
                Ok(found) => return Some(found),
                Err(error) => {
                    tracing::debug!(%error, "the bus is read again");
                    delay.mul_f64(rand::random_range(0.5..1.0))
                }
            },
            () = stop.cancelled() => return None,
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return None,
        }
        delay = (delay * 2).min(RETRY_MAX);
    }
}

/// The last message of a run.
#[derive(Debug, Clone)]
pub(crate) struct LastOfRun {
    /// Its sequence in RUNS.
    pub(crate) seq: u64,
    /// Its message id.
    pub(crate) id: String,
    /// Whether it ends the run. What cannot be read ends none: no client sees it.
    pub(crate) terminal: bool,
    /// The image; `None` when it cannot be read.
    pub(crate) image: Option<ScrapeProgress>,
    /// Milliseconds since it was stored.
    pub(crate) age_ms: u64,
}

impl LastOfRun {
    /// Reads the last message of a run from the leader; `None` when there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn read(bus: &Bus, key: &EventKey) -> Result<Option<Self>, ReadError> {
        let subject = bus.subjects().feed(key);
        let stored = bus.leader_last_message(&bus.names().runs, &subject).await?;
        Ok(stored.map(|stored| Self::of(key, &stored)))
    }

    fn of(key: &EventKey, stored: &Stored) -> Self {
        let image = read::<ScrapeProgress>(key, stored).inspect_err(|why| {
            tracing::error!(
                subject = stored.subject,
                seq = stored.seq,
                why,
                "the last event of a run cannot be read"
            );
        });
        let image = image.ok();
        Self {
            seq: stored.seq,
            id: stored.header(MSG_ID).unwrap_or_default().to_owned(),
            terminal: image.as_ref().is_some_and(|image| image.status.is_terminal()),
            image,
            age_ms: oddswire_protocol::Timestamp::now().ms_since(stored.stored_at),
        }
    }
}

/// What an event of the bus says. It is read as gateways read it: what they do not show to anybody is not known here
/// either, and is published again.
fn read<T: DeserializeOwned>(key: &EventKey, stored: &Stored) -> Result<T, String> {
    check_event(key, |name| stored.header(name), &stored.payload).map_err(|fault| fault.to_string())?;
    serde_json::from_slice(&stored.payload).map_err(|error| error.to_string())
}

/// The images that the bus has of one source's odds; `None` for one that cannot be read.
pub(crate) type Board = BTreeMap<QuoteKey, Option<Arc<OddsUpdate>>>;

/// Reads all images of a source; `None` when `stop` came first.
pub(crate) async fn read_board(bus: &Bus, source: &SourceKey, stop: &CancellationToken) -> Option<Board> {
    let stream = bus.names().feed(Feed::Odds);
    let floor = patiently(stop, || bus.stream_state(stream)).await?.last_seq;
    let filter = bus.subjects().feed_filter(&format!("odds.quote.*.*.{source}.*"));
    let mut read = bus.read(stream, filter, 1, floor);
    let mut board = Board::new();
    let mut unreadable = Unreadable::default();
    loop {
        let page = tokio::select! {
            page = read.next_page() => page,
            () = stop.cancelled() => return None,
        };
        match page {
            Ok(None) => {
                unreadable.tell(source);
                return Some(board);
            }
            Ok(Some(page)) => {
                board.extend(
                    page.iter()
                        .filter_map(|stored| image(bus, stored, &mut unreadable)),
                );
            }
            Err(error) => {
                tracing::debug!(%error, %source, "the odds are read again");
                sleep(RETRY_MAX / 4).await;
            }
        }
    }
}

/// Images of a source that cannot be read: how many, and the first.
#[derive(Debug, Default)]
struct Unreadable {
    count: usize,
    first: Option<(String, u64, String)>,
}

impl Unreadable {
    fn meet(&mut self, stored: &Stored, why: String) {
        self.count += 1;
        let first = || (stored.subject.clone(), stored.seq, why);
        self.first.get_or_insert_with(first);
    }

    /// What they said is lost: where the site shows the market it is published without its history. Where it does not,
    /// the market counts as missing like any other.
    fn tell(self, source: &SourceKey) {
        let Some((subject, seq, why)) = self.first else {
            return;
        };
        let count = self.count;
        tracing::error!(%source, count, subject, seq, why, "images on the bus cannot be read");
    }
}

fn image(
    bus: &Bus,
    stored: &Stored,
    unreadable: &mut Unreadable,
) -> Option<(QuoteKey, Option<Arc<OddsUpdate>>)> {
    let key = bus.subjects().parse(&stored.subject)?;
    let image = read(&key, stored).map_err(|why| unreadable.meet(stored, why));
    let EventKey::Quote {
        sport,
        event_id,
        market,
        ..
    } = key
    else {
        return None;
    };
    let key = QuoteKey {
        event_id,
        market,
        sport,
    };
    Some((key, image.ok().map(Arc::new)))
}
