//! A WebSocket, by a library that shares nothing with the gateway's own.

use super::{
    check::{Log, Miss, shortened},
    judge::message::Message,
    probe::{Probe, head, within},
};
use crate::connection::Address;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Upgraded, header::HeaderMap};
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt as _, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message as Frame, protocol::Role},
};

/// The key of RFC 6455's own example, and what it must be answered with.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An open connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<Upgraded>,
    log: Arc<Log>,
    wait: Duration,
}

/// How a connection ended: its close code, none when it was cut without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed(pub(crate) Option<u16>);

/// What came.
#[derive(Debug)]
pub(crate) enum Came {
    Text(String),
    Pong(Vec<u8>),
    Closed(Closed),
}

impl Socket {
    /// Shakes hands; gives the head of the answer too.
    pub(crate) async fn open(
        probe: &Probe,
        address: &Address,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Self, HeaderMap), Miss> {
        Self::open_as(probe, address, query, headers, true).await
    }

    /// The same, with the token or without it.
    pub(crate) async fn open_as(
        probe: &Probe,
        address: &Address,
        query: &str,
        headers: &[(&str, &str)],
        is_admitted: bool,
    ) -> Result<(Self, HeaderMap), Miss> {
        let mut url = address.join("api/ws");
        url.set_query((!query.is_empty()).then_some(query));
        let mut request = probe
            .target
            .http1
            .get(url.clone())
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", KEY);
        if is_admitted {
            request = probe.target.admit(request);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        probe.log.sent(&format!("WebSocket handshake {url}"));
        let wait = probe.target.wait;
        let answer = within(wait, request.send()).await?;
        probe
            .log
            .came(&format!("{} {}", answer.status(), head(answer.headers())));
        if answer.status() != 101 {
            let status = answer.status();
            let body = within(wait, answer.text()).await?;
            probe.log.came(&body);
            let body = shortened(&body, 200);
            return Err(Miss::Failed(format!(
                "the handshake is answered with {status} in place of 101: {body}"
            )));
        }
        let head = answer.headers().clone();
        let upgraded = within(wait, answer.upgrade()).await?;
        let stream = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
        let log = Arc::clone(&probe.log);
        Ok((Self { stream, log, wait }, head))
    }

    pub(crate) async fn send(&mut self, text: &str) -> Result<(), Miss> {
        self.log.sent(text);
        self.send_frame(Frame::text(text)).await
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) -> Result<(), Miss> {
        self.log
            .sent(&format!("a binary message of {} bytes", bytes.len()));
        self.send_frame(Frame::binary(bytes.to_vec())).await
    }

    pub(crate) async fn send_ping(&mut self, payload: &[u8]) -> Result<(), Miss> {
        self.log.sent("a ping frame");
        self.send_frame(Frame::Ping(payload.to_vec().into())).await
    }

    /// Says goodbye.
    pub(crate) async fn send_close(&mut self) -> Result<(), Miss> {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        self.log.sent("a close frame with 1000");
        let frame = CloseFrame {
            code: 1000.into(),
            reason: "".into(),
        };
        self.send_frame(Frame::Close(Some(frame))).await
    }

    /// Bytes that no library would send. The gateway may hang up before it has read them all.
    pub(crate) async fn send_raw(&mut self, what: &str, bytes: &[u8]) {
        self.log.sent(what);
        let stream = self.stream.get_mut();
        let _ = timeout(self.wait, async {
            stream.write_all(bytes).await?;
            stream.flush().await
        })
        .await;
    }

    async fn send_frame(&mut self, frame: Frame) -> Result<(), Miss> {
        match timeout(self.wait, self.stream.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Miss::Failed(format!("the connection took no more: {error}"))),
            Err(_) => Err(Miss::Failed("the connection took no bytes".into())),
        }
    }

    /// What comes next: text, a pong, or the end.
    pub(crate) async fn came(&mut self) -> Result<Came, Miss> {
        self.came_within(self.wait).await
    }

    pub(crate) async fn came_within(&mut self, wait: Duration) -> Result<Came, Miss> {
        let next = async {
            loop {
                return match self.stream.next().await {
                    Some(Ok(Frame::Text(text))) => Ok(Came::Text(text.as_str().to_owned())),
                    Some(Ok(Frame::Pong(payload))) => Ok(Came::Pong(payload.to_vec())),
                    Some(Ok(Frame::Close(frame))) => {
                        Ok(Came::Closed(Closed(frame.map(|frame| frame.code.into()))))
                    }
                    Some(Ok(Frame::Binary(_))) => Err("a binary message: all are text".to_owned()),
                    Some(Ok(_)) => continue,
                    Some(Err(error)) if is_cut(&error) => Ok(Came::Closed(Closed(None))),
                    Some(Err(error)) => Err(format!("what came is no WebSocket: {error}")),
                    None => Ok(Came::Closed(Closed(None))),
                };
            }
        };
        let Ok(came) = timeout(wait, next).await else {
            let seconds = wait.as_secs_f64();
            return Err(Miss::Failed(format!("nothing came within {seconds:.0} s")));
        };
        let came = came?;
        match &came {
            Came::Text(text) => self.log.came(text),
            Came::Pong(_) => self.log.came("a pong frame"),
            Came::Closed(Closed(Some(code))) => self.log.came(&format!("a close frame with {code}")),
            Came::Closed(Closed(None)) => self.log.came("the end of the connection without a close code"),
        }
        Ok(came)
    }

    /// The next message.
    pub(crate) async fn message(&mut self) -> Result<Message, Miss> {
        self.message_within(self.wait).await
    }

    pub(crate) async fn message_within(&mut self, wait: Duration) -> Result<Message, Miss> {
        loop {
            match self.came_within(wait).await? {
                Came::Text(text) => return Ok(Message::of_text(text)?),
                Came::Pong(_) => {}
                Came::Closed(Closed(code)) => {
                    let code =
                        code.map_or_else(|| "without a code".to_owned(), |code| format!("with {code}"));
                    return Err(Miss::Failed(format!("the connection was closed {code}")));
                }
            }
        }
    }

    /// The next message of this type; others are passed over, but no `error`.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Result<Message, Miss> {
        loop {
            let message = self.message().await?;
            if message.kind() == kind {
                return Ok(message);
            }
            if message.kind() == "error" {
                let complaint = format!("{kind} was awaited, and an error came: {}", message.text);
                return Err(Miss::Failed(complaint));
            }
        }
    }

    /// Waits for the end, passing over what comes before.
    pub(crate) async fn closed(&mut self) -> Result<Closed, Miss> {
        loop {
            if let Came::Closed(closed) = self.came().await? {
                return Ok(closed);
            }
        }
    }
}

fn is_cut(error: &tokio_tungstenite::tungstenite::Error) -> bool {
    use tokio_tungstenite::tungstenite::{Error, error::ProtocolError};
    matches!(
        error,
        Error::Io(_)
            | Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
    )
}
