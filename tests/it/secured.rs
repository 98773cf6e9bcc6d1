//! A bus that knows its users: what each role may not do is refused by the server, and what goes wrong is told.

mod red_team;

use crate::harness::{Connection, Gateway, Transport, World, secured, until, within};
use async_nats::{Client, ConnectOptions, Event, ServerError};
use oddswire_kit::{
    bus::{Bus, BusOptions},
    nats_server::NatsServer,
    probe::Probe,
    provision::{Error, provision},
    roles::{Role, Separation},
    tls,
};
use oddswire_protocol::{
    RunId,
    progress::{ScrapeProgress, Status},
    stream::{Sizing, jobs_consumer, streams},
};
use std::fs;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// A client of a role, without anything of the product in it.
pub(crate) async fn raw_client(world: &World, role: Role) -> Client {
    let seed = fs::read_to_string(world.options_of(role).security.nats_nkey_file.unwrap()).unwrap();
    ConnectOptions::with_nkey(seed)
        .custom_inbox_prefix(format!("_INBOX_{}", role.name()))
        .connect(world.nats_url())
        .await
        .unwrap()
}

/// A client of a role that does what the product never would.
struct Intruder {
    client: Client,
    refused: mpsc::Receiver<String>,
}

impl Intruder {
    async fn new(world: &World, role: Role) -> Self {
        let seed = fs::read_to_string(world.options_of(role).security.nats_nkey_file.unwrap()).unwrap();
        let (sender, refused) = mpsc::channel(64);
        let client = ConnectOptions::with_nkey(seed)
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(text)) = event {
                    sender.try_send(text).unwrap();
                }
                std::future::ready(())
            })
            .connect(world.nats_url())
            .await
            .unwrap();
        Self { client, refused }
    }

    /// The server's own word on it. A second operation, which everyone is refused, ends the wait where the first went
    /// through.
    async fn is_refused(&mut self, operation: &str, subject: &str) -> bool {
        if operation == "sub" {
            // Kept until the answer, or it would be unsubscribed.
            let _kept = self.client.subscribe(subject.to_owned()).await.unwrap();
            return self.says(subject).await;
        }
        self.client
            .publish(subject.to_owned(), "{}".into())
            .await
            .unwrap();
        self.says(subject).await
    }

    async fn says(&mut self, subject: &str) -> bool {
        self.client.publish("nobody.may", "".into()).await.unwrap();
        self.client.flush().await.unwrap();
        let mut found = false;
        loop {
            let text = within("the server's word", self.refused.recv()).await.unwrap();
            if text.contains("nobody.may") {
                return found;
            }
            // The server names the subject that a message leaves under.
            found |= text.contains(&format!("\"{subject}\"")) || text.contains(&format!(".{subject}\""));
        }
    }
}

const FORBIDDEN: &[(Role, &str, &str)] = &[
    (Role::Gateway, "pub", "oddswire.feed.odds.quote.x"),
    (Role::Gateway, "pub", "oddswire.live.odds.quote.x"),
    (Role::Gateway, "pub", "oddswire.live.run.a.b"),
    (Role::Gateway, "pub", "$JS.API.STREAM.PURGE.RUNS"),
    (Role::Gateway, "pub", "$JS.API.STREAM.PURGE.JOBS"),
    (Role::Gateway, "pub", "$JS.API.STREAM.DELETE.ODDS"),
    (Role::Gateway, "pub", "$JS.API.STREAM.MSG.DELETE.KV_CONTROL"),
    (Role::Gateway, "pub", "$JS.API.CONSUMER.CREATE.RUNS"),
    (Role::Gateway, "pub", "$JS.API.CONSUMER.MSG.NEXT.JOBS.scrape"),
    (Role::Gateway, "pub", "$KV.CONTROL.worker.x"),
    (Role::Gateway, "pub", "$KV.CONTROL.source.x"),
    (Role::Gateway, "pub", "$KV.GATEWAY.worker.x"),
    (Role::Gateway, "pub", "$ODDSWIRE.JS.API.STREAM.PURGE.JOBS"),
    (Role::Gateway, "sub", "_INBOX_scraper.>"),
    (Role::Gateway, "sub", "oddswire.feed.>"),
    (Role::Gateway, "sub", "$KV.>"),
    (Role::Gateway, "sub", ">"),
    (Role::Scraper, "pub", "$JS.API.STREAM.DELETE.RUNS"),
    (Role::Scraper, "pub", "$JS.API.STREAM.CREATE.MINE"),
    (Role::Scraper, "pub", "$JS.API.STREAM.UPDATE.RUNS"),
    (Role::Scraper, "pub", "$JS.API.STREAM.PURGE.ODDS"),
    (Role::Scraper, "pub", "$JS.API.STREAM.MSG.DELETE.ODDS"),
    (Role::Scraper, "pub", "$JS.API.CONSUMER.CREATE.JOBS.mine"),
    (Role::Scraper, "pub", "$JS.API.CONSUMER.DELETE.JOBS.scrape"),
    (Role::Scraper, "pub", "oddswire.live.odds.quote.x"),
    (Role::Scraper, "pub", "$KV.GATEWAY.ticket.x"),
    (Role::Scraper, "pub", "$KV.GATEWAY.cancel.x"),
    (Role::Scraper, "pub", "_INBOX_gateway.x"),
    (Role::Scraper, "sub", "_INBOX_gateway.>"),
    (Role::Scraper, "sub", "oddswire.jobs.>"),
    (Role::Reader, "pub", "oddswire.feed.run.a.b"),
    (Role::Reader, "pub", "oddswire.jobs.scrape.x"),
    (Role::Reader, "pub", "oddswire.ctl.run.x"),
    (Role::Reader, "pub", "$KV.GATEWAY.cancel.x"),
    (Role::Reader, "pub", "$JS.API.CONSUMER.CREATE.ODDS"),
    (Role::Reader, "pub", "$JS.API.DIRECT.GET.KV_CONTROL"),
    (Role::Reader, "pub", "$JS.API.STREAM.MSG.DELETE.JOBS"),
    (Role::Reader, "sub", "_INBOX_gateway.>"),
    (Role::Provision, "pub", "$JS.API.STREAM.DELETE.RUNS"),
    (Role::Provision, "pub", "$JS.API.STREAM.PURGE.RUNS"),
    (Role::Provision, "pub", "oddswire.feed.odds.quote.x"),
    (Role::Provision, "sub", "oddswire.live.>"),
    (Role::Operator, "pub", "oddswire.feed.odds.quote.x"),
    (Role::Operator, "sub", "_INBOX_gateway.>"),
];

