//! Clients that read slowly and all the time: they are slow, and not dead. `cargo xtask slow` has them go on for as long
//! as you like, with the patience that gateways have.

mod link;
mod throttle;

use crate::{
    harness::{Gateway, World},
    tls::Certificate,
};
use futures_util::StreamExt;
use link::Link;
use oddswire_gateway::trial::Trial;
use std::time::Duration;
use throttle::Throttle;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, sleep, timeout_at},
};
use tokio_tungstenite::{client_async, tungstenite::Message};

/// Between two events.
const PAUSE: Duration = Duration::from_millis(200);

/// How one of them reads.
#[derive(Debug, Clone, Copy)]
struct Reader {
    target: &'static str,
    bytes_per_s: usize,
    /// Its receive buffer; none: as the kernel likes it.
    receive_bytes: Option<usize>,
}

const fn events(bytes_per_s: usize, receive_bytes: Option<usize>) -> Reader {
    Reader {
        target: "/api/events?since=now",
        bytes_per_s,
        receive_bytes,
    }
}

/// A WebSocket, whose client answers each ping when it has read what came before it.
const fn socket(bytes_per_s: usize, receive_bytes: Option<usize>) -> Reader {
    Reader {
        target: WEBSOCKET,
        ..events(bytes_per_s, receive_bytes)
    }
}

const WEBSOCKET: &str = "/api/ws?since=now";

/// Those of the long form.
const LONG: [Reader; 10] = [
    events(3_000, None),
    events(3_000, Some(4_096)),
    events(3_000, Some(32_768)),
    events(10_000, Some(4_096)),
    events(10_000, Some(32_768)),
    events(30_000, None),
    events(30_000, Some(4_096)),
    events(30_000, Some(32_768)),
    socket(3_000, Some(32_768)),
    socket(10_000, Some(4_096)),
];
/// Those whose windows open by little and often, so that a short patience is enough for them, and one that reads an
/// answer of which it gets a part in the time.
const SHORT: [Reader; 5] = [
    events(10_000, Some(4_096)),
    events(30_000, Some(4_096)),
    events(30_000, Some(8_192)),
    socket(10_000, Some(4_096)),
    Reader {
        target: "/api/odds?limit=1000",
        bytes_per_s: 30_000,
        receive_bytes: Some(4_096),
    },
];

/// One whose pings wait behind what it reads.
const PINGED: [Reader; 1] = [socket(10_000, Some(4_096))];

/// How long, and with what patience.
#[derive(Debug, Clone, Copy)]
struct Plan {
    readers: &'static [Reader],
    /// Events that are published; then there is silence.
    events: u64,
    time: Duration,
    patience_ms: u64,
}

impl Plan {
    fn of_environment() -> Self {
        let asked = oddswire_kit::env::lookup("ODDSWIRE_CHAOS_SECONDS");
        match asked.and_then(|text| text.parse().ok()) {
            Some(seconds) => Self {
                readers: &LONG,
                events: u64::MAX,
                time: Duration::from_secs(seconds),
                patience_ms: 60_000,
            },
            None => Self {
                readers: &SHORT,
                events: u64::MAX,
                time: Duration::from_secs(20),
                patience_ms: 4_000,
            },
        }
    }
}

impl Reader {
    /// Reads until it is cut off, or until the end; tells how it went.
    async fn read(
        self,
        stream: Throttle,
        tls: Option<&Certificate>,
        until: Instant,
    ) -> Result<String, String> {
        let (began, taken) = (Instant::now(), stream.taken());
        let end = match tls {
            Some(tls) => {
                let stream = tls.connect_over(stream, b"http/1.1").await.unwrap();
                self.read_from(stream, until).await
            }
            None => self.read_from(stream, until).await,
        };
        let how = end.as_deref().unwrap_or("open");
        let taken = taken.lock().unwrap();
        let told = format!("{self:?}: {how} after {:.0?} and {taken}", began.elapsed());
        if end.is_none() { Ok(told) } else { Err(told) }
    }

