//! Taking connections, whatever goes wrong with one of them.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// After an error that is not of one connection: most likely no file descriptor is left, and the same error would come
/// again at once.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The next connection. A connection that broke before it was taken is passed over; while there is no descriptor for
/// another it waits, and says so once.
///
/// # Cancel safety
/// Dropping this future loses no connection.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut is_told = false;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
                ) => {}
            Err(error) => {
                if !is_told {
                    tracing::warn!(%error, "cannot accept connections; trying again until it works");
                    is_told = true;
                }
                sleep(AGAIN_AFTER).await;
            }
        }
    }
}
