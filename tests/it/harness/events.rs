//! Events as a scraper publishes them, made by hand.

use super::{World, within};
use oddswire_kit::publish::{Ack, Publication};
use oddswire_protocol::{
    BatchId, EventId, EventKey, Price, RunId, Timestamp,
    header::{ATTEMPT, BATCH, STATUS, cloud_event},
    odds::{Event, Market, OddsUpdate, Outcome, QuoteStatus},
    progress::{Phase, ScrapeProgress, Status},
};
use tokio_util::sync::CancellationToken;

/// A market of one quote, told by its event and its source.
#[derive(Debug, Clone)]
pub(crate) struct Quote {
    pub(crate) event: &'static str,
    pub(crate) source: &'static str,
    pub(crate) price: &'static str,
}

pub(crate) fn run_key(source: &str, run_id: &RunId) -> EventKey {
    EventKey::Run {
        source: source.parse().unwrap(),
        run_id: run_id.clone(),
    }
}

pub(crate) fn odds_key(event: &str, source: &str) -> EventKey {
    EventKey::Quote {
        sport: "soccer".parse().unwrap(),
        event_id: EventId::of(event),
        source: source.parse().unwrap(),
        market: "h2h-ft".parse().unwrap(),
    }
}

/// The image of a market of one quote with one outcome.
pub(crate) fn update(event: &str, source: &str, price: Price, now: Timestamp) -> OddsUpdate {
    let event_id = EventId::of(event);
    OddsUpdate {
        event_ids: [event_id.clone()],
        source: source.parse().unwrap(),
        snapshot_count: 1,
        run_id: "r1".parse().unwrap(),
        event: Event {
            event_id,
            sport_key: "soccer".parse().unwrap(),
            league: "Élite".into(),
            country: None,
            commence_time: now,
            home_team: "Home".into(),
            away_team: "Away".into(),
        },
        market: Market {
            key: "h2h".parse().unwrap(),
            period: "ft".parse().unwrap(),
            quotes: vec![oddswire_protocol::odds::Quote {
                line: None,
                status: QuoteStatus::Open,
                outcomes: vec![Outcome {
                    name: "home".into(),
                    label: "1".into(),
                    price: Some(price),
                    previous_price: None,
                    status: QuoteStatus::Open,
                }],
                changed_at: now,
                confirmed_at: now,
                source_updated_at: None,
            }],
        },
    }
}

/// The image of a run.
pub(crate) fn run_image(source: &str, run_id: &RunId, seq: u64, status: Status) -> ScrapeProgress {
    let phase = match status {
        Status::Completed => Phase::Completed,
        Status::Failed => Phase::Failed,
        Status::Cancelled => Phase::Cancelled,
        _ => Phase::Scraping,
    };
    ScrapeProgress {
        seq,
        attempt: 1,
        worker_id: Some("test".into()),
        status,
        phase,
        current: seq,
        ..ScrapeProgress::queued(run_id.clone(), BatchId::new(), source.parse().unwrap())
    }
}

impl World {
    /// Publishes one event of a run.
    pub(crate) async fn run_event(&self, source: &str, run_id: &RunId, seq: u64, status: Status) -> Ack {
        let image = run_image(source, run_id, seq, status);
        let key = run_key(source, run_id);
        let extra = vec![
            (STATUS, status.as_str().to_owned()),
            (ATTEMPT, "1".to_owned()),
            (BATCH, image.batch_id.to_string()),
        ];
        self.event(
            &key,
            &format!("{run_id}:1:{seq}"),
            extra,
            &serde_json::to_vec(&image).unwrap(),
        )
        .await
    }

    /// Publishes the image of a market.
    pub(crate) async fn odds_event(&self, quote: &Quote) -> Ack {
        let price = quote.price.parse().unwrap();
        let image = update(quote.event, quote.source, price, Timestamp::now());
        let id = format!("{quote:?}:{}", RunId::new());
        self.event(
            &odds_key(quote.event, quote.source),
            &id,
            Vec::new(),
            &serde_json::to_vec(&image).unwrap(),
        )
        .await
    }

    /// Publishes any event.
    pub(crate) async fn event(
        &self,
        key: &EventKey,
        id: &str,
        extra: Vec<(&'static str, String)>,
        payload: &[u8],
    ) -> Ack {
        let mut headers = cloud_event(key, id, "test", Timestamp::now());
        headers.extend(extra);
        let message = Publication {
            headers,
            ..Publication::new(
                self.bus.subjects().feed(key),
                id.to_owned(),
                payload.to_vec().into(),
            )
        };
        within(
            "the bus to take an event",
            self.bus.publish(&message, &CancellationToken::new()),
        )
        .await
        .unwrap()
    }
}
