//! How a process is asked to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at SIGINT, SIGTERM or SIGHUP (the terminal was closed), then returns; returns as well when `stop` is
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
        _ = hangup.recv() => tracing::info!("stopping: SIGHUP"),
        () = stop.cancelled() => {}
    }
    stop.cancel();
    Ok(())
}
