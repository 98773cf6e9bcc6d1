//! `oddswire conformance`: whether a gateway, ours or somebody else's, keeps the contract, seen from outside.
//!
//! Field names and shapes are written down here a second time and looked for in raw JSON: a check by the types that a
//! gateway writes with would not see a mistake in them.

mod auth;
mod check;
mod commands;
mod envelope;
mod events;
mod health;
mod http;
mod judge;
mod probe;
mod report;
mod resume;
mod runs;
mod socket;
mod topics;
mod transports;

use crate::{
    connection::{Address, ConnectOptions, Error},
    console::Console,
};
use check::{Check, Judged, Log, Miss};
use clap::Args;
use futures_util::{StreamExt as _, future::BoxFuture, stream};
use oddswire_protocol::SourceKey;
use probe::{Probe, Target};
use report::{Done, Report};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub use check::Group;

/// How a check looks.
type Run = fn(Probe) -> BoxFuture<'static, Judged>;

/// What to check, and how to tell of it.
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP)]
pub struct ConformanceOptions {
    /// Which gateway, and further ones that should continue its cursors.
    #[command(flatten)]
    pub connect: ConnectOptions,
    /// The operations port of the gateway, such as http://127.0.0.1:8081, to check its health addresses too.
    #[arg(long, value_name = "URL")]
    pub ops: Option<Address>,
    /// Allows two runs of this source to be started: one is followed to its end, the other is cancelled. Without it
    /// nothing is changed.
    #[arg(long, value_name = "SOURCE")]
    pub start: Option<SourceKey>,
    /// Only the checks of these groups.
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',', value_enum)]
    pub only: Vec<Group>,
    /// Seconds that one answer may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub timeout: u64,
    /// An object a line for each check.
    #[arg(long)]
    pub json: bool,
    /// Names the checks, with the contract's sentence, and looks at nothing.
    #[arg(long)]
    pub list: bool,
}

const HELP: &str = "Of several --url the first is checked; the others are only asked whether they continue its cursors.

Exit status: 0 no check failed, 1 one did, 64 the command line is wrong, 69 no gateway answers, 130 left by Ctrl-C.";

/// Checks that look at the same time.
const AT_ONCE: usize = 4;
/// Answers that one check waits for at most, one after the other.
const ANSWERS_MAX: u32 = 6;
/// What runs and heartbeats take besides.
const PATIENCE: Duration = Duration::from_secs(700);
/// Left by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// All checks, in the order in which they are told.
fn checks() -> Vec<Check> {
    [
        transports::CHECKS,
        envelope::CHECKS,
        topics::CHECKS,
        resume::CHECKS,
        commands::CHECKS,
        http::CHECKS,
        auth::CHECKS,
        health::CHECKS,
        runs::CHECKS,
    ]
    .concat()
}

/// Checks a gateway, until `stop`; gives the process's exit status.
///
/// # Errors
/// When no gateway answers, it lets nobody in with this token, or nothing can be written.
pub async fn run(
    options: ConformanceOptions,
    console: Console,
    stop: CancellationToken,
) -> Result<u8, Error> {
    let mut wanted = checks();
    wanted.retain(|check| options.only.is_empty() || options.only.contains(&check.group));
    let mut report = Report::new(console, options.json);
    if options.list {
        for check in &wanted {
            report.list(check)?;
        }
        return Ok(0);
    }
    let began = Instant::now();
    let mut target = Target::meet(&options.connect, Duration::from_secs(options.timeout)).await?;
    target.ops = options.ops;
    target.start = options.start.map(|source| source.to_string());
    let target = Arc::new(target);
    let judged = stream::iter(wanted).map(|check| look(check, Arc::clone(&target)));
    let mut judged = std::pin::pin!(judged.buffered(AT_ONCE));
    loop {
        let done = tokio::select! {
            done = judged.next() => done,
            () = stop.cancelled() => return Ok(INTERRUPTED),
        };
        let Some(done) = done else {
            return Ok(report.end(began.elapsed())?);
        };
        report.add(&done)?;
    }
}

async fn look(check: Check, target: Arc<Target>) -> Done {
    let (began, log) = (Instant::now(), Arc::<Log>::default());
    let most = target.wait * ANSWERS_MAX + PATIENCE;
    let probe = Probe {
        target,
        log: Arc::clone(&log),
    };
    let judged = match timeout(most, (check.run)(probe)).await {
        Ok(judged) => judged,
        Err(_) => Err(Miss::Failed(format!("not over within {} s", most.as_secs()))),
    };
    let [sent, came] = log.lines();
    Done {
        check,
        judged,
        elapsed: began.elapsed(),
        sent,
        came,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_sentence_of_the_contract() {
        let all = checks();
        let names: HashSet<&str> = all.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), all.len());
        for check in &all {
            assert!(check.says.ends_with(['.', ')']), "{}", check.name);
        }
    }
}
