//! `oddswire-bench floor`: the least that a server can do. One thread, no protocol work, bytes framed once, one bare
//! write to every socket with all that has piled up.

mod guest;
mod text;

use crate::{nats::Nats, world};
use anyhow::Result;
use clap::Args;
use guest::Guest;
use mio::{Events, Interest, Poll, Token, net::TcpListener};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use text::Batch;

/// Where it listens.
#[derive(Debug, Args)]
pub(crate) struct FloorOptions {
    /// For clients.
    #[arg(long)]
    port: u16,
    /// To NATS.
    #[arg(long)]
    nats_port: u16,
}

const LISTENER: Token = Token(usize::MAX - 2);
const NATS: Token = Token(usize::MAX - 1);

/// Serves until it is killed.
pub(crate) fn run(options: &FloorOptions) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = listen(options.port)?;
    let mut nats = Nats::connect(options.nats_port, &[&world::live_odds()])?;
    let registry = poll.registry();
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    registry.register(nats.socket(), NATS, Interest::READABLE)?;
    let mut events = Events::with_capacity(1_024);
    let mut guests: Vec<Guest> = Vec::new();
    let mut batch = Batch::default();
    let mut scratch = vec![0; 1 << 16];
    loop {
        poll.poll(&mut events, None)?;
        let mut has_news = false;
        for event in &events {
            match event.token() {
                LISTENER => accept(&poll, &listener, &mut guests)?,
                NATS => has_news = true,
                Token(at) => guests[at].serve(event, &mut scratch),
            }
        }
        if !has_news {
            continue;
        }
        batch.clear();
        nats.read(|message| batch.add(message))?;
        if !batch.is_empty() {
            batch.finish();
            for guest in &mut guests {
                guest.send(&batch);
            }
        }
    }
}

fn listen(port: u16) -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4_096)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn accept(poll: &Poll, listener: &TcpListener, guests: &mut Vec<Guest>) -> Result<()> {
    // Whatever the reason, there is nobody to accept now.
    while let Ok((mut socket, _)) = listener.accept() {
        socket.set_nodelay(true)?;
        let token = Token(guests.len());
        poll.registry()
            .register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        guests.push(Guest::new(socket));
    }
    Ok(())
}