#[tokio::test]
async fn the_server_refuses_each_role_what_is_not_its_own() {
    let world = World::secured().await;
    let mut let_through = Vec::new();
    for role in Role::ALL {
        let mut intruder = Intruder::new(&world, role).await;
        for (_, operation, subject) in FORBIDDEN.iter().filter(|(of, ..)| *of == role) {
            if !intruder.is_refused(operation, subject).await {
                let_through.push((role, operation, subject));
            }
        }
    }
    assert!(let_through.is_empty(), "{let_through:#?}");
}

#[tokio::test]
async fn a_user_that_the_server_does_not_know_is_told_what_to_check() {
    let world = World::secured().await;
    let stranger = Bus::connect(&BusOptions::at(&world.nats_url()), "x", "x")
        .await
        .unwrap();
    let why = stranger.why_not_connected().await.unwrap();
    assert!(why.contains("nkey seed"), "{why}");
}

#[tokio::test]
async fn an_operation_that_is_refused_makes_a_process_unready_by_name() {
    let world = World::secured().await;
    let bus = Bus::connect(&world.options_of(Role::Reader), "x", "reader")
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let (probe, probing) = Probe::new(&bus, vec!["RUNS".into()], stop.clone());
    let watch = async {
        until("it to be ready", async || probe.check().is_ok()).await;
        let _silent = bus.serve("oddswire.feed.run.>".into()).await.unwrap();
        until("it to be unready", async || probe.check().is_err()).await;
        let fault = probe.check().unwrap_err();
        assert!(
            fault.contains("oddswire.feed.run.>") && fault.contains("permissions"),
            "{fault}"
        );
        stop.cancel();
    };
    tokio::join!(watch, probing);
}

/// How an operator goes over from a bus without users: keys to every process first, then users to the bus.
#[tokio::test]
async fn a_bus_gets_its_users_under_processes_that_have_their_keys_and_nothing_is_lost() {
    let mut world = World::new().await;
    let keyless = Bus::connect(&BusOptions::at(&world.nats_url()), "x", "x")
        .await
        .unwrap();
    world.hand_out_keys().await;
    goes_over(&mut world).await;
    let why = keyless.why_not_connected().await.unwrap();
    assert!(why.contains("nkey seed"), "{why}");
}

/// The same from a bus that keeps its users apart by permissions alone.
#[tokio::test]
async fn streams_move_to_their_account_and_nothing_is_lost() {
    let mut world = World::secured_by(Separation::Permissions).await;
    let role = Role::Scraper;
    world.bus = Bus::connect(&world.options_of(role), "test", role.name())
        .await
        .unwrap();
    goes_over(&mut world).await;
}

