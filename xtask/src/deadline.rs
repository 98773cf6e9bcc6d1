//! The end of waiting: a program that has not ended by its deadline is stopped, with all that it started, and has failed.

use anyhow::{Result, bail};
use std::{
    fs,
    process::{Child, Command, ExitStatus},
    thread,
    time::Duration,
};

/// Nothing that a task runs takes longer on a slow machine, unless it was asked to go on for longer.
pub(crate) const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
/// How long what is asked to end may take, so that it can put away what it made.
const GRACE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The deadline of what goes on for `minutes` by itself: the build before it and the tidying after it come on top.
pub(crate) fn beyond(minutes: u64) -> Duration {
    LONGEST + Duration::from_secs(minutes.saturating_mul(60))
}

/// Waits until a child ends.
///
/// # Errors
/// After `limit`. It and its descendants were asked to end then, and killed a minute later.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    if let Some(status) = wait_for(child, limit)? {
        return Ok(status);
    }
    // Before its end: what a process leaves behind is not known as its own any more.
    let mut left = descendants(child.id());
    signal("-TERM", &left);
    let _ = wait_for(child, GRACE)?;
    // What was started meanwhile, too.
    for process in left.clone() {
        left.extend(descendants(process));
    }
    signal("-KILL", &left);
    let _ = child.wait()?;
    bail!("no verdict within {} s: it was stopped", limit.as_secs())
}

#[expect(
    clippy::disallowed_methods,
    reason = "xtask has no runtime whose thread a sleep could block"
)]
fn wait_for(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if waited >= limit {
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
        waited += LOOK_EVERY;
    }
}

/// A process and all below it.
fn descendants(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        // Each thread lists the children that it started.
        let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten();
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    found
}

fn signal(name: &str, processes: &[u32]) {
    // One that is gone by now makes `kill` complain; there is nothing to be done.
    let _ = Command::new("kill")
        .arg(name)
        .args(processes.iter().map(u32::to_string))
        .output();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read as _, process::Stdio};

    #[test]
    fn what_ends_by_itself_keeps_its_status() {
        let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        assert_eq!(wait(&mut child, LONGEST).unwrap().code(), Some(3));
    }

    #[test]
    fn what_does_not_end_is_stopped_with_all_that_it_started() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 3600 & echo started; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut [0; 8]).unwrap();
        let error = wait(&mut child, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("no verdict"), "{error}");
        // The pipe ends when the last process ends that has it: the one that `sh` left running, too.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}
