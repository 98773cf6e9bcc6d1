//! Clients that read slowly and all the time: they are slow, and not dead. `cargo xtask slow` has them go on for as long
//! as you like, with the patience that gateways have.

mod link;

use crate::harness::{Gateway, World};
use link::Link;
use oddswire_gateway::trial::Trial;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

/// Between two reads of one of them.
const PAUSE: Duration = Duration::from_millis(100);

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

/// Those of the long form.
const LONG: [Reader; 8] = [
    events(3_000, None),
    events(3_000, Some(4_096)),
    events(3_000, Some(32_768)),
    events(10_000, Some(4_096)),
    events(10_000, Some(32_768)),
    events(30_000, None),
    events(30_000, Some(4_096)),
    events(30_000, Some(32_768)),
];
/// Those whose windows open by little and often, so that a short patience is enough for them, and one that reads an
/// answer of which it gets a part in the time.
const SHORT: [Reader; 4] = [
    events(10_000, Some(4_096)),
    events(30_000, Some(4_096)),
    events(30_000, Some(8_192)),
    Reader {
        target: "/api/odds?limit=1000",
        bytes_per_s: 30_000,
        receive_bytes: Some(4_096),
    },
];

/// How long, and with what patience.
#[derive(Debug, Clone, Copy)]
struct Plan {
    readers: &'static [Reader],
    time: Duration,
    patience_ms: u64,
}

impl Plan {
    fn of_environment() -> Self {
        let asked = oddswire_kit::env::lookup("ODDSWIRE_CHAOS_SECONDS");
        match asked.and_then(|text| text.parse().ok()) {
            Some(seconds) => Self {
                readers: &LONG,
                time: Duration::from_secs(seconds),
                patience_ms: 60_000,
            },
            None => Self {
                readers: &SHORT,
                time: Duration::from_secs(15),
                patience_ms: 4_000,
            },
        }
    }
}

impl Reader {
    /// Reads until it is cut off, or until the end; tells how it went.
    async fn read(self, stream: std::net::TcpStream, until: Instant) -> Result<String, String> {
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream).unwrap();
        let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", self.target);
        stream.write_all(request.as_bytes()).await.unwrap();
        let began = Instant::now();
        let (mut total, mut last, mut pause) = (0, Instant::now(), Duration::ZERO);
        let mut bytes = vec![0; self.bytes_per_s / 10];
        while Instant::now() < until {
            sleep(PAUSE).await;
            // What it does not get in time is asked for again.
            let Ok(read) = timeout(PAUSE * 10, stream.read(&mut bytes)).await else {
                continue;
            };
            let told = |how: &str| {
                format!(
                    "{self:?}: {how} after {:.0?} and {total} bytes; longest time without a byte {pause:.1?}",
                    began.elapsed()
                )
            };
            match read {
                Ok(0) => return Err(told("end of stream")),
                Ok(count) => {
                    total += count;
                    pause = pause.max(last.elapsed());
                    last = Instant::now();
                }
                Err(error) => return Err(told(&error.to_string())),
            }
        }
        Ok(format!(
            "{self:?}: open after {:.0?} and {total} bytes; longest time without a byte {pause:.1?}",
            began.elapsed()
        ))
    }
}

/// Has clients read over a link; tells which of them were cut off.
#[expect(clippy::print_stderr, reason = "the figures of a long run are its result")]
async fn read_over(link: Link, plan: Plan, trial: Trial) -> Vec<String> {
    let world = World::new().await;
    let listener = link.listener.try_clone().unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let gateway = Gateway::start_at(listener, &world.nats_url(), trial, |options| {
        options.patience_ms = plan.patience_ms;
        options.ring_bytes = 32 << 20;
    })
    .await;
    // What is asked for over HTTP is there before, and longer than what is read of it.
    for number in 0..30 {
        world.big_odds_event(&format!("board-{number}"), number).await;
    }
    let until = Instant::now() + plan.time;
    let reading = futures_util::future::join_all(plan.readers.iter().map(|reader| {
        let stream = link.connect(reader.receive_bytes);
        reader.read(stream, until)
    }));
    let publishing = async {
        for number in 0.. {
            world.big_odds_event(&format!("e{}", number % 4), number).await;
            sleep(PAUSE * 2).await;
        }
    };
    let told = tokio::select! {
        told = reading => told,
        () = publishing => unreachable!("it goes on for ever"),
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
    let cut = read_over(Link::loopback(), Plan::of_environment(), Trial::default()).await;
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
    let cut = read_over(link, Plan::of_environment(), Trial::default()).await;
    assert!(cut.is_empty(), "{cut:#?}");
}

#[tokio::test]
async fn control_the_kernel_by_itself_cuts_off_who_reads_slowly() {
    let trial = Trial {
        user_timeout: true,
        ..Trial::default()
    };
    let cut = read_over(Link::loopback(), Plan::of_environment(), trial).await;
    assert!(!cut.is_empty(), "nobody was cut off: the test proves nothing");
}
