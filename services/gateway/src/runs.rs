//! The runs of the last days, for lists: an index that is continued when it is asked for.

use crate::{
    frame::Frame,
    listing::{Listing, Part, Writer},
    quarantine::Quarantine,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use oddswire_kit::{
    bus::Bus,
    log::{ReadError, Stored, StreamState},
};
use oddswire_protocol::{
    BatchId, EventKey, Feed, RunId, SourceKey,
    header::{BATCH, STATUS},
    progress::Status,
};
use prometheus_client::metrics::gauge::Gauge;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::Mutex;

/// One run in a list.
#[derive(Debug, Clone)]
pub struct RunEntry {
    /// The run.
    pub run_id: RunId,
    /// Its source.
    pub source: SourceKey,
    /// What it is doing.
    pub status: Status,
    /// Its batch.
    pub batch_id: Option<BatchId>,
    /// The sequence of that in the log; 0 while queued.
    pub seq: u64,
    /// Its last image, as published.
    pub image: Bytes,
}

/// What a list is about; `None` is everything.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// With this status.
    pub status: Option<Status>,
    /// Of this source.
    pub source: Option<SourceKey>,
    /// Of this batch.
    pub batch_id: Option<BatchId>,
}

impl RunFilter {
    /// Whether a run is in the list.
    pub fn admits(&self, run: &RunEntry) -> bool {
        self.status.is_none_or(|status| status == run.status)
            && self.source.as_ref().is_none_or(|source| *source == run.source)
            && self
                .batch_id
                .as_ref()
                .is_none_or(|batch| Some(batch) == run.batch_id.as_ref())
    }
}

/// The index. Run ids rise with the time of their request, so its order is theirs.
#[derive(Debug, Default)]
pub struct RunIndex {
    state: Mutex<Index>,
    /// The bytes of its images.
    bytes: Gauge,
}

#[derive(Debug, Default)]
struct Index {
    /// Of the log and of its copy.
    epochs: (u32, u32),
    /// Everything up to this sequence of the log is in.
    seq: u64,
    /// The mark of the message there; `None` when it was forgotten.
    mark: Option<u32>,
    /// Everything up to this sequence of the copy is in.
    copy_seq: u64,
    /// Subjects of runs of which nothing good was read yet.
    behind: BTreeSet<String>,
    runs: BTreeMap<RunId, RunEntry>,
}

/// Runs that the index holds at most: the newest.
const RUNS_MAX: usize = 10_000;
/// Runs whose last event is not what the contract says, of which one before is looked for at the same time: each is a read.
const LOOKS_AT_ONCE: usize = 16;

impl RunIndex {
    /// An index that tells in `bytes` what it holds.
    pub fn new(bytes: Gauge) -> Self {
        Self {
            state: Mutex::default(),
            bytes,
        }
    }

    /// Brings the index up to date and gives what `filter` admits and is older than `before`, newest first, `limit`
    /// at most, and whether there is more.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn list(
        &self,
        bus: &Bus,
        quarantine: &Quarantine,
        filter: &RunFilter,
        before: Option<&RunId>,
        limit: usize,
    ) -> Result<(Vec<RunEntry>, bool), ReadError> {
        // Held while the log is read: others that want a list wait for the same read.
        let mut index = self.state.lock().await;
        let refreshed = index.refresh(bus, quarantine).await;
        let bytes: usize = index.runs.values().map(|run| run.image.len()).sum();
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        refreshed?;
        let mut found = index
            .runs
            .values()
            .rev()
            .filter(|run| before.is_none_or(|before| run.run_id < *before))
            .filter(|run| filter.admits(run))
            .take(limit + 1)
            .cloned()
            .collect::<Vec<_>>();
        let more = found.len() > limit;
        found.truncate(limit);
        Ok((found, more))
    }
}

impl Index {
    async fn refresh(&mut self, bus: &Bus, quarantine: &Quarantine) -> Result<(), ReadError> {
        let names = bus.names();
        let log = bus.stream_state(&names.runs).await?;
        let copy = bus.stream_state(&names.runs_last).await?;
        let is_another = (log.epoch, copy.epoch) != self.epochs || log.last_seq < self.seq;
        // A log that was put back from a copy goes on under the same sequences.
        if is_another || mark_at(bus, self.seq).await? != self.mark {
            *self = Self {
                epochs: (log.epoch, copy.epoch),
                ..Self::default()
            };
        }
        // Of the log as it is before it is read: when it is put back meanwhile, the next look notices.
        let mark = mark_at(bus, log.last_seq).await?;
        // Asked first: whatever moves on in the copy while it is read moves to its end, and is read there.
        let copied = bus.copied_to(&names.runs_last, &log).await?;
        self.copy_seq = self
            .read(bus, quarantine, &names.runs_last, &log, self.copy_seq)
            .await?;
        // The copy holds one message a run; what it does not have yet is read from the log itself.
        self.read(bus, quarantine, &names.runs, &log, copied.max(self.seq))
            .await?;
        self.look_behind(bus, quarantine).await?;
        (self.seq, self.mark) = (log.last_seq, mark);
        Ok(())
    }

