//! permessage-deflate, with a client that reads frames itself.

use crate::harness::{Gateway, Quote, World, within};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use oddswire_gateway::trial::Trial;
use oddswire_protocol::envelope::MessageType;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A WebSocket by hand: what crosses the wire, not what a library makes of it.
struct Raw {
    stream: TcpStream,
    head: String,
    bytes: Vec<u8>,
}

/// One frame of the server.
struct Frame {
    compressed: bool,
    opcode: u8,
    payload: Vec<u8>,
}

impl Raw {
    async fn connect(gateway: &Gateway, query: &str, offer: &str) -> Self {
        let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
        let request = format!(
            "GET /api/ws?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: {offer}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(within("an answer", stream.read_buf(&mut bytes)).await.unwrap() > 0);
        };
        let head = String::from_utf8(bytes.drain(..end).collect()).unwrap();
        Self { stream, head, bytes }
    }

    async fn need(&mut self, count: usize) {
        while self.bytes.len() < count {
            assert!(
                within("a frame", self.stream.read_buf(&mut self.bytes))
                    .await
                    .unwrap()
                    > 0
            );
        }
    }

    async fn frame(&mut self) -> Frame {
        self.need(2).await;
        let (first, second) = (self.bytes[0], self.bytes[1]);
        assert_eq!(first & 0x80, 0x80, "a message is one frame");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let (header, len) = match second {
            126 => {
                self.need(4).await;
                (4, usize::from(u16::from_be_bytes([self.bytes[2], self.bytes[3]])))
            }
            short => (2, usize::from(short)),
        };
        self.need(header + len).await;
        let payload = self.bytes.drain(..header + len).skip(header).collect();
        Frame {
            compressed: first & 0x40 != 0,
            opcode: first & 0x0f,
            payload,
        }
    }

    /// The next text, and whether it came compressed.
    async fn text(&mut self) -> (String, bool) {
        loop {
            let frame = self.frame().await;
            if frame.opcode != 1 {
                continue;
            }
            let payload = if frame.compressed {
                inflate(frame.payload)
            } else {
                frame.payload
            };
            return (String::from_utf8(payload).unwrap(), frame.compressed);
        }
    }

    /// The next odds, and whether they came compressed.
    async fn odds(&mut self) -> (String, bool) {
        loop {
            let (text, compressed) = self.text().await;
            if text.starts_with(r#"{"type":"odds_update""#) {
                return (text, compressed);
            }
        }
    }
}

/// A message by itself: nothing of the one before it is needed.
fn inflate(mut payload: Vec<u8>) -> Vec<u8> {
    payload.extend_from_slice(&[0, 0, 0xff, 0xff]);
    let mut out = Vec::with_capacity(64 * 1024);
    let mut inflater = Decompress::new(false);
    inflater
        .decompress_vec(&payload, &mut out, FlushDecompress::Sync)
        .unwrap();
    out
}

const PRICE: Quote = Quote {
    event: "e1",
    source: "alpha",
    price: "1.85",
};

#[tokio::test]
async fn a_client_that_offers_compression_gets_the_same_messages_in_fewer_bytes() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let offer = "permessage-deflate; client_max_window_bits";
    for query in ["topics=odds_updates", "topics=odds_updates&since=now"] {
        let mut small = Raw::connect(&gateway, query, offer).await;
        assert!(small.head.starts_with("HTTP/1.1 101"), "{}", small.head);
        let head = small.head.to_lowercase();
        for agreed in [
            "permessage-deflate",
            "server_no_context_takeover",
            "client_no_context_takeover",
        ] {
            assert!(head.contains(agreed), "{head}");
        }
        let mut plain = gateway.ws(query).await;
        plain.next_of(MessageType::CaughtUp).await;
        while !small.text().await.0.contains(r#""caught_up""#) {}
        for _ in 0..3 {
            world.odds_event(&PRICE).await;
            let (text, compressed) = small.odds().await;
            assert!(compressed);
            let mut as_it_is = plain.text().await;
            while !as_it_is.contains(r#""odds_update""#) {
                as_it_is = plain.text().await;
            }
            assert_eq!(text, as_it_is, "{query}");
        }
    }
}

#[tokio::test]
async fn a_client_that_wants_another_window_gets_no_compression() {
    let world = World::new().await;
    let gateway = world.gateway().await;
    let offer = "permessage-deflate; server_max_window_bits=10";
    let mut client = Raw::connect(&gateway, "topics=odds_updates", offer).await;
    assert!(!client.head.to_lowercase().contains("permessage-deflate"));
    while !client.text().await.0.contains(r#""caught_up""#) {}
    world.odds_event(&PRICE).await;
    assert!(!client.odds().await.1);
}

/// A masked text of spaces, deflated: some hundred bytes on the wire that become 60 KB.
fn small_that_becomes_large() -> Vec<u8> {
    let mut payload = Vec::with_capacity(1_024);
    Compress::new(Compression::best(), false)
        .compress_vec(&vec![b' '; 60_000], &mut payload, FlushCompress::Sync)
        .unwrap();
    payload.truncate(payload.len() - 4);
    let length = u16::try_from(payload.len()).unwrap();
    let mut frame = if length < 126 {
        vec![0xc1, 0x80 | u8::try_from(length).unwrap()]
    } else {
        [&[0xc1, 0xfe][..], &length.to_be_bytes()].concat()
    };
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// How many of three such messages, sent at once, are answered before an odds update comes that is published after the
/// first answer.
async fn answered_at_once(trial: Trial) -> usize {
    let world = World::new().await;
    let gateway = Gateway::start_on_trial(&world.nats_url(), trial, |options| {
        options.limits.read_bytes_per_s = 4_096;
    })
    .await;
    let mut raw = Raw::connect(&gateway, "topics=odds_updates&since=now", "permessage-deflate").await;
    while !raw.text().await.0.starts_with(r#"{"type":"caught_up""#) {}
    raw.stream
        .write_all(&small_that_becomes_large().repeat(3))
        .await
        .unwrap();
    let mut answers = 0;
    loop {
        let (text, _) = raw.text().await;
        if text.starts_with(r#"{"type":"error""#) {
            answers += 1;
        }
        if text.starts_with(r#"{"type":"odds_update""#) || answers == 3 {
            return answers;
        }
        if answers == 1 {
            world.odds_event(&PRICE).await;
        }
    }
}

#[tokio::test]
async fn a_deflated_message_counts_as_what_it_became() {
    let off = Trial {
        no_turns: true,
        ..Trial::default()
    };
    assert_eq!(answered_at_once(off).await, 3, "the control");
    assert_eq!(answered_at_once(Trial::default()).await, 1);
}