    /// Reads on; tells how that ended before the time.
    async fn read_from(
        self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        until: Instant,
    ) -> Option<String> {
        if self.target == WEBSOCKET {
            let url = format!("ws://localhost{WEBSOCKET}");
            let (mut socket, _) = client_async(url, stream).await.unwrap();
            while let Ok(message) = timeout_at(until, socket.next()).await {
                if !matches!(message, Some(Ok(Message::Text(_) | Message::Ping(_)))) {
                    return Some(format!("{message:?}"));
                }
            }
            return None;
        }
        let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", self.target);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = [0; 4_096];
        while let Ok(read) = timeout_at(until, stream.read(&mut bytes)).await {
            match read {
                Ok(0) => return Some("end of stream".to_owned()),
                Ok(_) => {}
                Err(error) => return Some(error.to_string()),
            }
        }
        None
    }
}

/// Has clients read over a link, with TLS or without; tells which of them were cut off.
#[expect(clippy::print_stderr, reason = "the figures of a long run are its result")]
async fn read_over(link: Link, plan: Plan, trial: Trial, tls: Option<Certificate>) -> Vec<String> {
    let world = World::new().await;
    let listener = link.listener.try_clone().unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let gateway = Gateway::start_at(listener, &world.nats_url(), trial, |options| {
        options.patience_ms = plan.patience_ms;
        options.ring_bytes = 32 << 20;
        // Soon more waits for each of them than a shard has patience with.
        options.client_bytes = 64 << 10;
        if let Some(tls) = &tls {
            tls.put_in(options);
        }
    })
    .await;
    // What is asked for over HTTP is there before, and longer than what is read of it.
    for number in 0..30 {
        world.big_odds_event(&format!("board-{number}"), number).await;
    }
    let until = Instant::now() + plan.time;
    let reading = futures_util::future::join_all(plan.readers.iter().map(|reader| {
        let stream = Throttle::new(link.connect(reader.receive_bytes), reader.bytes_per_s);
        reader.read(stream, tls.as_ref(), until)
    }));
    let publishing = async {
        for number in 0..plan.events {
            world.big_odds_event(&format!("e{}", number % 4), number).await;
            sleep(PAUSE).await;
        }
        std::future::pending().await
    };
    let told = tokio::select! {
        told = reading => told,
        never = publishing => never,
    };
    drop(gateway);
    let mut cut = Vec::new();
    for told in told {
        match told {
            Ok(told) => eprintln!("{told}"),
            Err(told) => {
                eprintln!("{told}");
                cut.push(told);
            }
        }
    }
    cut
}

#[tokio::test]
async fn who_reads_slowly_and_all_the_time_is_not_cut_off() {
    let cut = read_over(Link::loopback(), Plan::of_environment(), Trial::default(), None).await;
    assert!(cut.is_empty(), "{cut:#?}");
}

#[tokio::test]
async fn who_reads_slowly_and_all_the_time_over_tls_is_not_cut_off() {
    let (plan, tls) = (Plan::of_environment(), Certificate::new());
    let cut = read_over(Link::loopback(), plan, Trial::default(), Some(tls)).await;
    assert!(cut.is_empty(), "{cut:#?}");
}

/// What is sent behind that fits into the buffers on the way, and the pings wait behind it.
#[tokio::test]
async fn a_websocket_over_tls_that_reads_what_its_pings_wait_behind_is_not_closed() {
    let plan = Plan {
        readers: &PINGED,
        events: 7,
        ..Plan::of_environment()
    };
    let cut = read_over(Link::loopback(), plan, Trial::default(), Some(Certificate::new())).await;
    assert!(cut.is_empty(), "{cut:#?}");
}

#[tokio::test]
async fn who_reads_slowly_over_a_slow_link_is_not_cut_off() {
    let link = match Link::between_namespaces() {
        Ok(link) => link,
        Err(why) => {
            eprintln!("skipped: who_reads_slowly_over_a_slow_link_is_not_cut_off: {why}");
            return;
        }
    };
    let cut = read_over(link, Plan::of_environment(), Trial::default(), None).await;
    assert!(cut.is_empty(), "{cut:#?}");
}

#[tokio::test]
async fn control_the_kernel_by_itself_cuts_off_who_reads_slowly() {
    let trial = Trial {
        user_timeout: true,
        ..Trial::default()
    };
    let cut = read_over(Link::loopback(), Plan::of_environment(), trial, None).await;
    assert!(!cut.is_empty(), "nobody was cut off: the test proves nothing");
}
