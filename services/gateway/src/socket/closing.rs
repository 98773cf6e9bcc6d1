//! The end of a client's connection: the last words, and what is still sent after them.

use super::Socket;
use crate::session::{End, Input, Transport};
use oddswire_protocol::close::CloseCode;
use oddswire_websocket::frame;
use socket2::SockRef;
use std::{
    io::{Error, ErrorKind},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long a closing handshake may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// What the kernel may hold for a client that has stalled, so that the rest of a message and the close frame fit in
/// behind what it holds already.
const LAST_WORDS_BYTES: usize = 512 * 1024;
/// How long the kernel keeps them when we have let go.
const LAST_WORDS_KEPT: Duration = Duration::from_secs(60);
/// What is dropped at once of what a client still sends after the end, and the pause after it: 3 MB/s.
const LINGER_BYTES: usize = 16 * 1024;
const LINGER_PAUSE: Duration = Duration::from_millis(5);

impl Socket {
    /// Says goodbye, as far as the client still listens, and waits shortly for its answer.
    pub async fn close(mut self, end: End) {
        let code = match end {
            End::Gone if !self.goodbye => return,
            End::Gone | End::Finished | End::Park => CloseCode::Normal,
            End::Close(code) => code,
        };
        if self.reader.is_some() && !self.goodbye {
            self.queue(&frame::close(code.code(), code.reason()));
        }
        if let Err(error) = self.press_last_words() {
            tracing::debug!(%error, "a client that took nothing is not told why it is closed");
            return;
        }
        // The client may be gone, or may not answer: then the socket is closed without.
        let _ = timeout(CLOSE_WITHIN, async {
            self.write_all().await?;
            if let Some(stream) = self.stream.as_mut() {
                stream.shutdown().await?;
            }
            let waits = self.reader.is_some() && !self.goodbye;
            match &self.stream {
                Some(_) if waits && self.seat.trial.no_turns => {
                    while !matches!(self.next().await, Input::Gone) {}
                }
                Some(stream) if waits => linger(stream).await?,
                _ => {}
            }
            Ok::<_, Error>(())
        })
        .await;
    }

    /// Has the kernel take the last words to a client that has stalled, though it has all it may hold, and keep them for a
    /// while: if the client wakes up it reads why, and if it does not all is given back.
    fn press_last_words(&mut self) -> std::io::Result<()> {
        if !self.progress.is_stalled(self.patience) {
            return Ok(());
        }
        let Some(stream) = self.stream.take() else {
            return Ok(());
        };
        let socket = SockRef::from(&stream);
        socket.set_tcp_user_timeout(Some(LAST_WORDS_KEPT))?;
        socket.set_send_buffer_size(LAST_WORDS_BYTES)?;
        // By the socket itself: the runtime does not know that there is room again.
        self.write_to(&mut &*socket)?;
        self.stream = Some(stream);
        Ok(())
    }
}

/// Drops what a client still sends after the last words to it, until it hangs up. The kernel would cut it off otherwise
/// before it has read them. Nothing is taken apart, and a flood is dropped at a pace: the caller sets a time for it.
pub(crate) async fn linger(stream: &TcpStream) -> std::io::Result<()> {
    loop {
        stream.readable().await?;
        match drop_some(stream) {
            Ok(0) => return Ok(()),
            Ok(_) => sleep(LINGER_PAUSE).await,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn drop_some(stream: &TcpStream) -> std::io::Result<usize> {
    stream.try_read(&mut [0; LINGER_BYTES])
}
