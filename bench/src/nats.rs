//! NATS by hand: the load generator publishes and the floor listens with as little between them and the socket as can be.

use anyhow::{Result, bail};
use mio::net::TcpStream;
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream as Blocking,
    ops::Range,
    time::Duration,
};

/// A connection that never waits.
#[derive(Debug)]
pub(crate) struct Nats {
    socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    piece: Vec<u8>,
}

/// What the server said.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Message(Ranges),
    Ping,
    Other,
}

/// Where the parts of a message are.
#[derive(Debug, PartialEq, Eq)]
struct Ranges {
    headers: Range<usize>,
    payload: Range<usize>,
}

/// A message that came by.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// Its headers, as they stand.
    pub(crate) headers: &'a [u8],
    /// Its payload.
    pub(crate) payload: &'a [u8],
}

impl Nats {
    /// Connects, and comes back when the server has these subscriptions.
    pub(crate) fn connect(port: u16, subjects: &[&str]) -> Result<Self> {
        let mut socket = Blocking::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut hello = String::from(
            "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"lang\":\"rust\",\"version\":\"0\",\"name\":\"bench\"}\r\n",
        );
        for (number, subject) in subjects.iter().enumerate() {
            hello.extend(["SUB ", subject, " ", &number.to_string(), "\r\n"]);
        }
        hello.push_str("PING\r\n");
        socket.write_all(hello.as_bytes())?;
        let (mut said, mut piece) = (Vec::new(), vec![0; 1 << 18]);
        while memchr::memmem::find(&said, b"PONG\r\n").is_none() {
            let length = socket.read(&mut piece)?;
            if length == 0 || said.starts_with(b"-ERR") {
                bail!("NATS refuses the bench: {}", String::from_utf8_lossy(&said));
            }
            said.extend_from_slice(&piece[..length]);
        }
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: TcpStream::from_std(socket),
            input: Vec::new(),
            output: Vec::new(),
            piece,
        })
    }

    /// The socket, to be waited for.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Puts a message behind what goes out next.
    pub(crate) fn publish(&mut self, subject: &str, headers: &str, payload: &str) {
        let whole = headers.len() + payload.len();
        self.output
            .extend_from_slice(format!("HPUB {subject} {} {whole}\r\n", headers.len()).as_bytes());
        self.output.extend_from_slice(headers.as_bytes());
        self.output.extend_from_slice(payload.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// Sends what the socket takes now.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let mut sent = 0;
        while sent < self.output.len() {
            match self.socket.write(&self.output[sent..]) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.output.drain(..sent);
        Ok(())
    }

    /// Takes all that has come, and answers pings.
    pub(crate) fn read(&mut self, mut each: impl FnMut(&Message<'_>)) -> Result<()> {
        loop {
            match self.socket.read(&mut self.piece) {
                Ok(0) => bail!("NATS has closed the connection"),
                Ok(length) => {
                    self.input.extend_from_slice(&self.piece[..length]);
                    if length < self.piece.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut taken = 0;
        while let Some((said, length)) = said(&self.input[taken..]) {
            let bytes = &self.input[taken..taken + length];
            match said {
                Said::Message(at) => each(&Message {
                    headers: &bytes[at.headers],
                    payload: &bytes[at.payload],
                }),
                Said::Ping => self.output.extend_from_slice(b"PONG\r\n"),
                Said::Other => {}
            }
            taken += length;
        }
        self.input.drain(..taken);
        self.flush()
    }
}

/// The first thing in `bytes`, and its length; `None` while it is not whole.
fn said(bytes: &[u8]) -> Option<(Said, usize)> {
    let begin = memchr::memchr(b'\n', bytes)? + 1;
    let line = &bytes[..begin];
    if line.starts_with(b"PING") {
        return Some((Said::Ping, begin));
    }
    let has_headers = line.starts_with(b"HMSG ");
    if !has_headers && !line.starts_with(b"MSG ") {
        return Some((Said::Other, begin));
    }
    let text = std::str::from_utf8(line).ok()?.trim_end();
    let mut from_behind = text.rsplit(' ').map(str::parse::<usize>);
    let whole = from_behind.next()?.ok()?;
    let head = if has_headers { from_behind.next()?.ok()? } else { 0 };
    let end = begin + whole;
    (bytes.len() >= end + 2).then_some((
        Said::Message(Ranges {
            headers: begin..begin + head,
            payload: begin + head..end,
        }),
        end + 2,
    ))
}

/// The value of a header; the last one when there are several.
pub(crate) fn header<'a>(headers: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let key = format!("\r\n{name}: ");
    let begin = memchr::memmem::rfind(headers, key.as_bytes())? + key.len();
    let length = memchr::memchr(b'\r', &headers[begin..])?;
    Some(&headers[begin..begin + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_when_they_are_whole() {
        let bytes = b"HMSG a.b 7 inbox 18 20\r\nNATS/1.0\r\nk: v\r\n\r\nhiNOT\r\n";
        // 18 bytes of headers and 2 of payload, without the line break that belongs behind them
        assert_eq!(said(&bytes[..40]), None);
        let bytes = b"HMSG a.b 7 inbox 18 20\r\nNATS/1.0\r\nk: v\r\n\r\nhi\r\nPING\r\nMSG c 1 1\r\nx\r\n";
        let (first, length) = said(bytes).unwrap();
        let Said::Message(at) = first else {
            panic!("{first:?}")
        };
        assert_eq!(&bytes[at.payload], b"hi");
        assert_eq!(header(&bytes[at.headers], "k"), Some(&b"v"[..]));
        let rest = &bytes[length..];
        assert_eq!(said(rest), Some((Said::Ping, 6)));
        let (last, length) = said(&rest[6..]).unwrap();
        assert!(matches!(last, Said::Message(_)));
        assert_eq!(length, rest.len() - 6);
    }

    #[test]
    fn the_servers_own_value_of_a_header_comes_last() {
        let headers = b"NATS/1.0\r\nNats-Sequence: 1\r\nNats-Sequence: 22\r\n\r\n";
        assert_eq!(header(headers, "Nats-Sequence"), Some(&b"22"[..]));
        assert_eq!(header(headers, "Nats"), None);
    }
}
