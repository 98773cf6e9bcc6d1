//! What others can look up: which sources there are and how they do, which workers are alive.

use crate::source::Timetable;
use crate::{bus::patiently, source::Source, worker::Worker};
use oddswire_kit::{bus::Bus, publish::PublishError};
use oddswire_protocol::{
    RunId, Timestamp,
    job::{SourceHealth, SourceRecord, WORKER_TTL_MS, WorkerRecord},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often a worker renews its record.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long a source is listed that no scraper has any more.
const SOURCE_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often the record of a source is renewed when nothing else writes it.
const SOURCE_RENEW_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How long removing it may take.
const REMOVE_WITHIN: Duration = Duration::from_secs(1);

fn record_key(source: &Source) -> String {
    format!("source.{}", source.key)
}

fn record(source: &Source, before: Option<&SourceRecord>) -> SourceRecord {
    let timetable = source.timetable.as_ref();
    SourceRecord {
        source: source.key.clone(),
        title: source.title.clone(),
        enabled: source.enabled,
        interval_ms: timetable.and_then(Timetable::interval).map(millis),
        cron: timetable.and_then(Timetable::cron),
        stale_after_ms: millis(source.stale_after),
        definition_hash: source.definition_hash().to_owned(),
        health: before.map_or(SourceHealth::Unknown, |before| before.health),
        last_run_id: before.and_then(|before| before.last_run_id.clone()),
        updated_at: Timestamp::now(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Writes the record of each source whose definition is another than the bus has, or whose record grows old, now, after
/// each change and every day, until `stop`.
pub(crate) async fn announce_sources(worker: &Worker, stop: &CancellationToken) {
    let mut changes = worker.shelf.subscribe();
    loop {
        let sources = Arc::clone(&changes.borrow_and_update());
        for source in sources.values() {
            announce(&worker.bus, source, stop).await;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep(SOURCE_RENEW_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn announce(bus: &Bus, source: &Source, stop: &CancellationToken) {
    let key = record_key(source);
    let Some(found) = patiently(stop, || bus.kv_get(&key)).await else {
        return;
    };
    let before = found.and_then(|found| serde_json::from_slice::<SourceRecord>(&found).ok());
    let wanted = record(source, before.as_ref());
    if is_due(before, &wanted) {
        put(bus, &key, &wanted, Some(SOURCE_TTL), stop).await;
    }
}

/// Whether a record is to be written: it says something else than the one before, or that one is old.
fn is_due(before: Option<SourceRecord>, wanted: &SourceRecord) -> bool {
    let Some(before) = before else { return true };
    let updated_at = wanted.updated_at;
    let age_ms = updated_at.ms_since(before.updated_at);
    age_ms >= millis(SOURCE_RENEW_EVERY) || SourceRecord { updated_at, ..before } != *wanted
}

/// Writes how the last run of a source went; `None` leaves its health as it was.
pub(crate) async fn note_run(bus: &Bus, source: &Source, run_id: &RunId, health: Option<SourceHealth>) {
    // The caller drops this future when it takes too long.
    let never = CancellationToken::new();
    let key = record_key(source);
    let found = patiently(&never, || bus.kv_get(&key)).await.flatten();
    let before = found.and_then(|found| serde_json::from_slice::<SourceRecord>(&found).ok());
    let mut record = record(source, before.as_ref());
    record.health = health.unwrap_or(record.health);
    record.last_run_id = Some(run_id.clone());
    put(bus, &key, &record, Some(SOURCE_TTL), &never).await;
}

/// Says every ten seconds that this worker is alive, until `stop`; then removes its record.
pub(crate) async fn keep_alive(worker: Arc<Worker>, concurrency: usize, stop: CancellationToken) {
    let key = format!("worker.{}", worker.id);
    let ttl = Duration::from_millis(WORKER_TTL_MS);
    let started_at = Timestamp::now();
    let mut ticks = interval(RENEW_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => break,
        }
        let record = WorkerRecord {
            worker_id: worker.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            seen_at: Timestamp::now(),
            concurrency,
            running: worker.running(),
            sources: worker.shelf.current().keys().cloned().collect(),
        };
        // An old sign of life is worth nothing: the next one is written anew.
        let _ = timeout(RENEW_EVERY, put(&worker.bus, &key, &record, Some(ttl), &stop)).await;
    }
    let never = CancellationToken::new();
    let removed = worker.bus.kv_delete(&key, &never);
    if !matches!(timeout(REMOVE_WITHIN, removed).await, Ok(Ok(()))) {
        tracing::info!("the worker's record stays until it expires");
    }
}

async fn put(
    bus: &Bus,
    key: &str,
    record: &impl serde::Serialize,
    ttl: Option<Duration>,
    stop: &CancellationToken,
) {
    let value = serde_json::to_vec(record).expect("records serialise without failing");
    match bus.kv_put(key, value.into(), ttl, stop).await {
        Ok(()) | Err(PublishError::Stopped) => {}
        Err(error) => tracing::error!(%error, key, "the bus refuses a record"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::source;

    #[test]
    fn a_record_is_written_again_when_it_changed_and_every_day() {
        let source = source("http://example.org", "");
        let wanted = record(&source, None);
        let of_age = |age: Duration| SourceRecord {
            updated_at: Timestamp::from_unix_ms(
                wanted.updated_at.unix_ms() - i64::try_from(millis(age)).unwrap(),
            )
            .unwrap(),
            ..wanted.clone()
        };
        assert!(is_due(None, &wanted));
        assert!(!is_due(Some(of_age(Duration::from_secs(3600))), &wanted));
        assert!(is_due(Some(of_age(SOURCE_RENEW_EVERY)), &wanted));
        let other = SourceRecord {
            title: "Other".into(),
            ..of_age(Duration::ZERO)
        };
        assert!(is_due(Some(other), &wanted));
    }
}
