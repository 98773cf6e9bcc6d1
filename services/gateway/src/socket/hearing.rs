//! What a client says: read at a pace, and taken apart one message at a time.

use super::Socket;
use crate::{front::Refused, session::Input, wire::Form};
use bytes::Bytes;
use oddswire_protocol::close::CloseCode;
use oddswire_websocket::{Incoming, Violation, frame};
use std::io::ErrorKind;
use tokio::time::Instant;

const READ_BYTES: usize = 4 * 1024;
/// A pong is left out while more than this waits: a client that pings and does not read gets no memory for it.
const PONG_BACKLOG_BYTES: usize = 4 * 1024;

impl Socket {
    /// Takes in what was read of the client, up to the first thing that a session must look at; the rest waits as it
    /// came. Pings are answered at once.
    pub fn take_in(&mut self, bytes: &[u8]) {
        self.heard_at = Instant::now();
        self.asked = false;
        self.pace.spend(bytes.len());
        if self.received.is_empty() && self.inbox.is_none() {
            let taken = self.take_apart(bytes);
            self.received = Bytes::copy_from_slice(&bytes[taken..]);
        } else {
            self.received = [&self.received, bytes].concat().into();
        }
        self.count_waiting();
    }

    /// Takes bytes of the client apart, to the end or to something for its session; tells how many.
    pub(super) fn take_apart(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && self.inbox.is_none() {
            let Some(reader) = self.reader.as_mut() else {
                return bytes.len();
            };
            match reader.read(&bytes[at..]) {
                Ok((taken, incoming)) => {
                    at += taken;
                    if let Some(incoming) = incoming {
                        self.inbox = self.answer(incoming);
                    }
                }
                Err(violation) => self.inbox = Some(Input::Violation(code_of(violation))),
            }
            if self.is_over() {
                // Nothing counts behind that.
                return bytes.len();
            }
        }
        at
    }

    fn is_over(&self) -> bool {
        matches!(self.inbox, Some(Input::Gone | Input::Violation(_)))
    }

    /// Answers what needs no session; gives what does.
    fn answer(&mut self, incoming: Incoming) -> Option<Input> {
        if matches!(incoming, Incoming::Ping(_) | Incoming::Pong(_)) && !self.may_ping() {
            self.seat.front.count(Refused::Pings);
            return Some(Input::Violation(CloseCode::Policy));
        }
        match incoming {
            Incoming::Pong(_) => None,
            Incoming::Text(text) => {
                self.spend_inflated(text.len());
                Some(Input::Text(text))
            }
            // The contract's messages are text: a binary one is answered like any text that is no JSON.
            Incoming::Binary(bytes) => {
                self.spend_inflated(bytes.len());
                Some(Input::Text(String::new()))
            }
            Incoming::Ping(payload) => {
                if self.out.len() - self.written <= PONG_BACKLOG_BYTES {
                    self.out.extend_from_slice(&frame::pong(&payload));
                }
                None
            }
            Incoming::Close(said) => {
                let answer = said.map_or_else(frame::empty_close, |said| frame::close(said.code, ""));
                self.out.extend_from_slice(&answer);
                self.goodbye = true;
                Some(Input::Gone)
            }
        }
    }

    /// A message that may have been deflated costs what it became as well.
    fn spend_inflated(&mut self, bytes: usize) {
        if self.form == Form::WsDeflated {
            self.pace.spend(bytes);
        }
    }

    /// Whether the client has not sent more control frames than it may. Each is as much work as a message.
    fn may_ping(&mut self) -> bool {
        let per_s = f64::from(self.seat.front.pings_per_s());
        self.pings.take(per_s, per_s * 2.0)
    }

    pub(super) async fn read_some(&mut self) -> std::io::Result<usize> {
        self.readable().await?;
        self.try_read()
    }

    async fn readable(&self) -> std::io::Result<()> {
        let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
        stream.readable().await
    }

    fn try_read(&mut self) -> std::io::Result<usize> {
        let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
        let mut bytes = [0; READ_BYTES];
        let count = stream.try_read(&mut bytes)?;
        self.take_in(&bytes[..count]);
        Ok(count)
    }
}

fn code_of(violation: Violation) -> CloseCode {
    match violation.code() {
        1007 => CloseCode::InvalidText,
        1009 => CloseCode::TooBig,
        _ => CloseCode::Protocol,
    }
}
