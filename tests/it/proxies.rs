//! Behind the balancers that `deploy/` configures: nginx, HAProxy and Caddy themselves, from `PATH`.
//!
//! Only what must differ in a test is changed in the files: addresses, and how long silence may last.

use crate::harness::{Answer, Connection, Gateway, Plain, Quote, Transport, World, until, within};
use oddswire_kit::{child, ports};
use oddswire_protocol::{
    Cursor, RunId,
    envelope::{MessageType, Received},
    progress::{ScrapeProgress, Status},
    server::Verdict,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    net::TcpSocket,
    process::{Child, Command},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Nginx,
    Haproxy,
    Caddy,
}

/// Two gateways behind a balancer.
struct Site {
    gateways: Vec<Gateway>,
    balancer: Child,
    address: String,
    _folder: TempDir,
}

fn deployed(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    std::fs::read_to_string(file).unwrap()
}

/// Replaces what must be there.
fn replace(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the file");
        text.replace(from, to)
    })
}

impl Program {
    /// Its file for these gateways, and the command that runs it.
    fn prepare(self, folder: &Path, port: u16, gateways: &[Gateway]) -> Command {
        let address = format!("127.0.0.1:{port}");
        let (first, second) = (gateways[0].address.as_str(), gateways[1].address.as_str());
        let place = folder.to_str().unwrap();
        let (file, text, program, arguments) = match self {
            Self::Nginx => {
                let listen = format!("listen {address};");
                let scratch = format!("http {{ client_body_temp_path {place}; proxy_temp_path {place};");
                let text = replace(
                    &deployed("nginx.conf"),
                    &[
                        ("listen 80;", &listen),
                        ("127.0.0.1:8080", first),
                        ("127.0.0.1:8090", second),
                        ("timeout 75s", "timeout 2s"),
                        ("http {", &scratch),
                    ],
                );
                let how = format!("daemon off; pid {place}/pid; error_log stderr crit;");
                let arguments = ["-p", place, "-g", &how, "-c"].map(str::to_owned);
                ("nginx.conf", text, "nginx", arguments.to_vec())
            }
            Self::Haproxy => {
                let servers = gateways.iter().enumerate().map(|(n, gateway)| {
                    let ops = gateway.ops.rsplit(':').next().unwrap();
                    format!("server g{n} {} port {ops}\n    ", gateway.address)
                });
                let text = replace(
                    &deployed("haproxy.cfg"),
                    &[
                        ("bind :8080", &format!("bind {address}")),
                        (
                            "bind 127.0.0.1:8404",
                            &format!("bind 127.0.0.1:{}", ports::free(1).unwrap()),
                        ),
                        (
                            "server-template gateway- 20 gateway:8080",
                            &servers.collect::<String>(),
                        ),
                        ("check port 8081 inter 2s", "check inter 100ms"),
                        ("resolvers docker resolve-prefer ipv4 init-addr none", ""),
                        ("75s", "2s"),
                    ],
                );
                (
                    "haproxy.cfg",
                    text,
                    "haproxy",
                    ["-db", "-q", "-f"].map(str::to_owned).to_vec(),
                )
            }
            Self::Caddy => {
                let site = format!("http://{address} {{\n\tbind 127.0.0.1");
                let text = replace(
                    &deployed("Caddyfile"),
                    &[
                        ("http://odds.example.org {", &site),
                        ("127.0.0.1:8080", first),
                        ("127.0.0.1:8090", second),
                    ],
                );
                let arguments = ["run", "--adapter", "caddyfile", "--config"].map(str::to_owned);
                ("Caddyfile", text, "caddy", arguments.to_vec())
            }
        };
        let file = folder.join(file);
        std::fs::write(&file, text).unwrap();
        run(program, arguments, &file, folder)
    }
}

