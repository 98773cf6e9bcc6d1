//! How a process is asked to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at SIGINT or SIGTERM, then returns; returns as well when `stop` is cancelled by somebody else.
///
/// # Errors
/// When the signals cannot be listened to.
pub async fn on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
        _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
        () = stop.cancelled() => {}
    }
    stop.cancel();
    Ok(())
}
