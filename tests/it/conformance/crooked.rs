//! A gateway with a fault: ours behind something that alters what goes by, to the byte and to the same length.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

/// What is altered. Both texts have the same length, so that lengths which were told before stay true; a character
/// stands for the byte of its number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// On the way to the gateway.
    Request(&'static str, &'static str),
    /// On the way to the client.
    Answer(&'static str, &'static str),
}

type Changes = Vec<(Vec<u8>, Vec<u8>)>;

pub(super) struct Crooked {
    address: String,
    _tasks: JoinSet<()>,
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect()
}

impl Crooked {
    pub(super) async fn start(gateway: &str, faults: &[Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (mut requests, mut answers) = (Changes::new(), Changes::new());
        for fault in faults {
            let (changes, from, to) = match fault {
                Fault::Request(from, to) => (&mut requests, from, to),
                Fault::Answer(from, to) => (&mut answers, from, to),
            };
            let (from, to) = (bytes(from), bytes(to));
            assert_eq!(from.len(), to.len());
            changes.push((from, to));
        }
        let gateway = gateway.to_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let gateway = TcpStream::connect(&gateway).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_gateway, to_gateway) = gateway.into_split();
                connections.spawn(pass(from_client, to_gateway, requests.clone()));
                connections.spawn(pass(from_gateway, to_client, answers.clone()));
            }
        });
        Self {
            address,
            _tasks: tasks,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Passes bytes on, with these changes, until either side ends.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, changes: Changes) {
    let mut held = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        held.extend_from_slice(&piece[..count]);
        for (from, to) in &changes {
            while let Some(at) = held.windows(from.len()).position(|bytes| bytes == from) {
                held[at..at + to.len()].copy_from_slice(to);
            }
        }
        // What may be the beginning of something that is altered waits for its rest.
        let waiting = changes
            .iter()
            .map(|(from, _)| beginning(&held, from))
            .max()
            .unwrap_or(0);
        let rest = held.split_off(held.len() - waiting);
        if to.write_all(&held).await.is_err() {
            return;
        }
        held = rest;
    }
    // Who hangs up says so to the other side.
    let _ = to.write_all(&held).await;
}

/// How many bytes at the end are the beginning of this.
fn beginning(held: &[u8], wanted: &[u8]) -> usize {
    let most = (wanted.len() - 1).min(held.len());
    (1..=most)
        .rev()
        .find(|count| held.ends_with(&wanted[..*count]))
        .unwrap_or(0)
}
