//! Starts runs by the sources' timetables.
//!
//! Every scraper does this for every source it has. They agree without talking to each other: the moments are
//! multiples of the interval on the wall clock, or the times of a cron expression, put off by an amount that depends on
//! source and number alone, and the job's message id is `<source>:<number>`, so that the first one is stored and the others are duplicates. A source
//! whose run before is not over refuses the job; that tick is skipped and counted.

use crate::{
    metrics::Metrics,
    shelf::{Shelf, Sources},
    source::Timetable,
};
use oddswire_kit::{
    bus::Bus,
    publish::{Publication, PublishError},
    trace::Trace,
};
use oddswire_protocol::{
    BatchId, RunId, SourceKey, Timestamp,
    header::TRACEPARENT,
    job::{Job, RequestedBy},
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The moments of one source.
#[derive(Debug, Clone, PartialEq)]
struct Ticks {
    timetable: Timetable,
    /// By which share of the time to the next one a tick may be later, 0 to 1.
    jitter: f64,
    seed: u64,
}

/// One moment at which a run is to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tick {
    /// The same at every scraper, and another for each tick of a source.
    number: i64,
    at: Timestamp,
}

impl Ticks {
    fn of(source: &SourceKey, timetable: Timetable, jitter: f64) -> Self {
        Self {
            timetable,
            jitter: jitter.clamp(0.0, 1.0),
            seed: fnv1a(source.as_str().as_bytes()),
        }
    }

    /// The first tick later than `now`; `None` when none comes any more.
    fn after(&self, now: Timestamp) -> Option<Tick> {
        // The one before may have been put off to a time that is still ahead.
        let mut due = self.until(now).or_else(|| self.next(now))?;
        loop {
            let following = self.next(due)?;
            let tick = self.tick(due, following);
            if tick.at > now {
                return Some(tick);
            }
            due = following;
        }
    }

    /// The last moment of the timetable that is not later than `at`.
    fn until(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.timetable {
            Timetable::Every(interval) => multiple(at, *interval, 0),
            Timetable::Cron(cron) => cron.until(at),
        }
    }

    /// The first moment of the timetable that is later than `at`.
    fn next(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.timetable {
            Timetable::Every(interval) => multiple(at, *interval, 1),
            Timetable::Cron(cron) => cron.after(at),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a share of a time in milliseconds; both are far below 2^53"
    )]
    fn tick(&self, due: Timestamp, following: Timestamp) -> Tick {
        let number = match &self.timetable {
            Timetable::Every(interval) => due.unix_ms() / millis(*interval),
            Timetable::Cron(_) => due.unix_ms(),
        };
        let drawn = fnv1a(&[self.seed.to_be_bytes(), number.to_be_bytes()].concat());
        let share = (drawn >> 11) as f64 / (1u64 << 53) as f64;
        let later_ms = (share * self.jitter * following.ms_since(due) as f64) as i64;
        Tick {
            number,
            at: due.plus_ms(later_ms),
        }
    }
}

/// The last multiple of an interval until `at`, or so many after it.
fn multiple(at: Timestamp, interval: Duration, more: i64) -> Option<Timestamp> {
    let interval = millis(interval);
    let number = at.unix_ms().div_euclid(interval) + more;
    Timestamp::from_unix_ms(number.checked_mul(interval)?)
}

