//! A bus, gateways and clients for one test, all gone when it ends.

mod board;
mod cluster;
mod connection;
mod events;
pub(crate) mod frames;
pub(crate) mod h2;
pub(crate) mod logs;
mod plain;
mod process;
pub(crate) mod secured;
mod sse;
mod ws;

pub(crate) use board::Board;
pub(crate) use connection::{Connection, Delivered, Transport};
pub(crate) use events::{Quote, odds_key, run_image, run_key, update};
pub(crate) use plain::{Answer, Plain};
pub(crate) use process::GatewayProcess;
pub(crate) use sse::{Sse, SseEvent};
pub(crate) use ws::{Ended, Ws};

use oddswire_gateway::{
    GatewayOptions,
    auth::AuthOptions,
    front::{FrontOptions, LimitOptions},
    trial::Trial,
};
use oddswire_kit::{
    bus::{Bus, BusOptions},
    nats_server::{NatsCluster, NatsServer},
    provision::provision,
    roles::{HOME_ACCOUNT, Role, Separation},
    tls,
};
use oddswire_protocol::stream::{Sizing, jobs_consumer, streams};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Whatever a test waits for comes within this time, or the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = timeout(PATIENCE, future).await else {
        panic!("waited too long for {what}")
    };
    value
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    within(what, async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

enum Servers {
    /// One, or none while it is down, and its port.
    One(Option<NatsServer>, u16),
    /// Three nodes, and which of them is down.
    Three(NatsCluster, Option<usize>),
}

/// NATS with the product's streams.
pub(crate) struct World {
    servers: Servers,
    nats_url: String,
    store: TempDir,
    /// Where each role's key is, when the server knows its users.
    keys: Option<PathBuf>,
    sizing: Sizing,
    pub(crate) bus: Bus,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::sized(Sizing::DEV).await
    }

    /// One whose streams may hold this much.
    pub(crate) async fn sized(sizing: Sizing) -> Self {
        tls::install_provider();
        logs::keep();
        let store = tempfile::tempdir().unwrap();
        let nats = NatsServer::start(store.path(), None).await.unwrap();
        let bus = Bus::connect(&options(&nats.url()), "test", "test").await.unwrap();
        let nats_url = nats.url();
        let port = nats.port();
        let world = Self {
            servers: Servers::One(Some(nats), port),
            nats_url,
            store,
            keys: None,
            sizing,
            bus,
        };
        world.provision().await;
        world
    }

    /// One whose server has the configuration that is deployed: a key for each role, and least permissions.
    pub(crate) async fn secured() -> Self {
        Self::secured_by(Separation::Accounts).await
    }

    /// The same with roles kept apart in a way.
    pub(crate) async fn secured_by(separation: Separation) -> Self {
        tls::install_provider();
        logs::keep();
        let store = tempfile::tempdir().unwrap();
        let keys = secured::keys_for(store.path(), separation);
        let nats = secured::start(store.path(), "secure.conf").await;
        let nats_url = nats.url();
        let bus = secured::options(&nats_url, &keys, Role::Provision);
        let bus = Bus::connect(&bus, "test", Role::Provision.name()).await.unwrap();
        let port = nats.port();
        let world = Self {
            servers: Servers::One(Some(nats), port),
            nats_url,
            store,
            keys: Some(keys),
            sizing: Sizing::DEV,
            bus,
        };
        world.provision().await;
        world
    }

    /// How a process of this role connects.
    pub(crate) fn options_of(&self, role: Role) -> BusOptions {
        match &self.keys {
            Some(keys) => {
                let mut options = secured::options(&self.nats_url, keys, role);
                let ca = secured::authority(self.store.path());
                options.security.nats_ca = self.nats_url.starts_with("tls:").then_some(ca);
                options
            }
            None => options(&self.nats_url),
        }
    }

    pub(crate) async fn provision(&self) {
        let specs = streams(self.bus.subjects(), &self.sizing);
        let consumer = jobs_consumer(self.bus.subjects(), &self.sizing);
        within("the streams", provision(&self.bus, &specs, &consumer, true))
            .await
            .unwrap();
    }

    /// Deletes a stream with all that it holds.
    pub(crate) async fn delete_stream(&self, name: &str) {
        let client = async_nats::connect(self.nats_url()).await.unwrap();
        async_nats::jetstream::new(client)
            .delete_stream(name)
            .await
            .unwrap();
    }

    /// Waits until the last images of runs are copied up to this sequence of the log.
    pub(crate) async fn copied(&self, seq: u64) {
        let names = self.bus.names();
        let log = self.bus.stream_state(&names.runs).await.unwrap();
        until("the copy of last images", async || {
            let copied = self.bus.copied_to(&names.runs_last, &log).await;
            copied.is_ok_and(|copied| copied >= seq)
        })
        .await;
    }

    pub(crate) fn nats_url(&self) -> String {
        self.nats_url.clone()
    }

    pub(crate) fn monitor_url(&self) -> String {
        let Servers::One(Some(nats), _) = &self.servers else {
            panic!("one server that runs")
        };
        nats.monitor_url()
    }

    /// Kills NATS: the one server, or a node of the cluster.
    pub(crate) async fn kill_nats(&mut self) {
        match &mut self.servers {
            Servers::One(nats, _) => nats.take().unwrap().kill().await,
            Servers::Three(cluster, down) => {
                let number = down.map_or(0, |last| (last + 1) % 3);
                cluster.kill_node(number).await;
                *down = Some(number);
            }
        }
    }

    /// Where the servers store, each in a folder of its own where there are three.
    pub(crate) fn store_path(&self) -> &Path {
        self.store.path()
    }

    /// Kills every server.
    pub(crate) async fn kill_all_nats(&mut self) {
        match &mut self.servers {
            Servers::One(nats, _) => nats.take().unwrap().kill().await,
            Servers::Three(cluster, _) => {
                for number in 0..3 {
                    cluster.kill_node(number).await;
                }
            }
        }
    }

    /// Starts every server again.
    pub(crate) async fn restart_all_nats(&mut self) {
        if let Servers::Three(cluster, _) = &mut self.servers {
            for number in 0..3 {
                cluster.start_node(number).await.unwrap();
            }
        } else {
            self.restart_nats().await;
        }
    }

    /// Starts what was killed again, on the same port and with what it had stored.
    pub(crate) async fn restart_nats(&mut self) {
        match &mut self.servers {
            Servers::One(nats, port) => {
                *nats = Some(NatsServer::start(self.store.path(), Some(*port)).await.unwrap());
            }
            Servers::Three(cluster, down) => cluster.start_node(down.unwrap_or(0)).await.unwrap(),
        }
    }

    /// From now on processes show the keys of their roles, of which the server knows nothing yet. The world's own bus is
    /// a scraper's.
    pub(crate) async fn hand_out_keys(&mut self) {
        self.keys = Some(secured::keys(self.store.path()));
        let options = self.options_of(Role::Scraper);
        self.bus = Bus::connect(&options, "test", Role::Scraper.name())
            .await
            .unwrap();
    }

    /// Starts it again as [`World::restart_nats`] does, but from now on it has the configuration that is deployed, and the
    /// streams are moved to their account as docs/nats.md says.
    pub(crate) async fn restart_nats_secured(&mut self) {
        let Servers::One(nats, port) = &mut self.servers else {
            panic!("one server")
        };
        secured::keys(self.store.path());
        let streams = self.store.path().join("jetstream");
        std::fs::rename(streams.join("$G"), streams.join(HOME_ACCOUNT)).unwrap();
        let config = secured::write(self.store.path(), "secure.conf");
        let started = NatsServer::start_configured_on(self.store.path(), &config, Some(*port));
        *nats = Some(started.await.unwrap());
    }

    pub(crate) async fn gateway(&self) -> Gateway {
        Gateway::start(&self.nats_url(), |o| o.bus = self.options_of(Role::Gateway)).await
    }

    pub(crate) async fn gateway_with(&self, change: impl FnOnce(&mut GatewayOptions)) -> Gateway {
        Gateway::start(&self.nats_url(), change).await
    }
}

