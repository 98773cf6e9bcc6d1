//! Three nodes on loopback, for tests of what only a cluster shows.

use super::{Error, Launch, NatsServer};
use crate::ports;
use std::path::{Path, PathBuf};

/// A running cluster of three. Its nodes are killed when this value is dropped.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<Node>,
}

/// How one node is started, each time.
#[derive(Debug, Clone, Default)]
pub struct NodeSetup {
    /// More arguments for the server.
    pub arguments: Vec<String>,
    /// More of its environment.
    pub variables: Vec<(String, String)>,
}

#[derive(Debug)]
struct Node {
    dir: PathBuf,
    port: u16,
    setup: NodeSetup,
    server: Option<NatsServer>,
}

const NODES: usize = 3;

impl NatsCluster {
    /// Starts three nodes that store below `dir`. They may still be electing when this returns.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(dir: &Path) -> Result<Self, Error> {
        Self::start_with(dir, |number, _, route_ports| {
            let route = |port: &u16| format!("nats://127.0.0.1:{port}");
            let routes: Vec<String> = route_ports.iter().map(route).collect();
            let arguments = [
                "--name",
                &format!("node-{number}"),
                "--cluster_name",
                "oddswire",
                "--cluster",
                &routes[number],
                "--routes",
                &routes.join(","),
            ];
            NodeSetup {
                arguments: arguments.map(str::to_owned).into(),
                variables: Vec::new(),
            }
        })
        .await
    }

    /// The same, each set up by `setup`: from its number, its folder, which exists, and the ports for the routes of all.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start_with(
        dir: &Path,
        mut setup: impl FnMut(usize, &Path, &[u16]) -> NodeSetup,
    ) -> Result<Self, Error> {
        let no_ports = |source| Error::Run {
            program: "six servers' ports".to_owned(),
            source,
        };
        let first = ports::free(2 * u16::try_from(NODES).unwrap_or(u16::MAX)).map_err(no_ports)?;
        let ports: Vec<u16> = (first..).take(2 * NODES).collect();
        let (ports, route_ports) = ports.split_at(NODES);
        let mut cluster = Self { nodes: Vec::new() };
        for (number, port) in ports.iter().enumerate() {
            let dir = dir.join(format!("node-{number}"));
            let make_dir = |source| Error::Run {
                program: format!("make {}", dir.display()),
                source,
            };
            std::fs::create_dir_all(&dir).map_err(make_dir)?;
            cluster.nodes.push(Node {
                port: *port,
                setup: setup(number, &dir, route_ports),
                dir,
                server: None,
            });
        }
        for number in 0..NODES {
            cluster.start_node(number).await?;
        }
        Ok(cluster)
    }

    /// Starts one node, which must not run, with what it had stored.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start_node(&mut self, number: usize) -> Result<(), Error> {
        let node = &mut self.nodes[number];
        let launch = Launch {
            port: Some(node.port),
            further: &node.setup.arguments,
            variables: &node.setup.variables,
            ..Launch::default()
        };
        node.server = Some(NatsServer::launch(&node.dir, &launch).await?);
        Ok(())
    }

    /// Ends one node as a crash would.
    pub async fn kill_node(&mut self, number: usize) {
        if let Some(server) = self.nodes[number].server.take() {
            server.kill().await;
        }
    }

    /// One node, unless it was ended. Its name is `node-<number>`.
    pub fn node(&self, number: usize) -> Option<&NatsServer> {
        self.nodes.get(number)?.server.as_ref()
    }

    /// The clients' port of each node, whether or not it runs.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|n| n.port).collect()
    }

    /// Where clients connect: all nodes, separated by commas.
    pub fn url(&self) -> String {
        self.nodes
            .iter()
            .map(|n| format!("nats://127.0.0.1:{}", n.port))
            .collect::<Vec<_>>()
            .join(",")
    }
}
