//! Event streams on a socket of their own: what hyper cannot hand over after an answer is read and answered here.

use super::{
    Gateway,
    accept::{HEAD_BYTES_MAX, HEADERS_MAX},
    error::ApiError,
    extract,
    guard::allow,
    query::StreamQuery,
};
use crate::{
    front::{Asked, Visitor},
    session::{Request, Session},
    socket::{Socket, linger},
    wire::{self, Form},
};
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use oddswire_protocol::{Timestamp, problem::ProblemCode};
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How such a request begins; a space or a question mark follows.
const BEGINS: &[u8] = b"GET /api/events";
/// How long a refusal may take to arrive.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(2);

/// Whether the first request of a connection is one for events. One that arrives letter by letter goes by the plain
/// way, where it is answered all the same.
pub(super) async fn wants_events(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0; BEGINS.len() + 1];
    let count = stream.peek(&mut first).await?;
    if count == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(first[..count]
        .strip_prefix(BEGINS)
        .is_some_and(|rest| matches!(rest, b" " | b"?")))
}

/// Answers such a request: with events until the client is gone, or with why not.
pub(super) async fn serve(mut stream: TcpStream, gateway: Gateway, visitor: Visitor) {
    let Ok(Ok(Some(head))) = timeout(gateway.front.head_within(), read_head(&mut stream)).await else {
        // Gone, or silent for too long.
        return;
    };
    let mut cors = HeaderMap::new();
    let asked = match head {
        Ok(head) => match enter(&gateway, &visitor, &head, &mut cors) {
            Ok(visitor) => asked_for(&gateway, &head, &visitor).await.and_then(|request| {
                gateway.front.open_stream()?;
                Ok((request, visitor))
            }),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match asked {
        Ok((request, visitor)) => open(stream, gateway, request, visitor, &cors).await,
        Err(error) => refuse(stream, error, cors).await,
    }
}

/// Has the front judge, and says in `cors` who may read the answer.
fn enter(
    gateway: &Gateway,
    visitor: &Visitor,
    head: &Head,
    cors: &mut HeaderMap,
) -> Result<Visitor, ApiError> {
    let asked = Asked {
        method: &Method::GET,
        version: head.version,
        uri: &head.uri,
        headers: &head.headers,
    };
    let judged = gateway.front.judge(visitor, asked);
    allow(cors, judged.cors);
    Ok(judged.entry?.visitor)
}

/// Tells why not, and hangs up.
pub(super) async fn refuse(mut stream: TcpStream, error: ApiError, cors: HeaderMap) {
    let mut response = error.into_response();
    response.headers_mut().extend(cors);
    let bytes = encode(response).await;
    // The client may be gone. What it still sends is read, or the kernel would cut it off before it has read.
    let _ = timeout(LAST_WORDS_WITHIN, async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await?;
        linger(&stream).await
    })
    .await;
}

/// What a request begins with.
struct Head {
    version: Version,
    uri: Uri,
    headers: HeaderMap,
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<Result<Head, ApiError>>> {
    let mut bytes = Vec::with_capacity(1_024);
    loop {
        let known = bytes.len();
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        if bytes.len() > HEAD_BYTES_MAX {
            let detail = format!("the head of a request has at most {HEAD_BYTES_MAX} bytes");
            return Ok(Some(Err(ApiError::new(ProblemCode::HeadTooLarge, detail))));
        }
        // Taken apart once, when all of it is there.
        let ended = bytes[known.saturating_sub(3)..]
            .windows(4)
            .any(|four| four == b"\r\n\r\n");
        if ended && let Some(head) = parse(&bytes) {
            return Ok(Some(head));
        }
    }
}

/// The head of a request; `None` while its end has not come.
fn parse(bytes: &[u8]) -> Option<Result<Head, ApiError>> {
    let bad = |detail: String| Some(Err(ApiError::new(ProblemCode::BadRequest, detail)));
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(bytes) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(error) => return bad(format!("not HTTP: {error}")),
    }
    let Ok(uri) = head.path.unwrap_or_default().parse::<Uri>() else {
        return bad("the target is not a path".into());
    };
    let mut map = HeaderMap::with_capacity(head.headers.len());
    for header in &*head.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(header.value)) else {
            return bad(format!("the header {} is malformed", header.name));
        };
        map.append(name, value);
    }
    Some(Ok(Head {
        version: if head.version == Some(0) {
            Version::HTTP_10
        } else {
            Version::HTTP_11
        },
        uri,
        headers: map,
    }))
}

async fn asked_for(gateway: &Gateway, head: &Head, visitor: &Visitor) -> Result<Request, ApiError> {
    let query: StreamQuery = extract::query(&head.uri)?;
    // Before anything else: who is not let in learns nothing.
    let grant = gateway
        .admit_stream(&head.headers, query.ticket(), Some(visitor))
        .await?;
    query.events(&head.headers, &gateway.shared.limits(), grant)
}

async fn open(stream: TcpStream, gateway: Gateway, request: Request, visitor: Visitor, cors: &HeaderMap) {
    let mut socket = Socket::new(
        stream,
        Form::Sse,
        None,
        &[],
        gateway.shared.patience,
        gateway.seat(visitor),
    );
    socket.queue(
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store, no-transform\r\n\
             x-accel-buffering: no\r\nconnection: close\r\ndate: {}\r\n",
            http_date()
        )
        .as_bytes(),
    );
    for (name, value) in cors {
        socket.queue(&line(name, value));
    }
    socket.queue(b"\r\n");
    socket.queue(&wire::greeting());
    gateway.begin(&socket);
    let mut session = Box::new(Session::new(Arc::clone(&gateway.shared), socket, &request));
    // The first byte goes out at once, before anything is waited for.
    session.greet().await;
    let engine = Arc::clone(&gateway.engine);
    gateway.sessions.spawn(engine.attend(session, Some(request)));
}

fn line(name: &HeaderName, value: &HeaderValue) -> Vec<u8> {
    [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat()
}

fn http_date() -> String {
    let since_1970 = Duration::from_millis(u64::try_from(Timestamp::now().unix_ms()).unwrap_or(0));
    httpdate::fmt_http_date(UNIX_EPOCH + since_1970)
}

/// An answer that is not a stream, as bytes.
async fn encode(response: Response) -> Vec<u8> {
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let mut bytes = format!(
        "HTTP/1.1 {}\r\nconnection: close\r\ncontent-length: {}\r\ndate: {}\r\n",
        parts.status,
        body.len(),
        http_date()
    )
    .into_bytes();
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "content-length") {
        bytes.extend(line(name, value));
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}
