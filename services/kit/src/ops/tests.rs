use super::*;
use std::{net::SocketAddr, time::Duration};
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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ops = Ops::new(Health::new(), Registry::default());
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
async fn a_head_that_does_not_come_and_an_answer_that_is_not_taken_have_their_time() {
    let port = port(Limits {
        head: Duration::from_millis(50),
        whole: Duration::from_millis(100),
        ..FEW
    })
    .await;
    let silent = TcpStream::connect(port.address).await.unwrap();
    let halves = [port.half().await, silent];
    until("both to be cut off", || open(&halves) == 0).await;
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
