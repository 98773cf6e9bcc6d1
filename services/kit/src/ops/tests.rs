use super::*;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::repeat_with;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Connections that ask half a question.
const HALF: usize = 3 * CONNECTIONS_MAX;

struct Port {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinSet<()>,
}

async fn port(limits: Limits) -> Port {
    port_of(limits, Ops::new(Health::new(), Registry::default())).await
}

async fn port_of(limits: Limits, ops: Ops) -> Port {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    serving.spawn(serve_within(limits, listener, ops, stop.clone()));
    Port {
        address,
        stop,
        serving,
    }
}

impl Port {
    async fn half(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(b"GET /li").await.unwrap();
        stream
    }

    async fn ask(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        said
    }
}

/// How many the other side has not hung up on.
fn open(streams: &[TcpStream]) -> usize {
    let is_open = |stream: &&TcpStream| {
        let read = stream.try_read(&mut [0; 1]);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    streams.iter().filter(is_open).count()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let held = timeout(Duration::from_secs(30), async {
        while !holds() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(held.await.is_ok(), "waited too long for {what}");
}

/// Limits of which only the number counts.
const FEW: Limits = Limits {
    head: Duration::from_secs(600),
    whole: Duration::from_secs(600),
    ..Limits::PORT
};

#[tokio::test]
async fn half_requests_take_few_connections_and_a_probe_is_answered_beside_them() {
    let port = port(FEW).await;
    let mut halves = Vec::new();
    for _ in 0..HALF {
        halves.push(port.half().await);
        if halves.len() % CONNECTIONS_MAX == 0 {
            assert!(port.ask("/livez").await.ends_with("\r\n\r\nok\n"));
        }
    }
    assert!(port.ask("/readyz").await.starts_with("HTTP/1.1 200"));
    until("the others to be cut off", || open(&halves) <= CONNECTIONS_MAX).await;
}

/// The control: without a limit all of them stay.
#[tokio::test]
async fn without_a_limit_every_half_request_stays() {
    let port = port(Limits {
        connections: usize::MAX,
        ..FEW
    })
    .await;
    let mut halves = Vec::new();
    for _ in 0..HALF {
        halves.push(port.half().await);
    }
    assert!(port.ask("/livez").await.starts_with("HTTP/1.1 200"));
    assert_eq!(open(&halves), HALF);
}

#[tokio::test]
async fn a_head_that_does_not_come_has_its_time() {
    let port = port(Limits {
        head: Duration::from_millis(50),
        ..FEW
    })
    .await;
    let silent = TcpStream::connect(port.address).await.unwrap();
    let halves = [port.half().await, silent];
    until("both to be cut off", || open(&halves) == 0).await;
}

/// What an answer holds while it is made.
struct Made(Arc<AtomicUsize>);

impl Drop for Made {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_taken_has_its_time() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let endless = move || {
        let made = Made(Arc::clone(&count));
        let pieces = repeat_with(move || {
            let _made = &made;
            Ok::<_, Infallible>(Bytes::from(vec![0; 64 << 10]))
        });
        std::future::ready(Body::from_stream(pieces))
    };
    let ops = Ops::new(Health::new(), Registry::default());
    let limits = Limits {
        whole: Duration::from_millis(500),
        ..FEW
    };
    let port = port_of(limits, ops.with(Router::new().route("/endless", get(endless)))).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let request = b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    // The answer has begun, and nothing more of it is taken.
    stream.read_exact(&mut [0; 15]).await.unwrap();
    until("the answer to end", || ended.load(Relaxed) == 1).await;
}

#[tokio::test]
async fn a_connection_is_one_request_and_the_port_stops_beside_half_a_request() {
    let mut port = port(FEW).await;
    let said = port.ask("/livez").await.to_ascii_lowercase();
    assert!(said.contains("connection: close"), "{said}");
    let _half = port.half().await;
    port.stop.cancel();
    let stopped = timeout(Duration::from_secs(30), port.serving.join_next());
    assert!(stopped.await.is_ok());
}