    /// A run whose last event is not what the contract says is what the event before says. Where that cannot be read the
    /// run stays to be looked at.
    async fn look_behind(&mut self, bus: &Bus, quarantine: &Quarantine) -> Result<(), ReadError> {
        let (runs, subjects) = (&self.runs, bus.subjects());
        self.behind.retain(|subject| match subjects.parse(subject) {
            Some(EventKey::Run { run_id, .. }) => !runs.contains_key(&run_id),
            _ => false,
        });
        for (message, frame) in last_good_of(bus, quarantine, &self.behind, u64::MAX).await? {
            self.take(entry(&message, frame));
        }
        self.behind.clear();
        Ok(())
    }

    /// Takes in what is after `after` of this life of the log; gives the last sequence seen.
    async fn read(
        &mut self,
        bus: &Bus,
        quarantine: &Quarantine,
        stream: &str,
        log: &StreamState,
        after: u64,
    ) -> Result<u64, ReadError> {
        let mut read = bus.read(stream, bus.subjects().feed_filter("run.>"), after + 1, u64::MAX);
        let mut last = after;
        while let Some(page) = read.next_page().await? {
            for message in &page {
                if message.is_of(log) {
                    match quarantine.admit(Feed::Run, message) {
                        Some(frame) => self.take(entry(message, frame)),
                        None => _ = self.behind.insert(message.subject.clone()),
                    }
                }
                last = message.seq;
            }
        }
        Ok(last)
    }

    fn take(&mut self, entry: Option<RunEntry>) {
        let Some(entry) = entry else { return };
        if self
            .runs
            .get(&entry.run_id)
            .is_some_and(|known| known.seq > entry.seq)
        {
            return;
        }
        self.runs.insert(entry.run_id.clone(), entry);
        while self.runs.len() > RUNS_MAX {
            self.runs.pop_first();
        }
    }
}

/// The mark of the log at a sequence.
async fn mark_at(bus: &Bus, seq: u64) -> Result<Option<u32>, ReadError> {
    let marks = bus.marks(Feed::Run, seq).await?;
    Ok(marks.last().map(|(_, mark)| *mark))
}

/// The last image of a run, wherever it is.
///
/// # Errors
/// [`ReadError`].
pub async fn find(bus: &Bus, quarantine: &Quarantine, run_id: &RunId) -> Result<Option<RunEntry>, ReadError> {
    let filter = bus.subjects().feed_filter(&format!("run.*.{run_id}"));
    let Some(last) = bus.leader_last_message(&bus.names().runs, &filter).await? else {
        return Ok(None);
    };
    let good = match quarantine.admit(Feed::Run, &last) {
        Some(frame) => Some((last, frame)),
        None => last_good(bus, quarantine, &last.subject, last.seq).await?,
    };
    Ok(good.and_then(|(message, frame)| entry(&message, frame)))
}

/// The last event of each of these runs, up to a sequence of the log, that is what the contract says.
///
/// # Errors
/// [`ReadError`].
pub(crate) async fn last_good_of(
    bus: &Bus,
    quarantine: &Quarantine,
    subjects: &BTreeSet<String>,
    to: u64,
) -> Result<Vec<(Stored, Frame)>, ReadError> {
    let mut looks = Vec::new();
    for subject in subjects {
        looks.push(last_good(bus, quarantine, subject, to));
    }
    let found: Vec<_> = stream::iter(looks)
        .buffer_unordered(LOOKS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// The last event of a run, up to a sequence of the log, that is what the contract says. Reads the whole run.
async fn last_good(
    bus: &Bus,
    quarantine: &Quarantine,
    subject: &str,
    to: u64,
) -> Result<Option<(Stored, Frame)>, ReadError> {
    let mut read = bus.read(&bus.names().runs, subject.to_owned(), 1, to);
    let mut good = None;
    while let Some(page) = read.next_page().await? {
        for message in page {
            good = quarantine
                .admit(Feed::Run, &message)
                .map(|frame| (message, frame))
                .or(good);
        }
    }
    Ok(good)
}

fn entry(message: &Stored, frame: Frame) -> Option<RunEntry> {
    let EventKey::Run { source, run_id } = frame.key else {
        return None;
    };
    let status = message.header(STATUS)?.parse().ok()?;
    let batch_id = message.header(BATCH).and_then(|text| text.parse().ok());
    Some(RunEntry {
        run_id,
        source,
        status,
        batch_id,
        seq: message.origin_seq(),
        // A copy: what came from the bus is a part of a buffer with other messages in it, all of which would stay.
        image: Bytes::copy_from_slice(&message.payload),
    })
}

/// A page of a list of runs. Their images are the index's own.
#[derive(Debug)]
pub struct RunList {
    runs: std::vec::IntoIter<RunEntry>,
    next_page: Option<RunId>,
    out: Writer,
}

impl RunList {
    /// These runs, and the one before which the next page begins.
    pub fn new(runs: Vec<RunEntry>, next_page: Option<RunId>) -> Self {
        Self {
            runs: runs.into_iter(),
            next_page,
            out: Writer::begin("{\"runs\":["),
        }
    }
}

impl Listing for RunList {
    async fn next(&mut self) -> Result<Part, ReadError> {
        while !self.out.is_full() {
            let Some(run) = self.runs.next() else {
                self.out.end("]", self.next_page.as_ref());
                return Ok(self.out.part(true));
            };
            self.out.item(&run.image);
        }
        Ok(self.out.part(false))
    }
}
