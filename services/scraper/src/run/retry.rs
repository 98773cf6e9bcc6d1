//! What a run leaves behind for the one that retries it: the pages that failed, where these are all that did.

use super::work::Work;
use crate::{bus::patiently, diff::Plan, reading::Harvest};
use oddswire_kit::publish::PublishError;
use oddswire_protocol::{
    EventId, EventKey, RunId,
    odds::{OddsConfirmed, UNCONFIRMED_MAX},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// How long it can be retried. After a day every page has changed.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest record, in bytes; the bus takes 64 KiB a message. Of a run with more the whole source is repeated.
const BYTES_MAX: usize = 48 * 1024;

/// CONTROL `failed.<run_id>`.
#[derive(Debug, Serialize, Deserialize)]
struct Failed {
    /// Pages of another definition may mean something else.
    definition_hash: String,
    pages: BTreeSet<String>,
    /// The run that confirmed the other pages: that one, or one that it retried in vain.
    confirmed_by: RunId,
}

/// What a run is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Task {
    /// The whole source.
    Whole,
    /// The whole source, though only a part of a run failed: what failed is not known any more.
    WholeInstead,
    /// These pages, which failed; the others were confirmed by that run.
    Pages {
        pages: BTreeSet<String>,
        confirmed_by: RunId,
    },
}

impl Task {
    /// The pages that are asked for; `None`: all.
    pub(super) fn pages(&self) -> Option<BTreeSet<String>> {
        match self {
            Self::Pages { pages, .. } => Some(pages.clone()),
            Self::Whole | Self::WholeInstead => None,
        }
    }
}

fn key(run_id: &RunId) -> String {
    format!("failed.{run_id}")
}

impl Work {
    /// What the job asks for; `None` when the work must end.
    pub(super) async fn task(&self) -> Option<Task> {
        let Some(retried) = &self.job.retry_of else {
            return Some(Task::Whole);
        };
        let key = key(retried);
        let bus = &self.worker.bus;
        let record = patiently(self.rein.working(), || bus.kv_get(&key)).await?;
        let failed: Option<Failed> = record.and_then(|record| serde_json::from_slice(&record).ok());
        Some(match failed {
            Some(failed) if failed.definition_hash == self.source.definition_hash() => Task::Pages {
                pages: failed.pages,
                confirmed_by: failed.confirmed_by,
            },
            _ => Task::WholeInstead,
        })
    }

    /// Leaves behind what failed, where asking for it again makes the run whole; of a retry that read nothing, what it
    /// was asked for.
    pub(super) async fn leave_behind(&self, task: &Task, pages: Option<BTreeSet<String>>, confirmed: bool) {
        let Some(pages) = pages else { return };
        let confirmed_by = match task {
            Task::Pages { confirmed_by, .. } if !confirmed => confirmed_by.clone(),
            _ => self.job.run_id.clone(),
        };
        let failed = Failed {
            definition_hash: self.source.definition_hash().to_owned(),
            pages,
            confirmed_by,
        };
        let record = serde_json::to_vec(&failed).expect("a record serialises without failing");
        if record.len() > BYTES_MAX {
            return;
        }
        let bus = &self.worker.bus;
        let key = key(&self.job.run_id);
        match bus
            .kv_put(&key, record.into(), Some(TTL), self.rein.working())
            .await
        {
            Ok(()) | Err(PublishError::Stopped) => {}
            // A retry repeats the whole source then.
            Err(error) => {
                tracing::error!(%error, source = %self.source.key, "what failed was not written down");
            }
        }
    }

    /// What may be said after pages that had failed were read: what `confirmed_by` said, at its time, with fewer
    /// exceptions. `None` when another run has confirmed the source since, or that run confirmed nothing.
    pub(super) async fn confirmation_of_retry(
        &self,
        confirmed_by: &RunId,
        harvest: &Harvest,
        plan: &Plan,
    ) -> Option<OddsConfirmed> {
        let bus = &self.worker.bus;
        let source = self.source.key.clone();
        let subject = bus.subjects().feed(&EventKey::Confirmed { source });
        let stream = &bus.names().odds;
        let read = || bus.leader_last_message(stream, &subject);
        let last = patiently(self.rein.working(), read).await??;
        let before: OddsConfirmed = serde_json::from_slice(&last.payload).ok()?;
        if before.run_id != *confirmed_by || before.all_unconfirmed {
            return None;
        }
        let read = |event: &EventId| harvest.has(event) && !harvest.unconfirmed.contains(event);
        let mut open: BTreeSet<_> = before
            .unconfirmed_event_ids
            .into_iter()
            .filter(|event| !read(event))
            .collect();
        // What was read and yet is not what the bus has.
        open.extend(
            plan.unconfirmed
                .iter()
                .filter(|event| harvest.has(event))
                .cloned(),
        );
        (open.len() <= UNCONFIRMED_MAX).then(|| OddsConfirmed {
            source: self.source.key.clone(),
            run_id: self.job.run_id.clone(),
            confirmed_at: before.confirmed_at,
            unconfirmed_event_ids: open.into_iter().collect(),
            all_unconfirmed: false,
        })
    }
}
