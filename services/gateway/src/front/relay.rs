//! Between a client's TLS and the gateway: bytes, and nothing kept.
//!
//! Everything behind this serves sockets of the kernel: it peeks, parks them with the engine, and finds out how much
//! they take by writing to them. A client with TLS is given one as well: one end of a pair, and the other end is
//! encrypted here. Nothing is read from the pair before the client's socket took what came before it, so a client that
//! does not read is noticed where every other is.

use std::{io::ErrorKind, net, os::fd::OwnedFd, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// What is encrypted at once: one TLS record.
const DOWN_BYTES: usize = 16 * 1024;
/// Clients say little.
const UP_BYTES: usize = 1024;
/// How long a client may take to hang up after the gateway did.
const LINGER: Duration = Duration::from_secs(2);

/// The two ends: the relay's, and the one that the gateway takes for its client's socket. It is no TCP socket, but is
/// read, written, peeked at and waited for like one.
pub(crate) fn pair() -> std::io::Result<(UnixStream, TcpStream)> {
    let (relay, gateway) = std::os::unix::net::UnixStream::pair()?;
    relay.set_nonblocking(true)?;
    gateway.set_nonblocking(true)?;
    let gateway = net::TcpStream::from(OwnedFd::from(gateway));
    Ok((UnixStream::from_std(relay)?, TcpStream::from_std(gateway)?))
}

/// Carries bytes both ways until one side is gone. A client that takes nothing for too long is an error of its socket.
pub(crate) async fn relay(client: impl AsyncRead + AsyncWrite + Unpin, gateway: UnixStream) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (from_gateway, mut to_gateway) = gateway.into_split();
    let up = async {
        let mut bytes = [0; UP_BYTES];
        loop {
            let count = from_client.read(&mut bytes).await?;
            if count == 0 {
                return to_gateway.shutdown().await;
            }
            to_gateway.write_all(&bytes[..count]).await?;
        }
    };
    let down = async {
        loop {
            from_gateway.readable().await?;
            // Idle clients are most of them: they own no buffer.
            let mut bytes = vec![0; DOWN_BYTES];
            let count = match from_gateway.try_read(&mut bytes) {
                Ok(0) => return to_client.shutdown().await,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            to_client.write_all(&bytes[..count]).await?;
            to_client.flush().await?;
        }
    };
    tokio::pin!(up, down);
    tokio::select! {
        told = &mut down => {
            if told.is_ok() {
                let _ = timeout(LINGER, up).await;
            }
        }
        heard = &mut up => {
            // It has hung up, and may still listen.
            if heard.is_ok() {
                let _ = down.await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_noticed_at_the_other_end() {
        let (client, far) = duplex(1_024);
        let (near, gateway) = pair().unwrap();
        let relaying = relay(far, near);
        let writing = async {
            let (chunk, mut sent) = ([7; 4096], 0);
            loop {
                gateway.writable().await.unwrap();
                match gateway.try_write(&chunk) {
                    Ok(count) => sent += count,
                    // The relay has what it can hold, and the kernel what the pair can.
                    Err(_) => return sent,
                }
                assert!(sent < 8 << 20, "nobody holds it back");
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = relaying => panic!("nobody hung up"),
            sent = writing => assert!(sent > 0),
        }
        drop(client);
    }

    #[tokio::test]
    async fn what_was_said_arrives_before_the_end() {
        let (mut client, far) = duplex(64);
        let (near, mut gateway) = pair().unwrap();
        let talk = async {
            client.write_all(b"hello").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = String::new();
            gateway.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "hello");
            gateway.write_all(&[b'x'; 5_000]).await.unwrap();
            drop(gateway);
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard.len(), 5_000);
        };
        tokio::join!(relay(far, near), talk);
    }
}
