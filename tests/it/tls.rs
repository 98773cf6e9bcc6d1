//! The client port with TLS: HTTP/1.1 and HTTP/2, WebSocket and event streams.

use crate::harness::{
    Gateway, GatewayProcess, PATIENCE, Quote, World,
    h2::{H2, WIDE},
    until, within,
};
use futures_util::StreamExt;
use oddswire_gateway::{GatewayOptions, trial::Trial};
use oddswire_protocol::envelope::{MessageType, Received};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{path::Path, sync::Arc};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{client_async, tungstenite::Message};

/// A certificate on disk, and who trusts it.
pub(crate) struct Certificate {
    folder: TempDir,
    pem: String,
}

fn write(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    // The key first: a gateway that looks in between finds two that do not belong together, and keeps what it has.
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.pem()
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pem = write(folder.path());
        Self { folder, pem }
    }

    /// Has a gateway use it.
    pub(crate) fn put_in(&self, options: &mut GatewayOptions) {
        options.front.tls_cert = Some(self.folder.path().join("cert.pem"));
        options.front.tls_key = Some(self.folder.path().join("key.pem"));
    }

    async fn gateway(&self, world: &World) -> Gateway {
        self.gateway_on_trial(world, Trial::default()).await
    }

    async fn gateway_on_trial(&self, world: &World, trial: Trial) -> Gateway {
        Gateway::start_on_trial(&world.nats_url(), trial, |options| {
            self.put_in(options);
            options.limits.head_ms = 500;
        })
        .await
    }

    async fn connect(&self, gateway: &Gateway, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_to(&gateway.address, alpn).await
    }

    /// The options of a gateway that has it.
    pub(crate) fn flags(&self) -> [String; 2] {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        [
            format!("--tls-cert={}", file("cert.pem")),
            format!("--tls-key={}", file("key.pem")),
        ]
    }

    pub(crate) async fn connect_to(
        &self,
        address: &str,
        alpn: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_over(TcpStream::connect(address).await?, alpn).await
    }

    /// TLS of a client over a stream that is open.
    pub(crate) async fn connect_over<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        alpn: &[u8],
    ) -> std::io::Result<TlsStream<S>> {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
            .unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    fn client(&self) -> reqwest::Client {
        self.client_of(reqwest::Client::builder())
    }

    /// A client that trusts it.
    pub(crate) fn client_of(&self, builder: reqwest::ClientBuilder) -> reqwest::Client {
        let trusted = reqwest::Certificate::from_pem(self.pem.as_bytes()).unwrap();
        builder.tls_certs_only([trusted]).build().unwrap()
    }
}

pub(crate) fn url(gateway: &Gateway, path: &str) -> String {
    let port = gateway.address.rsplit(':').next().unwrap();
    format!("https://localhost:{port}{path}")
}

const QUOTE: Quote = Quote {
    event: "e1",
    source: "alpha",
    price: "1.85",
};

#[tokio::test]
async fn a_websocket_over_tls_is_served_by_the_engine_like_any_other() {
    let world = World::new().await;
    let certificate = Certificate::new();
    let gateway = certificate.gateway(&world).await;
    let stream = certificate.connect(&gateway, b"http/1.1").await.unwrap();
    let target = format!("ws://{}/api/ws?topics=odds_updates&since=now", gateway.address);
    let (mut socket, _) = Box::pin(within("the handshake", client_async(target, stream)))
        .await
        .unwrap();
    let mut next = async |wanted: MessageType| loop {
        let message = within("a message", socket.next()).await.unwrap().unwrap();
        if let Message::Text(text) = message {
            let received: Received = serde_json::from_str(text.as_str()).unwrap();
            if received.message_type == wanted {
                return;
            }
        }
    };
    next(MessageType::CaughtUp).await;
    // Parked: a shard writes these.
    for price in ["1.9", "1.95"] {
        world.odds_event(&Quote { price, ..QUOTE }).await;
        next(MessageType::OddsUpdate).await;
    }
    next(MessageType::Heartbeat).await;
    gateway.stop().await.unwrap();
}

