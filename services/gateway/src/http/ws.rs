//! WebSocket, the plain way: axum's, with a small read buffer.

use super::{Gateway, error::ApiError, extract::Parameters, query::StreamQuery};
use crate::{
    metrics::{Transport as Label, TransportLabel},
    session::{End, Gone, Input, Outgoing, Session, Transport},
};
use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::Response,
};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use oddswire_protocol::{
    Timestamp,
    close::CloseCode,
    envelope::{Envelope, MessageType},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

/// axum fills its read buffer with zeros before every read attempt: at the default size that costs more than
/// everything else together.
///
/// # Source
/// docs/decisions/plain-websocket.md.
const READ_BUFFER_BYTES: usize = 2048;
/// How long a closing handshake may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn connect(
    State(gateway): State<Gateway>,
    Parameters(query): Parameters<StreamQuery>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    query.check()?;
    let upgrade = upgrade.map_err(|e| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "not_a_websocket",
            "WebSocket handshake expected",
            e.body_text(),
        )
    })?;
    let limits = gateway.shared.limits;
    let request = query.request(&headers, &limits);
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(limits.message_bytes)
        .max_frame_size(limits.message_bytes);
    // axum does not wait for what runs after an upgrade: the tracker does.
    let token = gateway.sessions.token();
    Ok(upgrade.on_upgrade(async move |socket| {
        let _token = token;
        let (sink, stream) = socket.split();
        let mut transport = WsTransport {
            goodbye: false,
            sink,
            stream,
        };
        match request {
            Ok(request) => {
                let label = TransportLabel { transport: Label::Ws };
                gateway.shared.metrics.opened.get_or_create(&label).inc();
                gateway.shared.metrics.sessions.inc();
                let session = Session::new(Arc::clone(&gateway.shared), transport, &request);
                let (transport, end) = session.run(request, gateway.farewell.clone()).await;
                gateway.shared.metrics.sessions.dec();
                gateway.shared.metrics.closed.get_or_create(&label).inc();
                transport.close(end).await;
            }
            Err(none) => {
                for fault in &none.0 {
                    let envelope = Envelope::of(Timestamp::now(), fault);
                    if transport
                        .send(&Outgoing {
                            envelope: &envelope,
                            cursor: None,
                        })
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
                transport.close(End::Close(CloseCode::NoTopic)).await;
            }
        }
    }))
}

struct WsTransport {
    /// The client said goodbye first; the answer waits to be sent.
    goodbye: bool,
    /// In two halves, since a whole one cannot be shared between threads, and a session is.
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
}

impl WsTransport {
    /// Says goodbye, as far as the client still listens, and waits shortly for its answer.
    async fn close(mut self, end: End) {
        let code = match end {
            End::Gone if self.goodbye => {
                // The answer is queued already. A client that does not wait for it is none the worse.
                let _ = timeout(CLOSE_WITHIN, self.sink.flush()).await;
                return;
            }
            End::Gone => return,
            End::Close(code) => code,
            End::Finished => CloseCode::Normal,
        };
        let frame = CloseFrame {
            code: code.code(),
            reason: Utf8Bytes::from_static(code.reason()),
        };
        // The client may be gone, or may not answer: then the socket is closed without.
        let _ = timeout(CLOSE_WITHIN, async {
            self.sink.send(Message::Close(Some(frame))).await?;
            while let Some(Ok(_)) = self.stream.next().await {}
            Ok::<_, axum::Error>(())
        })
        .await;
    }
}

impl Transport for WsTransport {
    async fn send(&mut self, message: &Outgoing<'_>) -> Result<(), Gone> {
        let from_bus = matches!(
            message.envelope.message_type(),
            MessageType::ScrapeProgress | MessageType::OddsUpdate | MessageType::OddsConfirmed
        );
        let bytes: Bytes = match &message.cursor {
            Some(cursor) if from_bus => message.envelope.with_id(cursor),
            _ => message.envelope.bytes().clone(),
        };
        // Checked when the event came in; this only looks once more, without copying.
        let text = Utf8Bytes::try_from(bytes).map_err(|_| Gone)?;
        self.sink.feed(Message::Text(text)).await.map_err(|_| Gone)
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        self.sink.flush().await.map_err(|_| Gone)
    }

    async fn next(&mut self) -> Input {
        loop {
            return match self.stream.next().await {
                Some(Ok(Message::Text(text))) => Input::Text(text.as_str().to_owned()),
                // The contract's messages are text: a binary one is answered like any text that is no JSON.
                Some(Ok(Message::Binary(_))) => Input::Text(String::new()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_))) => {
                    self.goodbye = true;
                    Input::Gone
                }
                None => Input::Gone,
                Some(Err(error)) => violation(error).map_or(Input::Gone, Input::Violation),
            };
        }
    }
}

/// The close code for what a client did wrong; `None` when the connection is just gone.
fn violation(error: axum::Error) -> Option<CloseCode> {
    use tungstenite::{Error, error::CapacityError};
    let error = error.into_inner();
    match error.downcast_ref::<Error>()? {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(CloseCode::TooBig),
        Error::Utf8(_) => Some(CloseCode::InvalidText),
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseCode::Protocol),
        _ => None,
    }
}
