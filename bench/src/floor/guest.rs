//! A client of the floor.

use super::text::{self, Batch};
use mio::{event::Event, net::TcpStream};
use std::io::{ErrorKind, Read, Write};

/// One connection.
#[derive(Debug)]
pub(super) struct Guest {
    socket: TcpStream,
    state: State,
    /// What the socket did not take.
    left: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its request has not come yet.
    New,
    WebSocket,
    EventStream,
    Gone,
}

impl Guest {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            state: State::New,
            left: Vec::new(),
        }
    }

    /// Takes what it says, and goes on with what it did not take.
    pub(super) fn serve(&mut self, event: &Event, scratch: &mut [u8]) {
        if event.is_readable() {
            self.read(scratch);
        }
        if event.is_writable() && !self.left.is_empty() {
            let left = std::mem::take(&mut self.left);
            self.write(&left);
        }
    }

    /// A request comes in one piece: its client is the bench.
    fn read(&mut self, scratch: &mut [u8]) {
        while self.state != State::Gone {
            match self.socket.read(scratch) {
                Ok(0) => self.state = State::Gone,
                Ok(length) if self.state == State::New => {
                    let wants_ws = memchr::memmem::find(&scratch[..length], b"Upgrade: ").is_some();
                    self.state = if wants_ws {
                        State::WebSocket
                    } else {
                        State::EventStream
                    };
                    self.write(&if wants_ws {
                        text::ws_hello()
                    } else {
                        text::sse_hello()
                    });
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.state = State::Gone,
            }
        }
    }

    /// Sends it all that has piled up.
    pub(super) fn send(&mut self, batch: &Batch) {
        match self.state {
            State::WebSocket => self.write(&batch.ws),
            State::EventStream => self.write(&batch.sse),
            State::New | State::Gone => {}
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if !self.left.is_empty() {
            self.left.extend_from_slice(bytes);
            return;
        }
        match self.socket.write(bytes) {
            Ok(length) => self.left.extend_from_slice(&bytes[length..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.left.extend_from_slice(bytes),
            Err(_) => {
                self.state = State::Gone;
                self.left = Vec::new();
            }
        }
        if self.left.is_empty() && self.left.capacity() > 0 {
            self.left = Vec::new();
        }
    }
}
