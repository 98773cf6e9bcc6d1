//! An echo server on this layer alone, for conformance tests: `echo 127.0.0.1:9001`, or port 0 for any that is free.
//! It prints where it listens, and runs until it is killed.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is for whoever started it"
)]

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use clap::Parser;
use oddswire_websocket::{
    Deflater, Incoming, Limits, Reader,
    frame::{self, Opcode},
    handshake,
};
use std::{cell::RefCell, io, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Sends back what it gets.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen.
    listen: SocketAddr,
}

/// Conformance suites send messages of 16 MiB.
const LIMITS: Limits = Limits {
    message_bytes: 64 << 20,
};
/// The longest head of a request.
const HEAD_BYTES: usize = 8 * 1024;
/// What is read at once.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static DEFLATER: RefCell<Deflater> = RefCell::default();
}

#[tokio::main]
async fn main() -> Result<()> {
    let listener = TcpListener::bind(Options::parse().listen).await?;
    println!("{}", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (socket, _) = accepted?;
                socket.set_nodelay(true)?;
                connections.spawn(serve(socket));
            }
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended? {
                    eprintln!("{error:#}");
                }
            }
        }
    }
}

async fn serve(mut socket: TcpStream) -> Result<()> {
    let mut received = BytesMut::new();
    let deflate = shake_hands(&mut socket, &mut received).await?;
    let mut reader = Reader::new(LIMITS, deflate);
    loop {
        let (answers, over) = answer_all(&mut reader, &received, deflate);
        for answer in answers {
            if let Err(error) = socket.write_all(&answer).await {
                return gone(error);
            }
        }
        if over {
            return end(socket).await;
        }
        received.clear();
        received.reserve(READ_BYTES);
        match socket.read_buf(&mut received).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return gone(error),
        }
    }
}

/// The answers to what was received, and whether a close frame is the last of them.
fn answer_all(reader: &mut Reader, mut received: &[u8], deflate: bool) -> (Vec<Bytes>, bool) {
    let mut answers = Vec::new();
    while !received.is_empty() {
        let incoming = match reader.read(received) {
            Ok((taken, incoming)) => {
                received = &received[taken..];
                incoming
            }
            Err(violation) => {
                answers.push(frame::close(violation.code(), violation.detail()));
                return (answers, true);
            }
        };
        match incoming {
            None | Some(Incoming::Pong(_)) => {}
            Some(Incoming::Text(text)) => answers.push(message(Opcode::Text, text.as_bytes(), deflate)),
            Some(Incoming::Binary(bytes)) => answers.push(message(Opcode::Binary, &bytes, deflate)),
            Some(Incoming::Ping(payload)) => answers.push(frame::pong(&payload)),
            Some(Incoming::Close(close)) => {
                answers.push(close.map_or_else(frame::empty_close, |close| frame::close(close.code, "")));
                return (answers, true);
            }
        }
    }
    (answers, false)
}

/// A message; where compression was agreed on, compressed whatever that saves. A server may send any message as it is,
/// but the suite stumbles over one that comes so after all; a block that is stored is compressed enough for it.
fn message(opcode: Opcode, payload: &[u8], deflate: bool) -> Bytes {
    let framed = |payload: &[u8]| [&frame::Header::new(opcode, payload.len(), deflate), payload].concat();
    if !deflate {
        return framed(payload).into();
    }
    let deflated = DEFLATER.with_borrow_mut(|deflater| deflater.deflate(payload).map(framed));
    deflated.unwrap_or_else(|| framed(&stored(payload))).into()
}

fn stored(payload: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    for block in payload.chunks(usize::from(u16::MAX)) {
        let len = u16::try_from(block.len()).expect("a chunk's length");
        stored.push(0);
        stored.extend(len.to_le_bytes());
        stored.extend((!len).to_le_bytes());
        stored.extend(block);
    }
    stored.push(0);
    stored
}

/// Says that nothing follows, then waits for the client to say so: a socket that is closed with bytes unread resets,
/// and the client may lose the close frame.
async fn end(mut socket: TcpStream) -> Result<()> {
    let mut rest = vec![0; READ_BYTES];
    if let Err(error) = socket.shutdown().await {
        return gone(error);
    }
    loop {
        match socket.read(&mut rest).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return gone(error),
        }
    }
}

/// A client that leaves in the middle is none of our failures.
fn gone(error: io::Error) -> Result<()> {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error.into()),
    }
}

/// Answers the request; `received` is left with what came behind it. Says whether compression was agreed on.
async fn shake_hands(socket: &mut TcpStream, received: &mut BytesMut) -> Result<bool> {
    loop {
        if socket.read_buf(received).await? == 0 {
            bail!("no request came");
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = request.parse(received)? else {
            if received.len() > HEAD_BYTES {
                bail!("a request of more than {HEAD_BYTES} bytes");
            }
            continue;
        };
        let values = |name: &'static str| {
            let of_name = request
                .headers
                .iter()
                .filter(move |header| header.name.eq_ignore_ascii_case(name));
            of_name.filter_map(|header| str::from_utf8(header.value).ok())
        };
        let key = values("sec-websocket-key").next().context("no key")?;
        if !handshake::is_key(key) {
            bail!("{key:?} is no key");
        }
        let extension = handshake::deflate_response(values("sec-websocket-extensions"));
        let extensions = extension.map(|taken| format!("Sec-WebSocket-Extensions: {taken}\r\n"));
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{}\r\n",
            handshake::accept_key(key),
            extensions.unwrap_or_default()
        );
        let deflate = extension.is_some();
        socket.write_all(response.as_bytes()).await?;
        let _ = received.split_to(length);
        return Ok(deflate);
    }
}
