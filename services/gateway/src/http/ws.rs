//! WebSocket: the handshake. What comes after it has the socket to itself.

use super::{Gateway, error::ApiError, extract::Parameters, query::StreamQuery};
use crate::{
    front::Visitor,
    session::{End, Outgoing, Session, Transport},
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
use oddswire_protocol::{Timestamp, close::CloseCode, envelope::Envelope, server::Limits};
use oddswire_websocket::{
    Limits as ReadLimits, Reader,
    handshake::{accept_key, deflate_response, is_key},
};
use std::sync::Arc;
use tokio::net::TcpStream;

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
    let asked = query.request(headers, &gateway.shared.limits);
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| not_a_websocket("this connection cannot be upgraded"))?;
    let visitor = request
        .extensions_mut()
        .remove::<Visitor>()
        .ok_or_else(|| not_a_websocket("this connection cannot be upgraded"))?;
    let sessions = gateway.sessions.clone();
    let limits = gateway.shared.limits;
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
        match asked {
            Ok(request) => {
                gateway.begin(&socket);
                let session = Session::new(Arc::clone(&gateway.shared), socket, &request);
                let engine = Arc::clone(&gateway.engine);
                gateway
                    .sessions
                    .spawn(engine.attend(Box::new(session), Some(request)));
            }
            Err(none) => refuse(socket, &none.0).await,
        }
    });
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, key);
    if let Some(deflate) = deflate {
        response = response.header(header::SEC_WEBSOCKET_EXTENSIONS, deflate);
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
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

/// Tells what is wrong with every topic, and closes.
async fn refuse(mut socket: Socket, faults: &[oddswire_protocol::server::ErrorData]) {
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
    socket.close(End::Close(CloseCode::NoTopic)).await;
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
        return Err(ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "not_a_websocket",
            "WebSocket handshake expected",
            "expected the header Sec-WebSocket-Version: 13",
        )
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
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "not_a_websocket",
        "WebSocket handshake expected",
        detail,
    )
}
