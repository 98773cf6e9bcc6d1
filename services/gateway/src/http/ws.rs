//! WebSocket: the handshake. What comes after it has the socket to itself.

use super::{
    Gateway,
    credentials::{SUBPROTOCOL, Transport as Brought, offers_subprotocol},
    error::ApiError,
    extract::Parameters,
    peer::Peer,
    query::StreamQuery,
};
use crate::{
    auth::{Grant, Refusal},
    front::Visitor,
    session::{End, Input, Outgoing, Session, Transport},
    socket::Socket,
    wire::Form,
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::Response,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use oddswire_protocol::{
    Timestamp,
    client::ClientMessage,
    close::CloseCode,
    envelope::Envelope,
    problem::ProblemCode,
    server::{ErrorData, Limits, Ref},
};
use oddswire_websocket::{
    Limits as ReadLimits, Reader,
    handshake::{accept_key, deflate_response, is_key},
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::timeout};

pub(super) async fn connect(
    State(gateway): State<Gateway>,
    Parameters(query): Parameters<StreamQuery>,
    mut request: Request,
) -> Result<Response, ApiError> {
    query.check()?;
    let headers = request.headers();
    let key = handshake_key(headers)?;
    let offers = headers
        .get_all(header::SEC_WEBSOCKET_EXTENSIONS)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let deflate = deflate_response(offers);
    let visitor = request.extensions().get::<Visitor>();
    let admission = admit(&gateway, headers, &query, visitor).await;
    if matches!(admission, Admission::In(..)) {
        gateway.front.open_stream()?;
    }
    let names_subprotocol = offers_subprotocol(headers);
    let headers = headers.clone();
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| not_a_websocket("this connection cannot be upgraded"))?;
    let visitor = request
        .extensions_mut()
        .remove::<Visitor>()
        .ok_or_else(|| not_a_websocket("this connection cannot be upgraded"))?;
    let sessions = gateway.sessions.clone();
    let limits = gateway.shared.limits();
    sessions.spawn(async move {
        let Some((stream, early)) = upgrade.await.ok().and_then(into_parts) else {
            return;
        };
        let form = if deflate.is_some() {
            Form::WsDeflated
        } else {
            Form::Ws
        };
        let reader = Reader::new(read_limits(&limits), deflate.is_some());
        let socket = Socket::new(
            stream,
            form,
            Some(reader),
            &early,
            gateway.shared.patience,
            gateway.seat(visitor),
        );
        Greeting {
            gateway,
            query,
            headers,
        }
        .go_on(socket, admission)
        .await;
    });
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, key);
    if let Some(deflate) = deflate {
        response = response.header(header::SEC_WEBSOCKET_EXTENSIONS, deflate);
    }
    if names_subprotocol {
        response = response.header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
    }
    response
        .body(Body::empty())
        .map_err(|_| not_a_websocket("no answer could be made to this handshake"))
}

fn read_limits(limits: &Limits) -> ReadLimits {
    ReadLimits {
        message_bytes: limits.message_bytes,
    }
}

/// The socket, and what the client sent on the heels of its handshake.
fn into_parts(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<Peer>>().ok()?;
    Some((parts.io.into_inner().into_inner(), parts.read_buf.to_vec()))
}

/// Whether the client is let in. A browser does not tell its page the status of a refused handshake: whoever is not let
/// in gets a WebSocket, is told, and is closed.
async fn admit(
    gateway: &Gateway,
    headers: &HeaderMap,
    query: &StreamQuery,
    visitor: Option<&Visitor>,
) -> Admission {
    if !gateway.shared.door.is_on() {
        return Admission::In(None, None);
    }
    let admitted = gateway
        .admit(headers, query.ticket(), Brought::WebSocket, visitor)
        .await;
    match admitted {
        Ok(Some(grant)) => Admission::In(Some(grant), None),
        Ok(None) => Admission::Waits,
        Err(refusal) => Admission::Out(refusal, None),
    }
}

enum Admission {
    /// With what its token allows, and the `ref` of the message that the token came with.
    In(Option<Arc<Grant>>, Option<Ref>),
    /// Its first message is to bring a token.
    Waits,
    Out(Refusal, Option<Ref>),
}

/// How long the first message may take that is to bring a token.
const TOKEN_WITHIN: Duration = Duration::from_secs(10);

/// A WebSocket whose session has not begun.
struct Greeting {
    gateway: Gateway,
    query: StreamQuery,
    headers: HeaderMap,
}

