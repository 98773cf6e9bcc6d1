//! Links between clients and a gateway: the loopback, and one of 1,500 bytes a packet with a bandwidth and a queue, and
//! so with a delay, between two network namespaces.

use nix::{
    sched::{CloneFlags, unshare},
    unistd::gettid,
};
use socket2::{Domain, Socket, Type};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// Where the gateway listens, and how clients come there.
pub(super) struct Link {
    pub(super) listener: TcpListener,
    clients: Clients,
}

enum Clients {
    Here,
    /// A thread that lives elsewhere connects for them.
    There(Sender<(Dial, Sender<std::io::Result<TcpStream>>)>),
}

#[derive(Debug, Clone, Copy)]
struct Dial {
    to: SocketAddr,
    receive_bytes: Option<usize>,
}

impl Dial {
    fn connect(self) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if let Some(bytes) = self.receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect(&self.to.into())?;
        Ok(socket.into())
    }
}

/// The gateway's side has 10.77.0.1, the clients' 10.77.0.2. No packet is put together from several on its way.
const GATEWAY_SIDE: &str = "ip link add v0 type veth peer name v1 netns CLIENTS && \
    ip addr add 10.77.0.1/30 dev v0 && ip link set v0 up && ip link set v0 gso_max_size 1500 gso_max_segs 1 && \
    tc qdisc add dev v0 root tbf rate 1mbit burst 16kb latency 400ms";
const CLIENTS_SIDE: &str = "ip addr add 10.77.0.2/30 dev v1 && ip link set v1 up && \
    tc qdisc add dev v1 root tbf rate 256kbit burst 8kb latency 400ms";

impl Link {
    pub(super) fn loopback() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            clients: Clients::Here,
        }
    }

    /// # Errors
    /// Why this machine has no such thing: it takes root, `ip` and `tc`.
    pub(super) fn between_namespaces() -> Result<Self, String> {
        let (tell, clients) = channel();
        let (joined, join) = channel();
        let (dials, dialled) = channel();
        let (fail, failed) = channel();
        thread::spawn(move || {
            let told = clients_side(&tell, &join);
            let good = told.is_ok();
            let _ = fail.send(told);
            while good && let Ok((dial, answer)) = next(&dialled) {
                let _ = answer.send(dial.connect());
            }
        });
        let listener = thread::spawn(move || gateway_side(&clients, &joined));
        let listener = listener.join().map_err(|_| "a thread ended".to_owned())??;
        failed.recv().map_err(|_| "a thread ended".to_owned())??;
        Ok(Self {
            listener,
            clients: Clients::There(dials),
        })
    }

    /// A client's connection, with a receive buffer of so many bytes, or as the kernel likes it.
    pub(super) fn connect(&self, receive_bytes: Option<usize>) -> TcpStream {
        let to = self.listener.local_addr().unwrap();
        let dial = Dial { to, receive_bytes };
        match &self.clients {
            Clients::Here => dial.connect(),
            Clients::There(dials) => {
                let (answer, answered) = channel();
                dials.send((dial, answer)).unwrap();
                answered.recv().unwrap()
            }
        }
        .unwrap()
    }
}

type Dialled = Receiver<(Dial, Sender<std::io::Result<TcpStream>>)>;

fn next(dialled: &Dialled) -> Result<(Dial, Sender<std::io::Result<TcpStream>>), ()> {
    dialled.recv().map_err(|_| ())
}

fn gateway_side(clients: &Receiver<i32>, joined: &Sender<()>) -> Result<TcpListener, String> {
    enter_new_namespace()?;
    let clients = clients
        .recv()
        .map_err(|_| "no namespace for the clients".to_owned())?;
    sh(&GATEWAY_SIDE.replace("CLIENTS", &clients.to_string()))?;
    let _ = joined.send(());
    TcpListener::bind("10.77.0.1:0").map_err(|error| error.to_string())
}

fn clients_side(tell: &Sender<i32>, join: &Receiver<()>) -> Result<(), String> {
    enter_new_namespace()?;
    let _ = tell.send(gettid().as_raw());
    join.recv().map_err(|_| "no link".to_owned())?;
    sh(CLIENTS_SIDE)
}

/// Has this thread, and what it starts, live in a network of its own; it is gone with the last socket there.
fn enter_new_namespace() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("no network namespace: {error}"))
}

fn sh(script: &str) -> Result<(), String> {
    let done = Command::new("sh").args(["-c", script]).output();
    let done = done.map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
}
