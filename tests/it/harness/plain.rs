//! HTTP/1.1 byte by byte, for what a well-behaved client does not send.

use super::within;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection.
pub(crate) struct Plain {
    pub(crate) stream: TcpStream,
}

/// An answer: everything up to the end of the connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    body: String,
}

impl Plain {
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        // A gateway may have hung up before it has read all.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    /// Waits until the gateway hangs up; tells what it said before.
    pub(crate) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = within("the gateway to hang up", self.stream.read_to_end(&mut bytes)).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is said up to and with `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut said = String::new();
        within(end, async {
            while !said.contains(end) {
                let mut bytes = [0; 4096];
                let count = self.stream.read(&mut bytes).await.unwrap();
                assert!(count > 0, "hung up after {said:?}");
                said.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        })
        .await;
        said
    }

    /// The answer to one request, whose connection ends with it.
    pub(crate) async fn ask(address: &str, request: &str) -> Answer {
        let mut plain = Self::connect(address).await;
        plain.send(request).await;
        Answer::parse(&plain.rest().await)
    }

    /// A request with further headers, that asks for its connection to end.
    pub(crate) async fn request(address: &str, line: &str, headers: &[&str]) -> Answer {
        let headers: String = lines(headers);
        let has_host = headers
            .lines()
            .any(|line| line.to_ascii_lowercase().starts_with("host:"));
        let host = if has_host {
            String::new()
        } else {
            format!("host: {address}\r\n")
        };
        let request = format!("{line} HTTP/1.1\r\n{host}{headers}connection: close\r\n\r\n");
        Self::ask(address, &request).await
    }

    /// A WebSocket handshake; the answer up to its end.
    pub(crate) async fn handshake(address: &str, headers: &[&str]) -> (Self, Answer) {
        Self::handshake_at(address, "/api/ws", headers).await
    }

    /// The same at a target of its own.
    pub(crate) async fn handshake_at(address: &str, target: &str, headers: &[&str]) -> (Self, Answer) {
        let mut plain = Self::connect(address).await;
        let headers: String = lines(headers);
        plain
            .send(&format!(
                "GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
            ))
            .await;
        let said = plain.until("\r\n\r\n").await;
        (plain, Answer::parse(&said))
    }
}

fn lines(headers: &[&str]) -> String {
    headers.iter().flat_map(|header| [*header, "\r\n"]).collect()
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_default(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            (key == name).then_some(value)
        })
    }

    /// The code of its problem document.
    pub(crate) fn code(&self) -> String {
        let start = self.body.find('{').unwrap_or(self.body.len());
        let document = self.body[start..].trim_end_matches(['\r', '\n', '0']);
        let problem: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }
}