#[tokio::test]
async fn http2_carries_requests_and_many_event_streams_on_one_connection() {
    let world = World::new().await;
    let certificate = Certificate::new();
    let gateway = certificate.gateway(&world).await;
    let client = certificate.client();
    let get = |path: &str| client.get(url(&gateway, path)).send();
    let answer = within("an answer", get("/api/scrapes")).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, reqwest::Version::HTTP_2)
    );
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = within("a stream", get("/api/events?topics=odds_updates"))
            .await
            .unwrap();
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        hear(&mut stream, "event: caught_up").await;
        streams.push(stream);
    }
    let text = reqwest::get(format!("{}/metrics", gateway.ops))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        text.contains("oddswire_gateway_connections 21"),
        "one connection and its streams"
    );
    world.odds_event(&QUOTE).await;
    for stream in &mut streams {
        hear(stream, "event: odds_update").await;
    }
    let answer = within("an answer", get("/api/ws")).await.unwrap();
    assert_eq!(answer.status().as_u16(), 400, "WebSocket stays HTTP/1.1");
    drop(streams);
    gateway.stop().await.unwrap();
}

async fn hear(stream: &mut reqwest::Response, what: &str) {
    let mut said = String::new();
    while !said.contains(what) {
        let chunk = within(what, stream.chunk())
            .await
            .unwrap()
            .expect("the stream goes on");
        said.push_str(&String::from_utf8_lossy(&chunk));
    }
}

#[tokio::test]
async fn an_event_stream_over_tls_and_http1_begins_at_once() {
    let world = World::new().await;
    let certificate = Certificate::new();
    let gateway = certificate.gateway(&world).await;
    let mut stream = certificate.connect(&gateway, b"http/1.1").await.unwrap();
    let request = format!("GET /api/events HTTP/1.1\r\nhost: {}\r\n\r\n", gateway.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    while !said.contains("event: heartbeat") {
        let mut bytes = [0; 4096];
        let count = within("the stream", stream.read(&mut bytes)).await.unwrap();
        assert!(count > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    assert!(said.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream"));
}

#[tokio::test]
async fn who_does_not_shake_hands_is_cut_off_and_counted() {
    let world = World::new().await;
    let certificate = Certificate::new();
    let gateway = certificate.gateway(&world).await;
    // Nothing; a part of a hello; plain HTTP.
    for said in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut tcp = TcpStream::connect(&gateway.address).await.unwrap();
        tcp.write_all(said).await.unwrap();
        let mut rest = Vec::new();
        let _ = within("the gateway to hang up", tcp.read_to_end(&mut rest)).await;
    }
    let text = reqwest::get(format!("{}/metrics", gateway.ops))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.contains("refused_total{reason=\"Tls\"} 3"), "{text}");
    assert!(text.contains("oddswire_gateway_connections 0"));
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let world = World::new().await;
    let mut certificate = Certificate::new();
    let gateway = certificate.gateway(&world).await;
    certificate.connect(&gateway, b"h2").await.unwrap();
    std::fs::write(certificate.folder.path().join("cert.pem"), "garbage").unwrap();
    certificate.connect(&gateway, b"h2").await.unwrap();
    certificate.pem = write(certificate.folder.path());
    assert!(PATIENCE.as_secs() > 20, "files are looked at every 10 s");
    until("the new certificate", async || {
        certificate.connect(&gateway, b"h2").await.is_ok()
    })
    .await;
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_again_and_again_end_the_connection() {
    const GOAWAY: u8 = 7;
    const ENHANCE_YOUR_CALM: u8 = 11;
    let world = World::new().await;
    let certificate = Certificate::new();
    let gateway = certificate.gateway(&world).await;
    let mut stream = certificate.connect(&gateway, b"h2").await.unwrap();
    // :method GET, :scheme https, :path /, :authority localhost; RFC 7541.
    let head = b"\x82\x87\x84\x41\x09localhost";
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, b""));
    for number in 0..500 {
        bytes.extend(frame(1, 5, number * 2 + 1, head));
        bytes.extend(frame(3, 0, number * 2 + 1, &8_u32.to_be_bytes()));
    }
    stream.write_all(&bytes).await.unwrap();
    let mut said = Vec::new();
    let _ = within("the gateway to hang up", stream.read_to_end(&mut said)).await;
    let (mut at, mut reasons) = (0, Vec::new());
    while let Some(head) = said.get(at..at + 9) {
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        if head[3] == GOAWAY {
            reasons.push(said[at + 9 + 7]);
        }
        at += 9 + length;
    }
    assert_eq!(reasons, [ENHANCE_YOUR_CALM]);
}

/// What an HTTP/2 client begins with.
fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, b""));
    bytes
}

