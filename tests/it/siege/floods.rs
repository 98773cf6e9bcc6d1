//! Floods at full speed, from more clients than there are cores: whoever floods is read at a pace, and the others do not
//! notice. With the mechanism off a flood is taken in as fast as it comes.

use crate::harness::{GatewayProcess, Quote, World, Ws, within};
use oddswire_protocol::envelope::MessageType;
use std::{
    fmt,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::time::Instant;

/// What a flooder sends on one connection at most. One whose kernel takes all of it was held back by nobody: kernels
/// keep some MB, and a gateway that has said goodbye drops some more.
const MOST: u64 = 48 << 20;
/// What an event may take to others, of 99 in 100.
pub(super) const OTHERS: Duration = Duration::from_millis(100);
/// What is written at once.
const CHUNK: usize = 64 << 10;

/// What a flood is made of.
#[derive(Debug, Clone, Copy)]
enum Flood {
    /// Texts that are no command.
    Texts,
    Pings,
    /// A message in empty pieces that never ends.
    Fragments,
    /// Bytes on an event stream, which has nothing to hear.
    Stream,
    /// Requests one behind the other, whose answers are read.
    Requests,
    /// The same without a host, which are refused.
    BadRequests,
}

impl Flood {
    fn begins_with(self) -> &'static str {
        match self {
            Self::Texts | Self::Pings | Self::Fragments => {
                "GET /api/ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            }
            Self::Stream => "GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n",
            Self::Requests | Self::BadRequests => "",
        }
    }

    fn piece(self) -> &'static [u8] {
        match self {
            Self::Texts => b"\x81\xa0\0\0\0\0xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            Self::Pings => b"\x89\x80\0\0\0\0",
            Self::Fragments => b"\0\x80\0\0\0\0",
            Self::Stream => b"x",
            Self::Requests => b"GET /api/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n",
            Self::BadRequests => b"GET / HTTP/1.1\r\n\r\n",
        }
    }

    /// The bytes of a flood, without end.
    fn chunk(self) -> Vec<u8> {
        self.piece().repeat(CHUNK / self.piece().len())
    }
}

/// What came of flooders.
#[derive(Debug, Default)]
struct Sent {
    connections: AtomicU64,
    bytes: AtomicU64,
    /// The most on one connection.
    most: AtomicU64,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (connections, bytes) = (self.connections.load(Relaxed), self.bytes.load(Relaxed));
        let most = self.most.load(Relaxed);
        write!(f, "{connections} connections, {bytes} bytes, {most} on one")
    }
}

/// Floods, and comes back when it is cut off, until it is over or nobody holds it back.
fn flood(flood: Flood, address: &str, sent: &Sent, over: &AtomicBool) {
    let chunk = flood.chunk();
    while !over.load(Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else {
            thread::park_timeout(Duration::from_millis(10));
            continue;
        };
        sent.connections.fetch_add(1, Relaxed);
        let count = flood_one(flood, &mut stream, &chunk, over).unwrap_or_else(|count| count);
        sent.bytes.fetch_add(count, Relaxed);
        sent.most.fetch_max(count, Relaxed);
        if count >= MOST {
            return;
        }
    }
}

/// Floods one connection; tells how much of it was taken, when it was cut off or when it is over.
fn flood_one(flood: Flood, stream: &mut TcpStream, chunk: &[u8], over: &AtomicBool) -> Result<u64, u64> {
    let mut count = 0;
    let mut answers = vec![0; CHUNK];
    stream
        .write_all(flood.begins_with().as_bytes())
        .map_err(|_| 0_u64)?;
    if !flood.begins_with().is_empty() {
        // The head of the answer, and whatever comes with it.
        stream.read(&mut answers).map_err(|_| 0_u64)?;
    }
    if matches!(flood, Flood::Fragments) {
        stream.write_all(b"\x01\x80\0\0\0\0").map_err(|_| 0_u64)?;
    }
    stream.set_nonblocking(true).map_err(|_| 0_u64)?;
    let mut rest: &[u8] = &[];
    while count < MOST && !over.load(Relaxed) {
        let read = stream.read(&mut answers);
        match &read {
            Ok(0) => return Ok(count),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(count),
            _ => {}
        }
        if rest.is_empty() {
            rest = chunk;
        }
        match stream.write(rest) {
            Ok(taken) => {
                count += taken as u64;
                rest = &rest[taken..];
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if read.is_err() {
                    thread::park_timeout(Duration::from_millis(1));
                }
            }
            Err(_) => return Err(count),
        }
    }
    Ok(count)
}