fn run(program: &str, arguments: Vec<String>, file: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(file)
        .env("HOME", folder)
        .env("XDG_DATA_HOME", folder)
        .env("XDG_CONFIG_HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    command
}

impl Site {
    async fn new(world: &World, program: Program) -> Self {
        let mut gateways = Vec::new();
        for _ in 0..2 {
            let gateway = world
                .gateway_with(|options| {
                    // The clients of these tests are in it: who is in the network of a proxy is no proxy yet.
                    options.front.trust_proxy = vec!["127.0.0.0/8".parse().unwrap()];
                    options.limits.requests_per_s = 1;
                    options.drain_delay_ms = 500;
                })
                .await;
            gateway.wait_ready().await;
            gateways.push(gateway);
        }
        let folder = tempfile::tempdir().unwrap();
        let port = ports::free(1).unwrap();
        let balancer = program
            .prepare(folder.path(), port, &gateways)
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?}, which `cargo xtask test` installs: {error}"));
        let site = Self {
            gateways,
            balancer,
            address: format!("127.0.0.1:{port}"),
            _folder: folder,
        };
        until("the balancer to serve", async || {
            let url = format!("http://{}/api/scrapes", site.address);
            reqwest::get(url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        site
    }

    /// The status for a client at another address of this machine.
    async fn ask_from(&self, host: Ipv4Addr, claim: &str) -> u16 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((host, 0))).unwrap();
        let stream = socket.connect(self.address.parse().unwrap()).await.unwrap();
        let mut plain = Plain { stream };
        plain
            .send(&format!(
                "GET /api/scrapes HTTP/1.1\r\nhost: {}\r\nx-forwarded-for: {claim}\r\nconnection: close\r\n\r\n",
                self.address
            ))
            .await;
        Answer::parse(&plain.rest().await).status
    }

    async fn open(&self, transport: Transport, since: &str) -> Connection {
        Connection::open(transport, &self.address, "scrape_progress,odds_updates", since).await
    }

    async fn stop(mut self) {
        child::stop(&mut self.balancer, Duration::from_secs(10)).await;
    }
}

/// Events come when they are published, and a stream that is silent but for heartbeats lives.
async fn passes_on_at_once(world: &World, site: &Site) {
    for (transport, event) in Transport::BOTH.into_iter().zip(["e1", "e2"]) {
        let mut client = site.open(transport, "now").await;
        let cursor = client.joined().await.caught_up.cursor;
        // Twice as long as silence may last here.
        for _ in 0..4 {
            client.next_of(MessageType::Heartbeat).await;
        }
        let quote = |price| Quote {
            event,
            source: "alpha",
            price,
        };
        world.odds_event(&quote("1.85")).await;
        let mut heartbeats = 0;
        loop {
            let (message, _) = client.next().await;
            match message.message_type {
                MessageType::OddsUpdate => break,
                _ => heartbeats += 1,
            }
            // In a buffer it would wait for a few KiB of them.
            assert!(heartbeats < 4, "{transport:?}: held back");
        }
        drop(client);
        // Whichever gateway it is now: it continues.
        let resumed = site.open(transport, &cursor.to_string()).await.joined().await;
        assert_eq!(resumed.resume.verdict, Verdict::Replayed);
        assert_eq!(resumed.events.len(), 1, "{transport:?}");
    }
}

/// A page of a foreign name that leads to the balancer starts nothing, whatever it says besides.
async fn is_called_by_its_names(site: &Site, program: Program) {
    // Caddy serves the names of its file, and answers others itself: with nothing.
    let expected = if program == Program::Caddy { 200 } else { 403 };
    for more in [
        "accept: */*",
        "x-forwarded-host: localhost",
        "forwarded: host=localhost",
    ] {
        let headers = [
            "host: evil.example:8080",
            "origin: http://evil.example:8080",
            more,
        ];
        let answer = Plain::request(&site.address, "POST /api/scrapes", &headers).await;
        assert_eq!(answer.status, expected, "{program:?}, {more}: {answer:?}");
    }
}

/// The address of a client arrives, whatever it claims: claims neither get around its limit nor use up another's.
async fn tells_clients_apart(site: &Site) {
    let (greedy, other) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let claims: Vec<String> = (1..=250).map(|n| format!("192.0.2.{n}")).collect();
    let mut limited = None;
    for claim in &claims {
        if site.ask_from(greedy, claim).await == 429 {
            limited = Some(claim);
            break;
        }
    }
    let limited = limited.expect("a limit of one address, which has another claim each time");
    assert_eq!(site.ask_from(other, limited).await, 200);
}

/// A client that comes back by its cursor whenever it is closed, until it has all.
async fn follow(site: &Site, transport: Transport, start: Cursor, all: u64) -> Vec<u64> {
    let (mut seen, mut cursor) = (Vec::new(), start);
    while seen.last() != Some(&all) {
        let since = cursor.to_string();
        let opened = Connection::try_open(transport, &site.address, "scrape_progress", &since).await;
        let Some(mut client) = opened else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        while let Some((message, at)) = client.try_next().await {
            cursor = at.unwrap_or(cursor);
            if message.message_type == MessageType::ScrapeProgress {
                seen.push(seq(&message));
            }
            if seen.last() == Some(&all) {
                break;
            }
        }
    }
    seen
}

fn seq(message: &Received) -> u64 {
    message.data::<ScrapeProgress>().unwrap().seq
}

/// One of two gateways stops: its clients go on with the other.
async fn loses_nothing_while_one_drains(world: &World, site: &Site) {
    const ALL: u64 = 40;
    let start = site
        .open(Transport::Ws, "now")
        .await
        .joined()
        .await
        .caught_up
        .cursor;
    let run = RunId::new();
    let clients: Vec<_> = (0..6)
        .map(|n| follow(site, Transport::BOTH[n % 2], start, ALL))
        .collect();
    let publish = async {
        for seq in 1..=ALL {
            if seq == ALL / 4 {
                site.gateways[0].ask_to_stop();
            }
            world.run_event("alpha", &run, seq, Status::Running).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let followed = async { tokio::join!(futures_util::future::join_all(clients), publish).0 };
    let followed = within("everything", followed).await;
    for seen in followed {
        assert_eq!(seen, (1..=ALL).collect::<Vec<_>>());
    }
}

async fn serves(program: Program) {
    let world = World::new().await;
    let site = Site::new(&world, program).await;
    passes_on_at_once(&world, &site).await;
    is_called_by_its_names(&site, program).await;
    tells_clients_apart(&site).await;
    loses_nothing_while_one_drains(&world, &site).await;
    site.stop().await;
}

#[tokio::test]
async fn clients_behind_nginx_lose_nothing() {
    serves(Program::Nginx).await;
}

#[tokio::test]
async fn clients_behind_haproxy_lose_nothing() {
    serves(Program::Haproxy).await;
}

#[tokio::test]
async fn clients_behind_caddy_lose_nothing() {
    serves(Program::Caddy).await;
}
