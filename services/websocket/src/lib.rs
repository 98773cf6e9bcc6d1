//! The server's side of WebSocket, RFC 6455, with permessage-deflate, RFC 7692: bytes in, messages out, and the frames
//! that answer them. It does no I/O, knows no runtime and starts nothing.
//!
//! - [`handshake`] answers an upgrade: the key, and which offer of compression is taken.
//! - [`Reader`] takes what a client sent apart, as strictly as the RFC lets it.
//! - [`frame`] builds what a server sends. Its frames carry no mask, so that one serves any number of clients; so does
//!   a compressed one, since no compression context outlives a message.
//!
//! The limits of a connection (how long, how often, how idle) are the caller's.

mod close;
mod deflate;
pub mod frame;
pub mod handshake;
mod head;
mod inflate;
mod mask;
mod message;
mod reader;
mod violation;

pub use close::CloseReason;
pub use deflate::Deflater;
pub use reader::{Incoming, Limits, Reader};
pub use violation::Violation;