pub(crate) fn options(nats_url: &str) -> BusOptions {
    BusOptions::at(nats_url)
}

/// A gateway in this process, on free ports.
pub(crate) struct Gateway {
    pub(crate) address: String,
    pub(crate) ops: String,
    stop: CancellationToken,
    _guard: DropGuard,
    task: JoinHandle<Result<(), oddswire_gateway::Error>>,
}

impl Gateway {
    /// Starts one; it need not find its bus.
    pub(crate) async fn start(nats_url: &str, change: impl FnOnce(&mut GatewayOptions)) -> Self {
        Self::start_on_trial(nats_url, Trial::default(), change).await
    }

    /// Starts one with something broken on purpose.
    pub(crate) async fn start_on_trial(
        nats_url: &str,
        trial: Trial,
        change: impl FnOnce(&mut GatewayOptions),
    ) -> Self {
        let clients = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_at(clients, nats_url, trial, change).await
    }

    /// Starts one whose clients come to a listener of the test's own.
    pub(crate) async fn start_at(
        clients: TcpListener,
        nats_url: &str,
        trial: Trial,
        change: impl FnOnce(&mut GatewayOptions),
    ) -> Self {
        tls::install_provider();
        let operators = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, ops) = (clients.local_addr().unwrap(), operators.local_addr().unwrap());
        let mut gateway = Self::options(nats_url, &operators);
        // To its rules all that a test does is this machine's.
        gateway.listen = ([127, 0, 0, 1], address.port()).into();
        change(&mut gateway);
        let stop = CancellationToken::new();
        // Nobody changes its configuration.
        let (_, changes) = tokio::sync::mpsc::channel(1);
        let run = oddswire_gateway::run_on_trial(gateway, clients, operators, trial, changes, stop.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "the handle is kept, and awaited when the test stops it"
        )]
        let task = tokio::spawn(run);
        Self {
            address: address.to_string(),
            ops: format!("http://{ops}"),
            _guard: stop.clone().drop_guard(),
            stop,
            task,
        }
    }

    /// What a gateway in these tests is told, unless a test says otherwise.
    pub(crate) fn options(nats_url: &str, operators: &TcpListener) -> GatewayOptions {
        GatewayOptions {
            bus: options(nats_url),
            auth: AuthOptions::default(),
            front: FrontOptions::default(),
            limits: LimitOptions::default(),
            listen: ([127, 0, 0, 1], 0).into(),
            ops_listen: operators.local_addr().unwrap(),
            ui_dir: None,
            no_ui: false,
            heartbeat_ms: 1_000,
            linger_ms: 300,
            ring_bytes: 8 << 20,
            client_bytes: 1 << 20,
            patience_ms: 60_000,
            shards: 2,
            lifetime_ms: 0,
            topics_max: 100,
            message_bytes_max: 64 << 10,
            messages_per_s: 20,
            drain_delay_ms: 0,
            grace_ms: 3_000,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn ws(&self, query: &str) -> Ws {
        Ws::connect(&self.address, query).await
    }

    pub(crate) async fn sse(&self, query: &str) -> Sse {
        Sse::connect(&self.url(&format!("/api/events?{query}")), None).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        let answer = within(path, reqwest::get(self.url(path))).await.unwrap();
        let status = answer.status().as_u16();
        (
            status,
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default(),
        )
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> (u16, serde_json::Value) {
        let sent = reqwest::Client::new()
            .post(self.url(path))
            .body(body.to_owned())
            .send();
        let answer = within(path, sent).await.unwrap();
        let status = answer.status().as_u16();
        (
            status,
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default(),
        )
    }

    pub(crate) async fn wait_ready(&self) {
        let url = format!("{}/readyz", self.ops);
        let mut said = String::from("nothing");
        let ready = async {
            while let Ok(answer) = reqwest::get(&url).await {
                let good = answer.status().is_success();
                said = answer.text().await.unwrap_or_default();
                if good {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            false
        };
        let ready = timeout(PATIENCE, ready).await.unwrap_or(false);
        assert!(ready, "the gateway is not ready: {said}");
    }

    /// Tells it to stop.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops it in order, and tells how it ended.
    pub(crate) async fn stop(self) -> Result<(), oddswire_gateway::Error> {
        self.stop.cancel();
        within("the gateway to end", self.task).await.unwrap()
    }
}
