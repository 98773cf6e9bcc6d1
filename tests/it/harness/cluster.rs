//! Three nodes: plain ones, or with the configuration that is deployed.

use super::{PATIENCE, Servers, World, logs, options, secured, tls, until, within};
use async_nats::{ConnectOptions, jetstream};
use oddswire_kit::{
    bus::{Bus, BusOptions},
    nats_server::{NatsCluster, NatsServer, NodeSetup},
    provision::provision,
    roles::Role,
};
use oddswire_protocol::stream::{Sizing, jobs_consumer, streams};
use std::{fs, path::Path};
use tokio::time::timeout;

const NODES: usize = 3;

impl World {
    /// A cluster of three nodes, with three copies of each stream.
    pub(crate) async fn cluster() -> Self {
        tls::install_provider();
        logs::keep();
        let store = tempfile::tempdir().unwrap();
        let cluster = NatsCluster::start(store.path()).await.unwrap();
        let nats_url = cluster.url();
        let bus = Bus::connect(&options(&nats_url), "test", "test").await.unwrap();
        let world = Self {
            servers: Servers::Three(cluster, None),
            nats_url,
            store,
            keys: None,
            sizing: of_three(),
            bus,
        };
        world.provision_when_elected().await;
        world
    }

    /// The same with a configuration of `deploy/nats-cluster`, which differs from the deployed one in addresses and
    /// folders alone. The world's own bus is the role provision's.
    pub(crate) async fn secured_cluster(config: &str) -> Self {
        tls::install_provider();
        logs::keep();
        let store = tempfile::tempdir().unwrap();
        let keys = secured::keys(store.path());
        secured::certificates(store.path(), &["localhost", "127.0.0.1"]);
        let cluster = NatsCluster::start_with(store.path(), |number, dir, route_ports| {
            node(store.path(), config, number, dir, route_ports)
        })
        .await
        .unwrap();
        let scheme = if config.contains("tls") { "tls" } else { "nats" };
        let urls = cluster.ports();
        let urls: Vec<String> = urls
            .iter()
            .map(|port| format!("{scheme}://localhost:{port}"))
            .collect();
        let nats_url = urls.join(",");
        let mut world = Self {
            servers: Servers::Three(cluster, None),
            bus: Bus::connect(&BusOptions::at(&nats_url), "x", "x").await.unwrap(),
            nats_url,
            store,
            keys: Some(keys),
            sizing: of_three(),
        };
        let role = Role::Provision;
        world.bus = Bus::connect(&world.options_of(role), "test", role.name())
            .await
            .unwrap();
        world.provision_when_elected().await;
        world
    }

    /// The nodes may still be electing.
    async fn provision_when_elected(&self) {
        let specs = streams(self.bus.subjects(), &self.sizing);
        let consumer = jobs_consumer(self.bus.subjects(), &self.sizing);
        until("the streams of the cluster", async || {
            provision(&self.bus, &specs, &consumer, true).await.is_ok()
        })
        .await;
    }

    fn nodes(&mut self) -> &mut NatsCluster {
        let Servers::Three(cluster, _) = &mut self.servers else {
            panic!("a cluster")
        };
        cluster
    }

    /// A node of the cluster, by the number in its name.
    pub(crate) fn node(&self, number: usize) -> &NatsServer {
        let Servers::Three(cluster, _) = &self.servers else {
            panic!("a cluster")
        };
        cluster.node(number).expect("it runs")
    }

    /// Ends one node as a crash would: SIGKILL.
    pub(crate) async fn kill_node(&mut self, number: usize) {
        self.nodes().kill_node(number).await;
    }

    /// Starts a node again that was killed, with what it had stored.
    pub(crate) async fn start_node(&mut self, number: usize) {
        self.nodes().start_node(number).await.unwrap();
    }

    /// Waits until a node says of itself that it has everything that the others have.
    pub(crate) async fn caught_up(&self, number: usize) {
        let url = format!("{}/healthz", self.node(number).monitor_url());
        let healthy = async || {
            reqwest::get(&url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
        };
        let waited = timeout(PATIENCE * 2, async {
            while !healthy().await {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        });
        assert!(waited.await.is_ok(), "node {number} does not catch up");
    }

    /// JetStream as the operator sees it.
    async fn operator(&self) -> jetstream::Context {
        let plain = ConnectOptions::new().custom_inbox_prefix("_INBOX_operator");
        let security = self.options_of(Role::Operator).security;
        let options = match security.nats_nkey_file {
            Some(file) => plain.nkey(fs::read_to_string(file).unwrap()),
            None => plain,
        };
        let options = match security.nats_ca {
            Some(ca) => options.add_root_certificates(ca),
            None => options,
        };
        let client = options
            .connect(self.nats_url.split(',').collect::<Vec<_>>())
            .await
            .unwrap();
        jetstream::new(client)
    }

    /// The number of the node that leads a stream.
    pub(crate) async fn leader_of(&self, stream: &str) -> usize {
        let operator = self.operator().await;
        let leader = async {
            loop {
                if let Ok(stream) = operator.get_stream(stream).await
                    && let Some(leader) = stream.cached_info().cluster.clone().and_then(|c| c.leader)
                {
                    return number(&leader);
                }
            }
        };
        within("a leader", leader).await
    }

    /// The number of the node that leads the cluster: it places streams and answers who leads what.
    pub(crate) async fn meta_leader(&self) -> usize {
        let url = format!("{}/jsz", self.node(0).monitor_url());
        let leader = async {
            loop {
                let answer = reqwest::get(&url).await.unwrap().bytes().await.unwrap();
                let said: serde_json::Value = serde_json::from_slice(&answer).unwrap();
                if let Some(leader) = said["meta_cluster"]["leader"].as_str() {
                    return number(leader);
                }
            }
        };
        within("a leader of the cluster", leader).await
    }
}

fn of_three() -> Sizing {
    Sizing {
        replicas: NODES,
        ..Sizing::DEV
    }
}

fn number(name: &str) -> usize {
    name.trim_start_matches("node-").parse().unwrap()
}

/// A node with the deployed configuration.
fn node(store: &Path, config: &str, number: usize, dir: &Path, route_ports: &[u16]) -> NodeSetup {
    let keys = dir.join("keys");
    fs::create_dir_all(&keys).unwrap();
    fs::copy(store.join("keys/users.conf"), keys.join("users.conf")).unwrap();
    let own_port = format!("host: \"127.0.0.1\"\n  port: {}", route_ports[number]);
    let store_dir = format!("store_dir: \"{}\"", dir.display());
    secured::localize(
        "nats-cluster",
        "server.conf",
        dir,
        &[("store_dir: /data", &store_dir)],
    );
    let tls = store.join("tls").display().to_string();
    let mut here = vec![("port: 6222", own_port.as_str())];
    if config.contains("tls") {
        here.push(("/etc/nats/tls", &tls));
    }
    let config = secured::localize("nats-cluster", config, dir, &here);
    let mut variables = vec![
        ("NODE_NAME".to_owned(), format!("node-{number}")),
        ("ROUTE_PASSWORD".to_owned(), "letmein0".to_owned()),
    ];
    for (at, port) in route_ports.iter().enumerate() {
        let route = format!("nats://route:letmein0@127.0.0.1:{port}");
        variables.push((format!("ROUTE_{}", at + 1), route));
    }
    NodeSetup {
        arguments: vec!["--config".to_owned(), config.display().to_string()],
        variables,
    }
}
