//! A WebSocket client that knows the contract alone.

use super::{frames, within};
use futures_util::{SinkExt, StreamExt};
use oddswire_protocol::envelope::{MessageType, Received};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderName, protocol::CloseFrame},
};

pub(crate) struct Ws {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// How the connection ended: with a close code, or without a word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(u16),
    Cut,
}

impl Ws {
    /// `None` when nobody answers.
    pub(crate) async fn try_connect(address: &str, query: &str) -> Option<Self> {
        let (socket, _) = connect_async(format!("ws://{address}/api/ws?{query}"))
            .await
            .ok()?;
        Some(Self { socket })
    }

    /// The next text message; `None` when the connection is over.
    pub(crate) async fn try_text(&mut self) -> Option<String> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(text) => return Some(frames::check(text.as_str()).to_owned()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    pub(crate) async fn connect(address: &str, query: &str) -> Self {
        let url = format!("ws://{address}/api/ws?{query}");
        let (socket, _) = within("the handshake", connect_async(url)).await.unwrap();
        Self { socket }
    }

    /// Connects with further headers; tells the subprotocol that was answered.
    pub(crate) async fn connect_with(
        address: &str,
        query: &str,
        headers: &[(&str, &str)],
    ) -> (Self, Option<String>) {
        let mut request = format!("ws://{address}/api/ws?{query}")
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let (socket, answer) = within("the handshake", connect_async(request)).await.unwrap();
        let protocol = answer.headers().get("sec-websocket-protocol");
        let protocol = protocol.map(|name| name.to_str().unwrap().to_owned());
        (Self { socket }, protocol)
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The bytes under the WebSocket.
    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        match self.socket.get_mut() {
            MaybeTlsStream::Plain(tcp) => tcp,
            _ => panic!("tests use no TLS"),
        }
    }

    /// The next text message, as it came.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match within("a message", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return frames::check(text.as_str()).to_owned(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Received {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The next message that is no heartbeat.
    pub(crate) async fn next_event(&mut self) -> Received {
        loop {
            let message = self.next().await;
            if message.message_type != MessageType::Heartbeat {
                return message;
            }
        }
    }

    /// The next message of this type; others are passed over.
    pub(crate) async fn next_of(&mut self, wanted: MessageType) -> Received {
        loop {
            let message = self.next().await;
            if message.message_type == wanted {
                return message;
            }
        }
    }

    /// Everything before the next message of this type, and that message.
    pub(crate) async fn until(&mut self, wanted: MessageType) -> (Vec<Received>, Received) {
        let mut before = Vec::new();
        loop {
            let message = self.next_event().await;
            if message.message_type == wanted {
                return (before, message);
            }
            before.push(message);
        }
    }

    /// Waits for the end.
    pub(crate) async fn ended(mut self) -> Ended {
        loop {
            match within("the end of the connection", self.socket.next()).await {
                Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => return Ended::Code(code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ended::Cut,
            }
        }
    }
}