fn millis(interval: Duration) -> i64 {
    i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// FNV-1a with a last mix, so that neighbouring numbers are far apart. Fixed for good: all scrapers must draw alike.
fn fnv1a(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

/// Ticks every enabled source that has an interval, until `stop`.
pub(crate) async fn run(bus: Bus, shelf: Arc<Shelf>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut changes = shelf.subscribe();
    let mut ticking: BTreeMap<SourceKey, (Ticks, CancellationToken)> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wanted = wanted(&changes.borrow_and_update());
        // A source whose moments are the same goes on, so that no change of a definition costs a tick.
        ticking.retain(|key, (ticks, stop)| {
            let same = wanted.get(key) == Some(ticks);
            if !same {
                stop.cancel();
            }
            same
        });
        for (key, ticks) in wanted {
            if let Entry::Vacant(place) = ticking.entry(key.clone()) {
                let stop = stop.child_token();
                place.insert((ticks.clone(), stop.clone()));
                let (bus, metrics) = (bus.clone(), Arc::clone(&metrics));
                tasks.spawn(async move { tick_source(&bus, &key, &ticks, &metrics, &stop).await });
            }
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            () = stop.cancelled() => break,
        }
    }
    stop.cancelled().await;
    while tasks.join_next().await.is_some() {}
}

fn wanted(sources: &Sources) -> BTreeMap<SourceKey, Ticks> {
    let enabled = sources.values().filter(|source| source.enabled);
    let ticks = enabled.filter_map(|source| {
        let ticks = Ticks::of(&source.key, source.timetable.clone()?, source.jitter);
        Some((source.key.clone(), ticks))
    });
    ticks.collect()
}

async fn tick_source(
    bus: &Bus,
    source: &SourceKey,
    ticks: &Ticks,
    metrics: &Metrics,
    stop: &CancellationToken,
) {
    let mut next = ticks.after(Timestamp::now());
    while let Some(tick) = next {
        // The wall clock may be set meanwhile: never sleep for long on an old idea of it.
        let now = Timestamp::now();
        let left_ms = tick.at.ms_since(now);
        if left_ms > 0 {
            next = ticks.after(now);
            let nap = Duration::from_millis(left_ms.min(10_000));
            tokio::select! {
                () = tokio::time::sleep(nap) => continue,
                () = stop.cancelled() => return,
            }
        }
        next = ticks.after(now);
        // While the bus is down only the newest tick is worth starting.
        let left_ms = next.map_or(1_000, |next| next.at.ms_since(Timestamp::now()).max(1_000));
        let within = Duration::from_millis(left_ms);
        let started = tokio::time::timeout(within, start(bus, source, tick, stop)).await;
        match started {
            Ok(Ok(true)) => tracing::debug!(%source, tick = tick.number, "scheduled a run"),
            Ok(Ok(false) | Err(PublishError::Stopped)) => {}
            Ok(Err(PublishError::Taken)) => {
                metrics.skipped_ticks.get_or_create(&source.into()).inc();
            }
            Ok(Err(error)) => tracing::error!(%source, %error, "a scheduled run was refused"),
            Err(_) => tracing::warn!(%source, "a scheduled run was dropped: the bus does not answer"),
        }
    }
}

/// Publishes the job of a tick; whether this scraper was the first to do so.
async fn start(
    bus: &Bus,
    source: &SourceKey,
    tick: Tick,
    stop: &CancellationToken,
) -> Result<bool, PublishError> {
    let job = Job {
        run_id: RunId::new(),
        batch_id: BatchId::new(),
        source: source.clone(),
        requested_at: Timestamp::now(),
        requested_by: RequestedBy::Schedule,
        retry_of: None,
    };
    let payload = serde_json::to_vec(&job).expect("a job serialises without failing");
    let id = format!("{source}:{}", tick.number);
    let mut message = Publication::new(bus.subjects().job(source), id, payload.into());
    let trace = Trace::of_id(job.run_id.trace_id());
    message.headers.push((TRACEPARENT, trace.to_string()));
    bus.publish(&message, stop).await.map(|ack| !ack.duplicate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Crontab, Zone};
    use proptest::{prelude::*, test_runner::TestCaseError};

    fn ticks(source: &str, interval_s: u64, jitter: f64) -> Ticks {
        let timetable = Timetable::Every(Duration::from_secs(interval_s));
        Ticks::of(&source.parse().unwrap(), timetable, jitter)
    }

    fn cron(text: &str, jitter: f64) -> Ticks {
        let zone = "Europe/Berlin".parse().map(Zone::Named).unwrap();
        let cron = Crontab::parse(text, zone).unwrap();
        Ticks::of(&"alpha".parse().unwrap(), Timetable::Cron(Box::new(cron)), jitter)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn without_jitter_ticks_are_multiples_of_the_interval() {
        let tick = ticks("alpha", 30, 0.0)
            .after(at("2026-02-06T01:30:00.000Z"))
            .unwrap();
        assert_eq!(tick.at, at("2026-02-06T01:30:30.000Z"));
    }

    #[test]
    fn without_jitter_ticks_are_the_times_of_the_expression_and_with_it_never_sooner() {
        let eve = at("2026-02-06T01:30:00.000Z");
        let nine = at("2026-02-06T08:00:00.000Z");
        assert_eq!(cron("0 9 * * *", 0.0).after(eve).unwrap().at, nine);
        let later = cron("0 9 * * *", 0.5).after(eve).unwrap().at.ms_since(nine);
        assert!((1..12 * 3_600_000).contains(&later), "{later} ms");
    }

    #[test]
    fn sources_of_one_interval_do_not_all_start_at_once() {
        let now = Timestamp::from_unix_ms(1_770_000_000_000).unwrap();
        let starts: std::collections::BTreeSet<_> = ["alpha", "bravo", "charlie", "delta"]
            .map(|source| ticks(source, 60, 0.5).after(now).unwrap().at)
            .into();
        assert_eq!(starts.len(), 4);
    }

    /// Whoever looks at whatever moment sees the same ticks.
    fn agree(ticks: &Ticks, now: Timestamp) -> Result<(Tick, Tick), TestCaseError> {
        let tick = ticks.after(now).unwrap();
        prop_assert!(tick.at > now);
        prop_assert_eq!(ticks.after(tick.at.plus_ms(-1)).unwrap(), tick);
        let next = ticks.after(tick.at).unwrap();
        prop_assert!(next.at > tick.at && next.number > tick.number);
        Ok((tick, next))
    }

    proptest! {
        #[test]
        fn scrapers_that_look_at_different_moments_agree(
            now_ms in 0..4_000_000_000_000i64, interval_s in 1..86_400u64, jitter in 0.0..1.0f64,
        ) {
            let now = Timestamp::from_unix_ms(now_ms).unwrap();
            let (tick, next) = agree(&ticks("alpha", interval_s, jitter), now)?;
            prop_assert_eq!(next.number, tick.number + 1);
            prop_assert!(next.at.ms_since(tick.at) <= 2 * interval_s * 1_000);
        }

        #[test]
        fn scrapers_with_an_expression_agree_too(
            now_ms in 0..2_000_000_000_000i64, jitter in 0.0..1.0f64, which in 0..4usize,
        ) {
            let text = ["*/7 * * * *", "30 2 * * *", "0 */6 * * MON-FRI", "15 1-3 L * *"][which];
            agree(&cron(text, jitter), Timestamp::from_unix_ms(now_ms).unwrap())?;
        }
    }
}