impl Greeting {
    async fn go_on(self, mut socket: Socket, admission: Admission) {
        let admission = match admission {
            Admission::Waits => match self.first_message(&mut socket).await {
                Ok(Admission::In(..)) if self.gateway.front.open_stream().is_err() => {
                    return socket.close(End::Close(CloseCode::TryAgain)).await;
                }
                Ok(admission) => admission,
                Err(end) => return socket.close(end).await,
            },
            known => known,
        };
        match admission {
            Admission::In(grant, reference) => self.begin(socket, grant, reference).await,
            Admission::Waits => {}
            Admission::Out(refusal, reference) => {
                let fault = ErrorData {
                    code: refusal.code(),
                    detail: refusal.to_string(),
                    reference,
                };
                refuse(socket, &[fault], refusal.close_code()).await;
            }
        }
    }

    /// Waits for the token. Anything else is refused: nothing is done for somebody who is not known.
    async fn first_message(&self, socket: &mut Socket) -> Result<Admission, End> {
        let door = &self.gateway.shared.door;
        let mut farewell = self.gateway.farewell.clone();
        let input = tokio::select! {
            input = timeout(TOKEN_WITHIN, socket.next()) => input,
            () = farewell.begun() => return Err(End::Close(CloseCode::Restart)),
        };
        let text = match input {
            Ok(Input::Text(text)) => text,
            Ok(Input::Violation(code)) => return Err(End::Close(code)),
            Ok(Input::Gone) => return Err(End::Gone),
            Err(_) => return Ok(Admission::Out(door.refuse(Refusal::Missing), None)),
        };
        let (token, reference) = match ClientMessage::parse(&text) {
            Ok(ClientMessage::Auth { token, reference }) => (token, reference),
            Ok(
                ClientMessage::Ping { reference }
                | ClientMessage::Subscribe { reference, .. }
                | ClientMessage::Unsubscribe { reference, .. },
            ) => {
                return Ok(Admission::Out(door.refuse(Refusal::Missing), reference));
            }
            Err(error) => return Ok(Admission::Out(door.refuse(Refusal::Missing), error.reference)),
        };
        Ok(match door.by_token(&token).await {
            Ok(grant) => Admission::In(Some(grant), reference),
            Err(refusal) => Admission::Out(refusal, reference),
        })
    }

    async fn begin(self, socket: Socket, grant: Option<Arc<Grant>>, reference: Option<Ref>) {
        let Self {
            gateway,
            query,
            headers,
        } = self;
        let request = match query.request(&headers, &gateway.shared.limits(), grant) {
            Ok(request) => request,
            Err(none) => return refuse(socket, &none.0, CloseCode::NoTopic).await,
        };
        let request = crate::session::Request { reference, ..request };
        gateway.begin(&socket);
        let session = Session::new(Arc::clone(&gateway.shared), socket, &request);
        let engine = Arc::clone(&gateway.engine);
        gateway
            .sessions
            .spawn(engine.attend(Box::new(session), Some(request)));
    }
}

/// Tells why, and closes.
async fn refuse(mut socket: Socket, faults: &[ErrorData], code: CloseCode) {
    for fault in faults {
        let envelope = Envelope::of(Timestamp::now(), fault);
        let message = Outgoing {
            envelope: &envelope,
            cursor: None,
        };
        if socket.send(&message).await.is_err() {
            return;
        }
    }
    socket.close(End::Close(code)).await;
}

/// Checks that this is a handshake of RFC 6455; gives the answer to its key.
fn handshake_key(headers: &HeaderMap) -> Result<String, ApiError> {
    if !has_token(headers, &header::CONNECTION, "upgrade")
        || !has_token(headers, &header::UPGRADE, "websocket")
    {
        return Err(not_a_websocket(
            "expected the headers Connection: upgrade and Upgrade: websocket",
        ));
    }
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        return Err(not_a_websocket("expected the header Sec-WebSocket-Version: 13")
            .with_status(StatusCode::UPGRADE_REQUIRED)
            .with_header(header::SEC_WEBSOCKET_VERSION, "13"));
    }
    headers
        .get(header::SEC_WEBSOCKET_KEY)
        .and_then(|key| key.to_str().ok())
        .filter(|key| is_key(key))
        .map(accept_key)
        .ok_or_else(|| not_a_websocket("expected the header Sec-WebSocket-Key, 16 bytes in base64"))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

fn not_a_websocket(detail: &str) -> ApiError {
    ApiError::new(ProblemCode::NotAWebsocket, detail)
}
