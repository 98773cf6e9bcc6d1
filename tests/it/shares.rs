//! What one client takes is taken from nobody else: answers that are not read, handshakes that are none.

use crate::{
    harness::{
        Gateway, GatewayProcess, Plain, World,
        h2::{H2, HEADERS},
        odds_key, until, update, within,
    },
    tls::Certificate,
};
use oddswire_gateway::trial::Trial;
use oddswire_protocol::{Line, RunId, Timestamp};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

pub(crate) const MIB: u64 = 1 << 20;
/// What unread answers may cost, however many there are.
pub(crate) const GROWTH: u64 = 64 * MIB;
/// All of a board of some 7 MB.
pub(crate) const BOARD: &str = "/api/odds?limit=5000";
/// Its markets.
const MARKETS: usize = 250;
/// Lines of each.
const LINES: i64 = 120;

/// Publishes a large board.
pub(crate) async fn board(world: &World) {
    for number in 0..MARKETS {
        let event = format!("e{number}");
        let mut image = update(&event, "alpha", "1.85".parse().unwrap(), Timestamp::now());
        let quote = image.market.quotes[0].clone();
        image.market.quotes = (0..LINES)
            .map(|line| oddswire_protocol::odds::Quote {
                line: Some(Line::from_thousandths(line * 500).unwrap()),
                ..quote.clone()
            })
            .collect();
        let payload = serde_json::to_vec(&image).unwrap();
        let id = RunId::new().to_string();
        world
            .event(&odds_key(&event, "alpha"), &id, Vec::new(), &payload)
            .await;
    }
}

/// A connection from an address of this machine, with a small buffer.
async fn connect_from(last: u8, address: &str) -> TcpStream {
    connect_with(last, address, 2_048).await
}

