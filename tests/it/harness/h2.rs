//! HTTP/2 frame by frame, for what a library does not do: windows that stay closed, pings that are not answered.

use super::within;
use crate::tls::Certificate;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// A frame; its kind is one of the constants below.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// The flag of the last frame of a stream.
const END_STREAM: u8 = 1;
/// The flags of a request without a body, in one frame.
const WHOLE: u8 = 5;
/// As large as a window may be (RFC 9113, 6.9.1).
pub(crate) const WIDE: u32 = (1 << 31) - 1;
/// The window that a connection begins with (RFC 9113, 6.9.2).
const FIRST_WINDOW: u32 = 65_535;

impl Frame {
    /// Whether the answer of its stream ends with it.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// Whether it is the head of an answer with status 200, which has an entry of its own in HPACK's table.
    pub(crate) fn is_ok(&self) -> bool {
        self.kind == HEADERS && self.payload.first() == Some(&0x88)
    }

    fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], self.kind, self.flags];
        bytes.extend_from_slice(&self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

/// A connection.
pub(crate) struct H2 {
    pub(crate) socket: TlsStream<TcpStream>,
}

impl H2 {
    /// One whose streams have a window of so many bytes each, and all together as much as there may be.
    pub(crate) async fn connect(certificate: &Certificate, address: &str, window: u32) -> Self {
        let socket = certificate.connect_to(address, b"h2").await.unwrap();
        Self::begin(socket, window).await
    }

    /// The same on a connection that there is already.
    pub(crate) async fn begin(mut socket: TlsStream<TcpStream>, window: u32) -> Self {
        socket
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut h2 = Self { socket };
        let initial_window_size = [&[0, 4][..], &window.to_be_bytes()].concat();
        h2.send(SETTINGS, 0, 0, &initial_window_size).await;
        h2.widen(0, WIDE - FIRST_WINDOW).await;
        h2
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let frame = Frame {
            kind,
            flags,
            stream,
            payload: payload.to_vec(),
        };
        // A gateway may have hung up.
        let _ = self.socket.write_all(&frame.bytes()).await;
        let _ = self.socket.flush().await;
    }

    /// Asks for a path on a stream, whose number is odd and higher than those before.
    pub(crate) async fn get(&mut self, stream: u32, path: &str) {
        self.send(HEADERS, WHOLE, stream, &head(path)).await;
    }

    /// Lets more bytes come on a stream; on 0: on all of them together.
    pub(crate) async fn widen(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
    }

    /// The next frame; none when the gateway has hung up.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        let read = within("a frame", self.socket.read_exact(&mut head)).await;
        read.ok()?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        let read = within("a frame", self.socket.read_exact(&mut payload)).await;
        read.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// The next frame of a kind.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the gateway hung up");
            if frame.kind == kind {
                return frame;
            }
        }
    }
}

/// A GET as a block of HPACK: everything literal but the method and the scheme.
fn head(path: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let mut block = vec![0x82, 0x87, 0x01, length("localhost")];
    block.extend_from_slice(b"localhost");
    block.extend_from_slice(&[0x04, length(path)]);
    block.extend_from_slice(path.as_bytes());
    block
}