#[tokio::test]
async fn an_http2_connection_without_a_request_is_closed_though_it_answers_pings() {
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    let world = World::new().await;
    let certificate = Certificate::new();
    let gateway = certificate.gateway(&world).await;
    let mut stream = certificate.connect(&gateway, b"h2").await.unwrap();
    stream.write_all(&preface()).await.unwrap();
    let mut kinds = Vec::new();
    within("the gateway to hang up", async {
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.unwrap();
            kinds.push(head[3]);
            if head[3] == PING && head[4] == 0 {
                let _ = stream.write_all(&frame(PING, 1, 0, &payload)).await;
            }
        }
    })
    .await;
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
}

/// Floods a connection that has an event stream with pings, until so many bytes are taken.
async fn flood_with_pings(world: &World, trial: Trial, most: usize) {
    let certificate = Certificate::new();
    let gateway = certificate.gateway_on_trial(world, trial).await;
    let mut h2 = H2::connect(&certificate, &gateway.address, WIDE).await;
    h2.get(1, "/api/events").await;
    let (mut read, mut write) = tokio::io::split(h2.socket);
    let flood = async {
        let pings = frame(6, 0, 0, &[0; 8]).repeat(1_000);
        for _ in 0..most / pings.len() {
            write.write_all(&pings).await.unwrap();
        }
    };
    let answers = async {
        let mut some = vec![0; 16 << 10];
        while read.read(&mut some).await.is_ok_and(|count| count > 0) {}
    };
    tokio::select! { () = flood => {}, () = answers => panic!("the gateway hung up") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_http2_pings_is_held_back() {
    // More than the kernels on the way take.
    const MOST: usize = 16 << 20;
    let world = World::new().await;
    let no_turns = Trial {
        no_turns: true,
        ..Trial::default()
    };
    // The control: where nobody holds it back, all of it is taken in a time that is this machine's.
    let began = Instant::now();
    within("the end of a flood", flood_with_pings(&world, no_turns, MOST)).await;
    let twice = began.elapsed() * 2;
    let flood = flood_with_pings(&world, Trial::default(), MOST);
    assert!(
        timeout(twice, flood).await.is_err(),
        "it is not held back: {twice:?}"
    );
}

#[tokio::test]
async fn tls_costs_a_client_a_bounded_piece_of_memory() {
    const CLIENTS: u64 = 200;
    const EACH: u64 = 128 << 10;
    oddswire_kit::descriptors::raise();
    let world = World::new().await;
    let certificate = Certificate::new();
    let tls = certificate.flags();
    let mut each = Vec::new();
    for further in [&[][..], &tls] {
        let process = GatewayProcess::start(&world.nats_url(), further);
        process.wait_ready().await;
        let before = process.memory();
        let mut clients: Vec<Box<dyn Talk>> = Vec::new();
        for _ in 0..CLIENTS {
            let mut stream: Box<dyn Talk> = if further.is_empty() {
                Box::new(TcpStream::connect(process.address()).await.unwrap())
            } else {
                Box::new(
                    certificate
                        .connect_to(&process.address(), b"http/1.1")
                        .await
                        .unwrap(),
                )
            };
            let request = b"GET /api/events?topics=odds_updates HTTP/1.1\r\nhost: localhost\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let mut said = String::new();
            while !said.contains("event: caught_up") {
                let mut bytes = [0; 4096];
                let count = within("the stream", stream.read(&mut bytes)).await.unwrap();
                said.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            clients.push(stream);
        }
        each.push(process.memory().saturating_sub(before) / CLIENTS);
    }
    println!("bytes a client: plain {}, with TLS {}", each[0], each[1]);
    assert!(each[1] < each[0] + EACH, "{each:?}");
}

trait Talk: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Talk for T {}
