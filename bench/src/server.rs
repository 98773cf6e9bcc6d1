//! A server under measurement: a gateway or the floor, in a process of its own on a core of its own.

use crate::{
    clock::{nap, now_ns, seconds},
    host, launch,
    world::World,
};
use anyhow::{Context, Result, bail};
use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The product.
    Gateway,
    /// The least that a server can do.
    Floor,
}

/// A running one. It is killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
}

const UP_WITHIN_S: f64 = 20.0;
/// Between two looks whether it is up.
const LOOK: Duration = Duration::from_millis(10);

impl Server {
    /// Starts one and waits until it is ready. `further` goes to the gateway alone.
    pub(crate) fn start(kind: Kind, gateway: &Path, world: &World, further: &[&str]) -> Result<Self> {
        let (port, ops_port) = (free_port()?, free_port()?);
        let mut words = launch::launcher(host::SERVER_CORE)?;
        let ready_port = match kind {
            Kind::Floor => {
                words.push(env::current_exe()?.into_os_string());
                words.extend(arguments(&[
                    "floor",
                    "--port",
                    &port.to_string(),
                    "--nats-port",
                    &world.port().to_string(),
                ]));
                port
            }
            Kind::Gateway => {
                words.push(gateway.as_os_str().to_owned());
                words.extend(arguments(&[
                    "gateway",
                    "--nats-url",
                    &format!("nats://127.0.0.1:{}", world.port()),
                    "--listen",
                    &format!("127.0.0.1:{port}"),
                    "--ops-listen",
                    &format!("127.0.0.1:{ops_port}"),
                    // A heartbeat costs as much as an event, and belongs to none of the scenarios.
                    "--heartbeat-ms",
                    "60000",
                    // All clients of a scenario come from one address, and at once.
                    "--connections-per-address",
                    "0",
                    "--handshakes-per-address",
                    "0",
                    "--handshakes-per-s",
                    "0",
                    "--memory-bytes",
                    "0",
                    "--requests-per-s",
                    "0",
                ]));
                words.extend(arguments(further));
                ops_port
            }
        };
        let log = world.folder().join("server.log");
        let child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("start a server")?;
        let mut server = Self {
            child,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        };
        server.wait(kind, ready_port, &log)?;
        host::check_owner(server.pid(), port)?;
        Ok(server)
    }

    fn wait(&mut self, kind: Kind, port: u16, log: &Path) -> Result<()> {
        let begun = now_ns();
        loop {
            let up = match kind {
                Kind::Floor => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
                Kind::Gateway => is_ready(port),
            };
            if up {
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || seconds(begun, now_ns()) > UP_WITHIN_S {
                let said = fs::read_to_string(log).unwrap_or_default();
                bail!("the {kind:?} did not come up ({ended:?}); it said:\n{said}");
            }
            nap(LOOK);
        }
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which the figures show.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn arguments(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// The gateway to measure unless told otherwise: built beside the bench.
pub(crate) fn default_gateway() -> Result<PathBuf> {
    let me = env::current_exe()?;
    Ok(me.with_file_name("oddswire"))
}

/// One that nobody has now. Whether the server got it is checked when it is up.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
