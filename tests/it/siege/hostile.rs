//! A crowd that means harm: every kind of attack on the client port, again and again, from addresses of its own.

use crate::chaos::replicas::Replicas;
use flate2::{Compression, write::DeflateEncoder};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    fmt,
    io::{Error, ErrorKind, Write as _},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How many of each kind are at it at the same time.
const OF_A_KIND: usize = 6;
/// How long one of them holds on to a connection.
const HOLD: Duration = Duration::from_secs(8);
/// Between two attacks of one of them.
const PAUSE_MS: std::ops::Range<u64> = 5..120;

/// One kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Subscribes to everything and reads nothing.
    ReadsNothing,
    /// The same, over Server-Sent Events.
    ReadsNothingSse,
    /// Asks for the board again and again, and reads nothing.
    ReadsNoBoard,
    /// Sends the head of a request letter by letter.
    DripsHead,
    /// Says that a body comes and sends it letter by letter.
    DripsBody,
    /// Connects and sends bytes of no protocol.
    Garbage,
    /// Garbage after a proper handshake.
    GarbageFrames,
    /// Frames that RFC 6455 forbids.
    BrokenFrames,
    /// A message that is larger than allowed, in many fragments that never end.
    EndlessFragments,
    /// A small message that inflates to a large one.
    Bomb,
    /// Pings without end.
    PingFlood,
    /// Valid commands without end.
    CommandFlood,
    /// Connects and goes, at once.
    Storm,
    /// Connects, asks for everything, and resets the connection.
    ResetStorm,
    /// Cursors that are none, or another's, with snapshots.
    FalseCursors,
    /// Thousands of topics, and bad ones.
    ManyTopics,
    /// Heads and targets that are too long, and bodies too.
    Oversized,
    /// Runs of sources that do not exist, and malformed commands.
    BadCommands,
    /// Several requests in one packet, with lengths that contradict each other.
    Smuggling,
}

const KINDS: [Kind; 19] = [
    Kind::ReadsNothing,
    Kind::ReadsNothingSse,
    Kind::ReadsNoBoard,
    Kind::DripsHead,
    Kind::DripsBody,
    Kind::Garbage,
    Kind::GarbageFrames,
    Kind::BrokenFrames,
    Kind::EndlessFragments,
    Kind::Bomb,
    Kind::PingFlood,
    Kind::CommandFlood,
    Kind::Storm,
    Kind::ResetStorm,
    Kind::FalseCursors,
    Kind::ManyTopics,
    Kind::Oversized,
    Kind::BadCommands,
    Kind::Smuggling,
];

/// All of them, until they are told to stop.
pub(super) struct Crowd {
    attackers: JoinSet<()>,
    attacks: Attacks,
}

/// How many attacks of each kind were made: begun with a connection that was accepted.
#[derive(Debug, Clone)]
pub(super) struct Attacks(Arc<BTreeMap<Kind, AtomicU64>>);

impl Crowd {
    pub(super) fn begin(replicas: &Arc<Replicas>, seed: u64, over: &CancellationToken) -> Self {
        let attacks = Attacks(Arc::new(KINDS.map(|kind| (kind, AtomicU64::new(0))).into()));
        let mut attackers = JoinSet::new();
        let mut rng = StdRng::seed_from_u64(seed);
        for kind in KINDS {
            for _ in 0..OF_A_KIND {
                let attacker = Attacker {
                    kind,
                    rng: StdRng::seed_from_u64(rng.random()),
                    replicas: Arc::clone(replicas),
                    attacks: attacks.clone(),
                };
                let over = over.clone();
                attackers.spawn(async move {
                    over.run_until_cancelled(attacker.run()).await;
                });
            }
        }
        Self { attackers, attacks }
    }

    pub(super) async fn ended(self) -> Attacks {
        self.attackers.join_all().await;
        self.attacks
    }
}

impl Attacks {
    /// Kinds of which there was none.
    pub(super) fn idle(&self) -> impl Iterator<Item = String> {
        self.0
            .iter()
            .filter(|(_, count)| count.load(Ordering::Relaxed) == 0)
            .map(|(kind, _)| format!("{kind:?}"))
    }
}

