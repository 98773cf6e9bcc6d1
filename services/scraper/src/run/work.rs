//! The work of a run, phase by phase: load, find, fetch, map, store.

use super::{gauge::Gauge, rein::Rein, retry::Task, store::Store};
use crate::{
    bus::{Board, patiently},
    diff::{Misses, Plan, Sight, plan},
    progress::{End, fault},
    reading::Harvest,
    source::Source,
    walk::{Observer, Walk, WalkError},
    worker::Worker,
};
use oddswire_protocol::{
    Timestamp,
    job::Job,
    odds::{OddsConfirmed, UNCONFIRMED_MAX},
    progress::{ErrorType, Outcome, Phase, Unit},
};
use std::sync::Arc;

/// How the work ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// How.
    pub(super) end: End,
    /// In one sentence.
    pub(super) message: String,
}

impl Ended {
    fn cancelled() -> Self {
        Self {
            end: End::Cancelled,
            message: "Cancelled.".into(),
        }
    }

    pub(super) fn failed(outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            end: End::Failed(outcome),
            message: message.into(),
        }
    }
}

/// One attempt at a run, once it is claimed.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) worker: Arc<Worker>,
    pub(super) source: Arc<Source>,
    pub(super) job: Job,
    pub(super) gauge: Arc<Gauge>,
    pub(super) rein: Arc<Rein>,
    pub(super) store: Store,
}

impl Work {
    /// Does the work. What it gives counts only if the run was not abandoned meanwhile.
    pub(super) async fn run(self) -> Ended {
        // Whoever wants the work to end has it end at the next step; `cancelled` is right unless it was abandoned.
        self.try_run().await.unwrap_or_else(Ended::cancelled)
    }

    async fn try_run(&self) -> Option<Ended> {
        self.store.take_over().await?;
        let board = self.store.load().await?;
        let misses = self.load_misses().await?;
        let task = self.task().await?;
        let (harvest, seen_at) = match self.read_site(&task).await? {
            Ok(read) => read,
            Err(ended) => {
                self.leave_behind(&task, task.pages(), false).await;
                return Some(ended);
            }
        };
        if matches!(harvest.outcome, Outcome::Broken | Outcome::Blocked) {
            // Nothing of a page that may mean something else is shown to anyone.
            let message = "The site is not what its definition says; nothing was published.";
            return Some(Ended::failed(harvest.outcome, message));
        }
        if let Some(message) = self.dropped(&task, &harvest, &misses, seen_at) {
            self.gauge
                .fault(fault(ErrorType::SchemaDrift, message.clone(), false));
            return Some(Ended::failed(Outcome::Broken, message));
        }
        let sight = Sight {
            source: self.source.key.clone(),
            run_id: self.job.run_id.clone(),
            at: seen_at,
        };
        self.put_away(&task, &board, &misses, harvest, &sight).await
    }

    async fn load_misses(&self) -> Option<Misses> {
        let key = misses_key(&self.source);
        let bus = &self.worker.bus;
        let record = patiently(self.rein.working(), || bus.kv_get(&key)).await?;
        // A record that cannot be read only delays withdrawals.
        Some(
            record
                .and_then(|record| serde_json::from_slice(&record).ok())
                .unwrap_or_default(),
        )
    }

