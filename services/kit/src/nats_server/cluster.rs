//! Three nodes on loopback, for tests of what only a cluster shows.

use super::{Error, NatsServer};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
};

/// A running cluster of three. Its nodes are killed when this value is dropped.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<Node>,
    routes: String,
}

#[derive(Debug)]
struct Node {
    dir: PathBuf,
    port: u16,
    route_port: u16,
    server: Option<NatsServer>,
}

const NODES: usize = 3;

impl NatsCluster {
    /// Starts three nodes that store below `dir`. They may still be electing when this returns.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(dir: &Path) -> Result<Self, Error> {
        // Held until all are drawn, so that none is drawn twice.
        let (ports, held) = free_ports(NODES * 2);
        drop(held);
        let nodes: Vec<Node> = (0..NODES)
            .map(|n| Node {
                dir: dir.join(format!("node-{n}")),
                port: ports[n],
                route_port: ports[NODES + n],
                server: None,
            })
            .collect();
        let routes = nodes
            .iter()
            .map(|n| format!("nats://127.0.0.1:{}", n.route_port))
            .collect::<Vec<_>>()
            .join(",");
        let mut cluster = Self { nodes, routes };
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
        let make_dir = |source| Error::Run {
            program: format!("make {}", node.dir.display()),
            source,
        };
        std::fs::create_dir_all(&node.dir).map_err(make_dir)?;
        let further = [
            "--name".into(),
            format!("node-{number}"),
            "--cluster_name".into(),
            "oddswire".into(),
            "--cluster".into(),
            format!("nats://127.0.0.1:{}", node.route_port),
            "--routes".into(),
            self.routes.clone(),
        ];
        node.server = Some(NatsServer::start_with(&[], &node.dir, Some(node.port), &further).await?);
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

    /// Where clients connect: all nodes, separated by commas.
    pub fn url(&self) -> String {
        self.nodes
            .iter()
            .map(|n| format!("nats://127.0.0.1:{}", n.port))
            .collect::<Vec<_>>()
            .join(",")
    }
}

fn free_ports(count: usize) -> (Vec<u16>, Vec<TcpListener>) {
    let held: Vec<TcpListener> = (0..count)
        .filter_map(|_| TcpListener::bind("127.0.0.1:0").ok())
        .collect();
    let ports = held
        .iter()
        .filter_map(|l| l.local_addr().ok())
        .map(|a| a.port())
        .collect();
    (ports, held)
}
