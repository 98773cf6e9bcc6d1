//! What the scraper reads from the bus, and how patiently.

use crate::diff::QuoteKey;
use oddswire_kit::{
    bus::Bus,
    log::{ReadError, Stored},
};
use oddswire_protocol::{
    EventKey, Feed, SourceKey,
    header::{MSG_ID, STATUS},
    odds::OddsUpdate,
    progress::{ScrapeProgress, Status},
};
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
    /// Whether it ends the run.
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
        Ok(stored.map(|stored| Self::of(&stored)))
    }

    fn of(stored: &Stored) -> Self {
        let image = serde_json::from_slice::<ScrapeProgress>(&stored.payload).inspect_err(|error| {
            tracing::error!(subject = stored.subject, seq = stored.seq, %error, "the last event of a run cannot be read");
        });
        let image = image.ok();
        let by_header = stored
            .header(STATUS)
            .and_then(|status| status.parse::<Status>().ok());
        let status = by_header.or(image.as_ref().map(|image| image.status));
        Self {
            seq: stored.seq,
            id: stored.header(MSG_ID).unwrap_or_default().to_owned(),
            terminal: status.is_some_and(Status::is_terminal),
            image,
            age_ms: oddswire_protocol::Timestamp::now().ms_since(stored.stored_at),
        }
    }
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
    loop {
        let page = tokio::select! {
            page = read.next_page() => page,
            () = stop.cancelled() => return None,
        };
        match page {
            Ok(None) => return Some(board),
            Ok(Some(page)) => board.extend(page.iter().filter_map(|stored| image(bus, stored))),
            Err(error) => {
                tracing::debug!(%error, %source, "the odds are read again");
                sleep(RETRY_MAX / 4).await;
            }
        }
    }
}

fn image(bus: &Bus, stored: &Stored) -> Option<(QuoteKey, Option<Arc<OddsUpdate>>)> {
    let EventKey::Quote {
        sport,
        event_id,
        market,
        ..
    } = bus.subjects().parse(&stored.subject)?
    else {
        return None;
    };
    let key = QuoteKey {
        event_id,
        market,
        sport,
    };
    let image = serde_json::from_slice(&stored.payload).map(Arc::new);
    // What it said is lost: when the site shows the market it is published without its history, and until then what
    // clients hold of it is not confirmed.
    let image = image.inspect_err(|error| {
        tracing::error!(subject = stored.subject, seq = stored.seq, %error, "an image on the bus cannot be read");
    });
    Some((key, image.ok()))
}