impl fmt::Display for Attacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.0.values().map(|count| count.load(Ordering::Relaxed)).sum();
        write!(f, "{total} attacks:")?;
        for (kind, count) in &*self.0 {
            write!(f, " {kind:?} {}", count.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}

struct Attacker {
    kind: Kind,
    rng: StdRng,
    replicas: Arc<Replicas>,
    attacks: Attacks,
}

type Done = std::io::Result<()>;

impl Attacker {
    async fn run(mut self) {
        loop {
            if let Ok(stream) = self.connect().await {
                self.attacks.0[&self.kind].fetch_add(1, Ordering::Relaxed);
                // The gateway may close it at any moment, and should.
                let _ = timeout(HOLD, self.attack(stream)).await;
            }
            sleep(Duration::from_millis(self.rng.random_range(PAUSE_MS))).await;
        }
    }

    /// From an address that is not that of the well-behaved.
    async fn connect(&mut self) -> std::io::Result<TcpStream> {
        let to: SocketAddr = self
            .replicas
            .address(self.rng.random_range(0..100))
            .parse()
            .map_err(Error::other)?;
        let socket = TcpSocket::new_v4()?;
        let host = self.rng.random_range(2..=9);
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 66, host), 0)))?;
        socket.set_recv_buffer_size(4_096)?;
        timeout(HOLD, socket.connect(to)).await?
    }

    async fn attack(&mut self, mut stream: TcpStream) -> Done {
        match self.kind {
            Kind::ReadsNothing => {
                handshake(&mut stream, "?since=snapshot").await?;
                sleep(HOLD).await;
            }
            Kind::ReadsNothingSse => {
                stream.write_all(&get("/api/events?since=snapshot", "")).await?;
                sleep(HOLD).await;
            }
            Kind::ReadsNoBoard => {
                stream
                    .write_all(&get("/api/odds?limit=5000", "").repeat(20))
                    .await?;
                sleep(HOLD).await;
            }
            Kind::DripsHead => drip(&mut stream, &get("/api/events", &"x-drip: 1\r\n".repeat(50))).await?,
            Kind::DripsBody => {
                let head = b"POST /api/scrapes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n\r\n";
                stream.write_all(head).await?;
                drip(&mut stream, &vec![b' '; 60_000]).await?;
            }
            Kind::Storm => drop(stream),
            Kind::ResetStorm => {
                stream.write_all(&get("/api/events?since=snapshot", "")).await?;
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            }
            Kind::Oversized => self.oversized(&mut stream).await?,
            Kind::BadCommands => self.bad_command(&mut stream).await?,
            Kind::FalseCursors | Kind::ManyTopics => {
                let query = self.query();
                if self.rng.random() {
                    handshake(&mut stream, &query).await?;
                } else {
                    stream.write_all(&get(&format!("/api/events{query}"), "")).await?;
                }
                read_some(&mut stream, 1 << 16).await?;
            }
            Kind::Smuggling => {
                let twice = "POST /api/scrapes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
                             0\r\n\r\nGET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n";
                stream.write_all(twice.as_bytes()).await?;
                read_some(&mut stream, 1 << 14).await?;
            }
            Kind::Garbage => {
                let bytes: Vec<u8> = (0..4_096).map(|_| self.rng.random()).collect();
                stream.write_all(&bytes).await?;
                read_some(&mut stream, 1 << 14).await?;
            }
            _ => {
                handshake(&mut stream, "?topics=scrape_progress").await?;
                self.frames(&mut stream).await?;
            }
        }
        Ok(())
    }

    /// What goes over a WebSocket.
    async fn frames(&mut self, stream: &mut TcpStream) -> Done {
        for _ in 0..2_000 {
            let bytes = match self.kind {
                Kind::GarbageFrames => (0..512).map(|_| self.rng.random()).collect(),
                Kind::BrokenFrames => self.broken(),
                Kind::EndlessFragments => frame(0x00, &[b'a'; 4_000]),
                Kind::Bomb => frame(0xc1, &BOMB),
                Kind::PingFlood => frame(0x89, &[0; 125]).repeat(20),
                _ => frame(
                    0x81,
                    br#"{"type":"subscribe","topics":["odds_updates"],"since":"snapshot"}"#,
                ),
            };
            stream.write_all(&bytes).await?;
            if self.kind == Kind::CommandFlood {
                read_some(stream, 1 << 16).await?;
            }
        }
        Ok(())
    }

    fn broken(&mut self) -> Vec<u8> {
        let kinds: [&[u8]; 8] = [
            // Unmasked.
            b"\x81\x02{}",
            // A reserved opcode, a reserved bit.
            b"\x83\x80\0\0\0\0",
            b"\xa1\x80\0\0\0\0",
            // A ping of 126 bytes, a ping in fragments.
            b"\x89\xfe\0\x7e\0\0\0\0",
            b"\x09\x80\0\0\0\0",
            // A length of 2^63 - 1.
            b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
            // Not UTF-8.
            b"\x81\x82\0\0\0\0\xc3\x28",
            // A close code that nobody may send.
            b"\x88\x82\0\0\0\0\x03\xee",
        ];
        kinds[self.rng.random_range(0..kinds.len())].to_vec()
    }

    async fn oversized(&mut self, stream: &mut TcpStream) -> Done {
        let long = "x".repeat(100_000);
        let request = match self.rng.random_range(0..4) {
            0 => get(&format!("/api/events?topics={long}"), ""),
            1 => get("/api/events", &format!("x-long: {long}\r\n")),
            2 => get("/api/events", &"a: b\r\n".repeat(5_000)),
            _ => format!(
                "POST /api/scrapes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n{long}"
            )
            .into(),
        };
        stream.write_all(&request).await?;
        read_some(stream, 1 << 14).await
    }

    async fn bad_command(&mut self, stream: &mut TcpStream) -> Done {
        let bodies = [
            "{\"sources\":[\"no-such\"]}",
            "{\"sources\":",
            "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
            "{\"retry_of\":\"../../x\"}",
            "{\"sources\":[\"alpha\",\"alpha\"],\"x\":1}",
        ];
        let body = bodies[self.rng.random_range(0..bodies.len())];
        let length = body.len();
        let head = "POST /api/scrapes HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close";
        let request = format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await?;
        read_some(stream, 1 << 14).await
    }

    fn query(&mut self) -> String {
        if self.kind == Kind::ManyTopics {
            let topics: Vec<String> = (0..400).map(|n| format!("odds_updates.s{n}.*.*.*")).collect();
            return format!("?topics={}", topics.join(","));
        }
        let cursors = [
            "0",
            "%00",
            "v1.r",
            "1-1-1",
            "zzzzzzzzzzzzzzzz",
            "18446744073709551615",
            "snapshot",
            "now'--",
        ];
        format!("?since={}", cursors[self.rng.random_range(0..cursors.len())])
    }
}

/// Sixteen MiB of zeros, deflated: 16 KiB.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
    deflated
        .write_all(&vec![0; 16 << 20])
        .and_then(|()| deflated.finish())
        .unwrap()
});

async fn handshake(stream: &mut TcpStream, query: &str) -> Done {
    let headers = "upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-extensions: permessage-deflate\r\n";
    stream
        .write_all(&get(&format!("/api/ws{query}"), headers))
        .await?;
    // The head, byte by byte, so that nothing after it is taken.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
        if head.len() > 4_096 {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

fn get(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").into()
}

/// A frame with its first byte as given, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        Ok(length) => {
            bytes.push(0xfe);
            bytes.extend(length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0xff);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> Done {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Reads until so much has come, or nothing more comes.
async fn read_some(stream: &mut TcpStream, most: usize) -> Done {
    let mut left = most;
    let mut bytes = [0; 4_096];
    while left > 0 {
        match timeout(Duration::from_millis(300), stream.read(&mut bytes)).await {
            Ok(Ok(0)) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(Ok(count)) => left = left.saturating_sub(count),
            Ok(Err(error)) => return Err(error),
            Err(_) => break,
        }
    }
    Ok(())
}
