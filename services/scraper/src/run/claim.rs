//! Claims a run: from the claim's acknowledgement on, nobody who claimed before may write.

use super::{gauge::Gauge, rein::Rein};
use crate::{
    bus::{LastOfRun, patiently},
    progress::{Next, Progress},
    publish::{Author, Claim},
};
use oddswire_kit::{bus::Bus, publish::PublishError};
use oddswire_protocol::{job::Job, progress::ScrapeProgress};
use tokio::time::Instant;

/// What came of trying to claim a run.
pub(super) enum Claimed {
    /// It is ours: the state that goes on, and the claim.
    Ours(Box<Progress>, Claim),
    /// It is over; there is nothing to do but to say that its job is done.
    Over,
    /// Another worker has claimed it meanwhile.
    Taken,
    /// Its last message cannot be read, or the bus refuses the claim.
    Refused(String),
    /// The run was given up before.
    Abandoned,
}

/// Reads the last message of the run from the leader and publishes the claim behind it.
pub(super) async fn claim(
    bus: &Bus,
    author: &Author,
    job: &Job,
    worker_id: &str,
    rein: &Rein,
    began: Instant,
) -> Claimed {
    let key = author.run_key();
    // The claim that may be stored although its acknowledgement did not come.
    let mut sent: Option<(String, Box<Progress>, u32)> = None;
    loop {
        let Some(last) = patiently(rein.publishing(), || LastOfRun::read(bus, &key)).await else {
            return Claimed::Abandoned;
        };
        if let (Some((id, progress, attempt)), Some(last)) = (sent.take(), &last) {
            if last.id == id {
                return ours(progress, attempt, last.seq);
            }
            let theirs = last.image.as_ref().map_or(u32::MAX, |image| image.attempt);
            if !last.terminal && theirs >= attempt {
                return Claimed::Taken;
            }
        }
        let before = match &last {
            Some(last) if last.terminal => return Claimed::Over,
            Some(last) if last.image.is_none() => {
                return Claimed::Refused("the last message of the run cannot be read".into());
            }
            Some(last) => last.image.as_ref(),
            None => None,
        };
        let expected = last.as_ref().map_or(0, |last| last.seq);
        let (progress, image) = begin(job, worker_id, before, began);
        let attempt = image.attempt;
        let message = match author.run(&image, Gauge::moment(began).at, expected, None) {
            Ok(message) => message,
            Err(error) => return Claimed::Refused(error.to_string()),
        };
        if !rein.may_publish() {
            return Claimed::Abandoned;
        }
        match bus.publish(&message, rein.publishing()).await {
            Ok(ack) => return ours(progress, attempt, ack.seq),
            // Ours after all, or somebody else's: the next round tells.
            Err(PublishError::WrongLast) => sent = Some((message.id, progress, attempt)),
            Err(PublishError::Stopped) => return Claimed::Abandoned,
            Err(error) => return Claimed::Refused(error.to_string()),
        }
    }
}

fn ours(progress: Box<Progress>, attempt: u32, fence: u64) -> Claimed {
    Claimed::Ours(progress, Claim { fence, attempt })
}

fn begin(
    job: &Job,
    worker_id: &str,
    before: Option<&ScrapeProgress>,
    began: Instant,
) -> (Box<Progress>, ScrapeProgress) {
    let now = Gauge::moment(began);
    let mut progress = Box::new(Progress::begin(job, worker_id, before, now));
    let Next::Image(image) = progress.next(now) else {
        unreachable!("the first image of an attempt is due at once");
    };
    (progress, *image)
}
