//! How a process is asked to stop.

use std::io::IsTerminal as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Waits for SIGHUP, by which a process that runs without a terminal is asked to read its configuration again; never
/// ends for one at a terminal, where it means that the terminal was closed.
///
/// # Errors
/// When the signal cannot be listened to.
pub async fn hangup() -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    at_terminal(&mut hangup, false).await;
    Ok(())
}

/// Waits for one that comes while the process has, or has not, a terminal.
async fn at_terminal(hangup: &mut Signal, is_terminal: bool) {
    loop {
        hangup.recv().await;
        if std::io::stdin().is_terminal() == is_terminal {
            return;
        }
    }
}

/// Cancels `stop` at SIGINT, SIGTERM or, at a terminal, SIGHUP (it was closed), then returns; returns as well when `stop` is
/// cancelled by somebody else.
///
/// # Errors
/// When the signals cannot be listened to.
pub async fn on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
        _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
        () = at_terminal(&mut hangup, true) => tracing::info!("stopping: SIGHUP"),
        () = stop.cancelled() => {}
    }
    stop.cancel();
    Ok(())
}