    /// Reads the site. Gives what it shows, and a moment that no page is older than.
    async fn read_site(&self, task: &Task) -> Option<Result<(Harvest, Timestamp), Ended>> {
        let gauge: Arc<dyn Observer> = Arc::<Gauge>::clone(&self.gauge);
        let cancel = self.rein.working().clone();
        let pages = self.worker.pages(&self.source.key);
        let source = Arc::clone(&self.source);
        let walk = match Walk::new(source, &self.worker.fetcher, gauge, cancel, pages) {
            Ok(walk) => Arc::new(walk.only(task.pages())),
            Err(error) => {
                self.gauge
                    .fault(fault(error.error_type(), error.to_string(), false));
                return Some(Err(Ended::failed(Outcome::Broken, error.to_string())));
            }
        };
        let seen_at = Timestamp::now();
        self.gauge
            .enter(Phase::Discovering, Unit::Pages, "Looking for what there is.");
        let targets = match walk.discover().await {
            Ok(targets) => targets,
            Err(error) => return unreadable(error),
        };
        self.gauge.enter(Phase::Scraping, Unit::Pages, "Reading pages.");
        let scraped = match walk.scrape(targets).await {
            Ok(scraped) => scraped,
            Err(error) => return unreadable(error),
        };
        self.gauge
            .enter(Phase::Mapping, Unit::Events, "Putting markets into our names.");
        let mapping = tokio::task::spawn_blocking(move || walk.map(scraped));
        let harvest = match mapping.await {
            Ok(harvest) => harvest,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => return None,
            },
        };
        self.tell_unmapped(&harvest);
        (!self.rein.working().is_cancelled()).then_some(Ok((harvest, seen_at)))
    }

    /// Why so few events are not to be believed, if so.
    fn dropped(&self, task: &Task, harvest: &Harvest, misses: &Misses, now: Timestamp) -> Option<String> {
        let found = complete(task, harvest)?;
        let last = misses.dropped_from(found, self.source.expect.max_drop_vs_last, now)?;
        Some(format!(
            "{found} events, after {last} in the last complete run: more than max_drop_vs_last allows; nothing was \
             published."
        ))
    }

    fn tell_unmapped(&self, harvest: &Harvest) {
        for (reason, count) in &harvest.unmapped.counts {
            tracing::debug!(source = %self.source.key, reason = reason.as_str(), count, "not mapped");
        }
    }

    async fn put_away(
        &self,
        task: &Task,
        board: &Board,
        misses: &Misses,
        harvest: Harvest,
        sight: &Sight,
    ) -> Option<Ended> {
        self.gauge
            .enter(Phase::Storing, Unit::Markets, "Publishing what changed.");
        let withdraw_after = self.source.withdraw_after;
        let mut plan = plan(board, &harvest, misses, &self.job.run_id, withdraw_after);
        self.gauge.total(Some(plan.targets.len() as u64));
        self.store.check_claim().await;
        let mut refused = self.store.settle(&plan.targets, board, sight).await;
        self.going_on()?;
        plan.misses.complete(complete(task, &harvest), sight.at, misses);
        self.save_misses(&plan.misses).await?;
        let outcome = if refused.is_empty() && plan.nameless == 0 {
            harvest.outcome
        } else {
            Outcome::Partial
        };
        plan.unconfirmed.append(&mut refused);
        let confirmed = self.confirm(task, &plan, &harvest, sight).await;
        self.leave_behind(task, harvest.to_retry.clone(), confirmed).await;
        self.going_on()?;
        self.worker.remember_pages(&self.source.key, harvest.pages);
        Some(Ended {
            end: End::Completed(outcome),
            message: sentence(task, outcome, harvest.events.len()),
        })
    }

    /// `None` when the work must end.
    fn going_on(&self) -> Option<()> {
        (!self.rein.working().is_cancelled()).then_some(())
    }

    async fn save_misses(&self, misses: &Misses) -> Option<()> {
        let (record, left_out) = misses.to_record();
        if left_out > 0 {
            tracing::warn!(source = %self.source.key, left_out, "too much is missing to remember all of it");
        }
        let key = misses_key(&self.source);
        let bus = &self.worker.bus;
        match bus.kv_put(&key, record.into(), None, self.rein.working()).await {
            Ok(()) => {}
            Err(oddswire_kit::publish::PublishError::Stopped) => return None,
            // Withdrawals are delayed, nothing else.
            Err(error) => tracing::error!(%error, source = %self.source.key, "misses were not saved"),
        }
        Some(())
    }

    /// Says what stands. A run that read nothing confirms nothing and leaves the confirmation before it in place:
    /// `all_unconfirmed` would take that back, though nothing is known against it.
    async fn confirm(&self, task: &Task, plan: &Plan, harvest: &Harvest, sight: &Sight) -> bool {
        let confirmed = match task {
            Task::Pages { confirmed_by, .. } => self.confirmation_of_retry(confirmed_by, harvest, plan).await,
            _ if harvest.events.is_empty() && harvest.outcome != Outcome::Empty => None,
            _ => Some(confirmation(plan, sight)),
        };
        match confirmed {
            Some(confirmed) => self.store.confirm(&confirmed).await,
            None => false,
        }
    }
}

/// How many events a run found that read the whole source without a fault.
fn complete(task: &Task, harvest: &Harvest) -> Option<usize> {
    let whole = !matches!(task, Task::Pages { .. });
    let complete = matches!(harvest.outcome, Outcome::Complete | Outcome::Empty);
    (whole && complete).then_some(harvest.events.len())
}

/// What a run confirms: all events but those of which something may have changed unseen.
fn confirmation(plan: &Plan, sight: &Sight) -> OddsConfirmed {
    let unconfirmed: Vec<_> = plan
        .unconfirmed
        .iter()
        .take(UNCONFIRMED_MAX + 1)
        .cloned()
        .collect();
    let all_unconfirmed = unconfirmed.len() > UNCONFIRMED_MAX;
    OddsConfirmed {
        source: sight.source.clone(),
        run_id: sight.run_id.clone(),
        confirmed_at: sight.at,
        unconfirmed_event_ids: if all_unconfirmed { Vec::new() } else { unconfirmed },
        all_unconfirmed,
    }
}

fn unreadable(error: WalkError) -> Option<Result<(Harvest, Timestamp), Ended>> {
    match error {
        WalkError::Cancelled => None,
        WalkError::Unreadable { outcome, fault } => Some(Err(Ended::failed(outcome, fault.message))),
    }
}

fn misses_key(source: &Source) -> String {
    format!("misses.{}", source.key)
}

fn sentence(task: &Task, outcome: Outcome, events: usize) -> String {
    let said = match outcome {
        Outcome::Empty if matches!(task, Task::Pages { .. }) => "What failed is not there any more.".into(),
        Outcome::Empty => "The site offers nothing.".into(),
        Outcome::Partial => format!("{events} events read; not all could be read or published."),
        _ => format!("{events} events read."),
    };
    match task {
        Task::Whole => said,
        Task::WholeInstead => {
            format!("{said} What failed was not known any more: the whole source was repeated.")
        }
        Task::Pages { pages, .. } => format!(
            "{said} Asked for {} of all pages, those that had failed.",
            pages.len()
        ),
    }
}

/// The fault and the end of a run whose work panicked.
pub(super) fn bug(gauge: &Gauge) -> Ended {
    let message = "The scraper itself failed; its log says where.";
    gauge.fault(fault(ErrorType::Parse, message, false));
    Ended::failed(Outcome::Broken, message)
}