async fn goes_over(world: &mut World) {
    let gateway = world.gateway().await;
    gateway.wait_ready().await;
    let mut client = Connection::open(Transport::Ws, &gateway.address, "scrape_progress", "snapshot").await;
    client.joined().await;
    let run = RunId::new();
    world.run_event("alpha", &run, 1, Status::Running).await;
    world.kill_nats().await;
    world.restart_nats_secured().await;
    world.run_event("alpha", &run, 2, Status::Completed).await;
    for seq in 1..=2 {
        let (message, _) = client.next_event().await;
        assert_eq!(message.data::<ScrapeProgress>().unwrap().seq, seq);
    }
    gateway.wait_ready().await;
}

/// Serves clients as a server of this version that knows nothing but pings.
async fn serve_as(version: &str, listener: &TcpListener) {
    let info = format!(
        "INFO {{\"server_id\":\"x\",\"version\":\"{version}\",\"headers\":true,\"max_payload\":262144,\"proto\":1}}\r\n"
    );
    let mut clients = JoinSet::new();
    while let Ok((mut socket, _)) = listener.accept().await {
        let info = info.clone();
        clients.spawn(async move {
            let mut part = [0; 4096];
            socket.write_all(info.as_bytes()).await?;
            while socket.read(&mut part).await? > 0 {
                socket.write_all(b"PONG\r\n").await?;
            }
            Ok::<(), std::io::Error>(())
        });
    }
}

#[tokio::test]
async fn a_server_that_is_too_old_is_named_by_provision_and_by_readiness() {
    tls::install_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let meant = async {
        let bus = Bus::connect(&BusOptions::at(&url), "x", "x").await.unwrap();
        let (specs, consumer) = (
            streams(bus.subjects(), &Sizing::DEV),
            jobs_consumer(bus.subjects(), &Sizing::DEV),
        );
        let refused = provision(&bus, &specs, &consumer, true)
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.starts_with("nats-server 2.11.11 is too old"), "{refused}");
        let gateway = Gateway::start(&url, |_| {}).await;
        until("the gateway to say why it is not ready", async || {
            let answer = reqwest::get(format!("{}/readyz", gateway.ops)).await.unwrap();
            let status = answer.status();
            !status.is_success() && answer.text().await.unwrap().contains(&refused)
        })
        .await;
    };
    tokio::select! {
        () = meant => {}
        () = serve_as("2.11.11", &listener) => panic!("the server ended"),
    }
}

#[tokio::test]
async fn a_store_that_is_too_small_is_told_what_it_must_hold_and_what_was_made() {
    tls::install_provider();
    let dir = tempfile::tempdir().unwrap();
    let keys = secured::keys(dir.path());
    secured::write(dir.path(), "secure.conf");
    let config = dir.path().join("secure.conf");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("30GB"));
    fs::write(&config, text.replace("30GB", "300MB")).unwrap();
    let nats = NatsServer::start_configured(dir.path(), &config).await.unwrap();
    let role = Role::Provision;
    let bus = Bus::connect(&secured::options(&nats.url(), &keys, role), "x", role.name())
        .await
        .unwrap();
    let (specs, consumer) = (
        streams(bus.subjects(), &Sizing::DEV),
        jobs_consumer(bus.subjects(), &Sizing::DEV),
    );
    let error = provision(&bus, &specs, &consumer, true).await.unwrap_err();
    let Error::Room {
        needed_bytes,
        made,
        missing,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*needed_bytes, (4 * 256 + 2 * 64 + 32) << 20);
    assert_eq!(made, &["RUNS"]);
    assert_eq!(missing[0], "RUNS_LAST");
    let told = error.to_string();
    for part in ["1184 MiB", "max_file_store", "Made: RUNS.", "--sizing"] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test]
async fn over_tls_only_a_server_that_the_authority_vouches_for_by_this_name_is_believed() {
    tls::install_provider();
    let dir = tempfile::tempdir().unwrap();
    secured::certificates(dir.path(), &["localhost"]);
    let keys = secured::keys(dir.path());
    let nats = secured::start(dir.path(), "tls.conf").await;
    let at = |host: &str, ca: bool| {
        let mut options = secured::options(&format!("tls://{host}:{}", nats.port()), &keys, Role::Reader);
        options.security.nats_ca = ca.then(|| secured::authority(dir.path()));
        options
    };
    let why = async |host: &str, ca: bool| {
        let bus = Bus::connect(&at(host, ca), "x", "reader").await.unwrap();
        bus.why_not_connected().await
    };
    assert_eq!(why("localhost", true).await, None);
    let other_name = why("127.0.0.1", true).await.unwrap();
    assert!(other_name.contains("another name"), "{other_name}");
    let unknown = why("localhost", false).await.unwrap();
    assert!(
        unknown.contains("ODDSWIRE_NATS_CA") || unknown.contains("certs"),
        "{unknown}"
    );
}
