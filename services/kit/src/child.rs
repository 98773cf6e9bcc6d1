//! Processes that this one starts, and that end before it does.

use nix::{
    sys::signal::{Signal, kill, raise},
    unistd::Pid,
};
use std::{env, path::PathBuf, process::ExitStatus, time::Duration};
use tokio::{process::Child, time::timeout};

/// The program that this process runs.
pub fn this_program() -> PathBuf {
    env::current_exe().unwrap_or_else(|_| "oddswire".into())
}

/// Sends a signal to a process, unless it has ended.
pub(crate) fn signal(child: &Child, signal: Signal) {
    // No id: it has ended and was waited for.
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // An error means that it has ended.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Stops this process, as SIGSTOP does, before this thread goes on: for trials of what happens to one that is frozen at
/// the worst moment. A signal to the process may find another thread first, and this one goes on for a while.
pub fn freeze_self() {
    // An error would mean that there is no such signal.
    let _ = raise(Signal::SIGSTOP);
}

/// Asks a process to read its configuration again: SIGHUP.
pub fn reload(child: &Child) {
    signal(child, Signal::SIGHUP);
}

/// Asks a process to end with SIGTERM, waits for at most `grace`, then kills it. Gives its exit status, `None` when
/// that cannot be known.
pub async fn stop(child: &mut Child, grace: Duration) -> Option<ExitStatus> {
    signal(child, Signal::SIGTERM);
    if let Ok(status) = timeout(grace, child.wait()).await {
        return status.ok();
    }
    tracing::warn!(?grace, "a process did not end in time: killed");
    let _ = child.start_kill();
    child.wait().await.ok()
}