/// How long events took to others, publishing included.
#[derive(Debug, Default)]
pub(super) struct Delays(Vec<Duration>);

impl Delays {
    pub(super) fn took(&mut self, since: Instant) {
        self.0.push(since.elapsed());
    }

    pub(super) fn share(&self, per_cent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[sorted.len() * per_cent / 100]
    }
}

/// Publishes another price; tells when it began.
pub(super) async fn publish(world: &World, number: u32) -> Instant {
    let began = Instant::now();
    world
        .odds_event(&Quote {
            event: "e1",
            source: "alpha",
            price: if number.is_multiple_of(2) { "1.85" } else { "1.90" },
        })
        .await;
    began
}

/// Whether this is a siege, on a machine that does nothing else meanwhile.
pub(super) fn is_long() -> bool {
    oddswire_kit::env::lookup("ODDSWIRE_CHAOS_SECONDS").is_some()
}

/// What a flood did to others.
struct Outcome {
    sent: Arc<Sent>,
    delays: Delays,
}

/// Floods while three clients get as many events as asked; every one of them comes.
#[expect(clippy::print_stderr, reason = "the figures of a long run are its result")]
async fn flood_beside(kind: Flood, events: u32, further: &[String]) -> Outcome {
    let world = World::new().await;
    let gateway = GatewayProcess::start(&world.nats_url(), further);
    gateway.wait_ready().await;
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut client = Ws::connect(&gateway.address(), "topics=odds_updates&since=now").await;
        client.next_of(MessageType::CaughtUp).await;
        others.push(client);
    }
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let (sent, over) = (Arc::new(Sent::default()), Arc::new(AtomicBool::new(false)));
    let flooders: Vec<_> = (0..cores + 2)
        .map(|_| {
            let (sent, over, address) = (Arc::clone(&sent), Arc::clone(&over), gateway.address());
            thread::spawn(move || flood(kind, &address, &sent, &over))
        })
        .collect();
    let mut delays = Delays::default();
    for number in 0..events {
        let began = publish(&world, number).await;
        for client in &mut others {
            within("an event beside a flood", client.next_of(MessageType::OddsUpdate)).await;
            delays.took(began);
        }
    }
    over.store(true, Relaxed);
    for flooder in flooders {
        flooder.join().unwrap();
    }
    let outcome = Outcome { sent, delays };
    eprintln!(
        "flood of {kind:?} by {} clients on {cores} cores: {}; {events} events to 3 others, publishing included: \
         p50 {:?}, p99 {:?}; {} MiB",
        cores + 2,
        outcome.sent,
        outcome.delays.share(50),
        outcome.delays.share(99),
        gateway.memory() >> 20,
    );
    assert!(gateway.panics().is_empty(), "{:?}", gateway.panics());
    outcome
}

async fn is_held_back(kind: Flood) {
    let long = is_long();
    let outcome = flood_beside(kind, if long { 1_000 } else { 40 }, &[]).await;
    let most = outcome.sent.most.load(Relaxed);
    assert!(most > 0, "nobody flooded");
    assert!(most < MOST, "{kind:?}: {most} bytes of one connection were taken");
    // A machine that does something else meanwhile has other figures: in a siege it does nothing else.
    let slow = outcome.delays.share(99);
    assert!(!long || slow <= OTHERS, "{kind:?}: p99 {slow:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_texts_is_held_back_and_nobody_else_notices() {
    is_held_back(Flood::Texts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_is_held_back_and_nobody_else_notices() {
    is_held_back(Flood::Pings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_in_pieces_without_end_is_held_back_and_nobody_else_notices() {
    is_held_back(Flood::Fragments).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_towards_an_event_stream_is_held_back_and_nobody_else_notices() {
    is_held_back(Flood::Stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_requests_is_held_back_and_nobody_else_notices() {
    is_held_back(Flood::Requests).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_requests_without_a_host_is_held_back_and_nobody_else_notices() {
    is_held_back(Flood::BadRequests).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_turns_a_flood_is_taken_in_whole() {
    let outcome = flood_beside(Flood::Fragments, 40, &["--no-turns".to_owned()]).await;
    let most = outcome.sent.most.load(Relaxed);
    assert!(
        most >= MOST,
        "{most}: whoever flooded was held back: the test proves nothing"
    );
}