pub(crate) async fn connect_with(last: u8, address: &str, buffer: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(buffer).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

/// So many clients of four addresses that ask for the board and do not read it.
pub(crate) async fn unread_boards(address: &str, clients: usize) -> Vec<TcpStream> {
    let mut unread = Vec::new();
    for number in 0..clients {
        let last = u8::try_from(2 + number % 4).unwrap();
        let mut stream = connect_from(last, address).await;
        stream.write_all(get(BOARD).as_bytes()).await.unwrap();
        unread.push(stream);
    }
    for stream in &unread {
        let answered = within("an answer to begin", stream.peek(&mut [0; 1])).await;
        assert_eq!(answered.unwrap(), 1);
    }
    unread
}

/// A connection of HTTP/2 that asks so often for a path and opens no window, and how many answers have status 200.
pub(crate) async fn closed_windows(
    address: &str,
    certificate: &Certificate,
    streams: u32,
    path: &str,
) -> (H2, usize) {
    let mut h2 = H2::connect(certificate, address, 0).await;
    for number in 0..streams {
        h2.get(number * 2 + 1, path).await;
    }
    let mut good = 0;
    for _ in 0..streams {
        let answer = h2.next_of(HEADERS).await;
        good += usize::from(answer.is_ok());
    }
    (h2, good)
}

#[tokio::test]
async fn boards_that_nobody_reads_cost_a_bounded_piece_of_memory_and_are_cut_off() {
    let world = World::new().await;
    board(&world).await;
    let process = GatewayProcess::start(&world.nats_url(), &["--patience-ms=10000".to_owned()]);
    process.wait_ready().await;
    let size = reqwest::get(format!("http://{}/api/odds?limit=5000", process.address()))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .len();
    assert!(size > 5_000_000, "{size}");
    let before = process.memory();
    let _unread = unread_boards(&process.address(), 80).await;
    let growth = process.memory().saturating_sub(before);
    println!("a board of {size} bytes, unread 80 times: {} MiB", growth / MIB);
    assert!(growth < GROWTH, "{growth}");
    // Somebody else gets the board beside them.
    let mut other = connect_from(9, &process.address()).await;
    let request = get(BOARD).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    other.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    within("the board", other.read_to_end(&mut said)).await.unwrap();
    assert!(said.len() > size);
    until("the unread answers to be cut off", async || {
        let metrics = process.metrics().await;
        metrics.contains("oddswire_gateway_connections 0\n")
            && metrics.contains("oddswire_gateway_queue_bytes 0\n")
    })
    .await;
}

/// The value of a metric without labels.
fn metric(metrics: &str, name: &str) -> u64 {
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn clients_that_join_and_do_not_read_cost_a_bounded_piece_of_memory() {
    const CLIENTS: u64 = 100;
    let world = World::new().await;
    board(&world).await;
    let process = GatewayProcess::start(&world.nats_url(), &[]);
    process.wait_ready().await;
    let before = process.memory();
    let mut unread = Vec::new();
    for number in 0..CLIENTS {
        let last = u8::try_from(2 + number % 4).unwrap();
        let mut stream = connect_from(last, &process.address()).await;
        // Nobody else has these topics, so what is read of the log for one serves no other.
        let path = format!("/api/events?since=snapshot&topics=odds_updates.soccer,odds_updates.s{number}");
        stream.write_all(get(&path).as_bytes()).await.unwrap();
        unread.push(stream);
    }
    let queue_bytes = "oddswire_gateway_queue_bytes";
    until("messages to wait for each of them", async || {
        metric(&process.metrics().await, queue_bytes) > CLIENTS * 20_000
    })
    .await;
    let growth = process.memory().saturating_sub(before);
    println!("{CLIENTS} that join and do not read: {} MiB", growth / MIB);
    assert!(growth < GROWTH, "{growth}");
    drop(unread);
    until("all of it to be given back", async || {
        metric(&process.metrics().await, queue_bytes) == 0
    })
    .await;
}

#[tokio::test]
async fn a_connection_whose_windows_stay_closed_costs_a_bounded_piece_of_memory_and_is_cut_off() {
    let world = World::new().await;
    board(&world).await;
    let certificate = Certificate::new();
    let mut flags = certificate.flags().to_vec();
    flags.push("--patience-ms=5000".to_owned());
    let process = GatewayProcess::start(&world.nats_url(), &flags);
    process.wait_ready().await;
    let before = process.memory();
    let _open = closed_windows(&process.address(), &certificate, 100, BOARD).await;
    let growth = process.memory().saturating_sub(before);
    println!("unread on 100 streams of one connection: {} MiB", growth / MIB);
    assert!(growth < GROWTH, "{growth}");
    until("the connection to be cut off", async || {
        process
            .metrics()
            .await
            .contains("oddswire_gateway_connections 0\n")
    })
    .await;
}

/// The control: made whole before they are sent, unread answers take what they like.
#[tokio::test]
async fn answers_made_whole_take_what_they_like() {
    let world = World::new().await;
    board(&world).await;
    let certificate = Certificate::new();
    let process = GatewayProcess::start(&world.nats_url(), &["--whole-answers".to_owned()]);
    process.wait_ready().await;
    let before = process.memory();
    let _unread = unread_boards(&process.address(), 30).await;
    assert!(process.memory().saturating_sub(before) > GROWTH);
    let mut flags = certificate.flags().to_vec();
    flags.push("--whole-answers".to_owned());
    let process = GatewayProcess::start(&world.nats_url(), &flags);
    process.wait_ready().await;
    let before = process.memory();
    let _open = closed_windows(&process.address(), &certificate, 25, BOARD).await;
    assert!(process.memory().saturating_sub(before) > GROWTH);
}

/// What a flood of requests for streams that are none is answered with.
async fn flood(gateway: &Gateway) -> Vec<u16> {
    const REQUESTS: usize = 1_500;
    let mut plain = Plain::connect(&gateway.address).await;
    let (mut read, mut write) = plain.stream.split();
    let mut statuses = Vec::new();
    while statuses.len() < REQUESTS {
        let all = get("/api/ws").repeat(50);
        write.write_all(all.as_bytes()).await.unwrap();
        let mut said = String::new();
        let mut bytes = vec![0; 16 * 1024];
        while said.matches("HTTP/1.1 ").count() < 50 || !said.ends_with('}') {
            let count = within("answers", read.read(&mut bytes)).await.unwrap();
            if count == 0 {
                break;
            }
            said.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        let heads = said.split("HTTP/1.1 ").skip(1);
        statuses.extend(heads.map(|head| head[..3].parse::<u16>().unwrap()));
        if said.contains("connection: close") {
            break;
        }
    }
    statuses
}

fn few_handshakes(trial: Trial) -> impl AsyncFn(&World) -> Gateway {
    async move |world| {
        Gateway::start_on_trial(&world.nats_url(), trial, |options| {
            options.limits.handshakes_per_s = 1;
        })
        .await
    }
}

#[tokio::test]
async fn a_flood_of_bad_handshakes_takes_no_stream_from_another_address() {
    let world = World::new().await;
    let gateway = few_handshakes(Trial::default())(&world).await;
    let statuses = flood(&gateway).await;
    assert!(statuses.len() > 900, "{}", statuses.len());
    assert!(
        statuses.iter().all(|status| matches!(status, 400 | 429)),
        "{statuses:?}"
    );
    let mut other = connect_from(9, &gateway.address).await;
    other.write_all(get("/api/events").as_bytes()).await.unwrap();
    let mut said = [0; 12];
    within("a stream", other.read_exact(&mut said)).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 200");
}

/// The control: counted before anybody looks, bad handshakes spend what all share.
#[tokio::test]
async fn counted_for_all_and_unseen_bad_handshakes_spend_what_all_share() {
    let world = World::new().await;
    let trial = Trial {
        no_shares: true,
        ..Trial::default()
    };
    let gateway = few_handshakes(trial)(&world).await;
    let statuses = flood(&gateway).await;
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!(refused > statuses.len() / 2, "{statuses:?}");
}

/// A client that reads slowly, and always something.
#[tokio::test]
async fn a_board_that_is_read_slowly_comes_whole() {
    const PATIENCE_MS: u64 = 1_000;
    let world = World::new().await;
    board(&world).await;
    let gateway = world
        .gateway_with(|options| options.patience_ms = PATIENCE_MS)
        .await;
    let mut slow = connect_with(2, &gateway.address, 64 * 1024).await;
    let request = get(BOARD).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = within("the board", slow.read(&mut bytes)).await.unwrap();
        if count == 0 {
            break;
        }
        said.extend_from_slice(&bytes[..count]);
        // As long in all as several patiences, and a small part of one at a time.
        let pause = Duration::from_millis(PATIENCE_MS / 50);
        let _ = timeout(pause, std::future::pending::<()>()).await;
    }
    assert!(
        said.ends_with(b"0\r\n\r\n"),
        "the end is missing after {} bytes",
        said.len()
    );
}
