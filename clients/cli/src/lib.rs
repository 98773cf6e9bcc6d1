//! Clients of a gateway for people and scripts: `oddswire follow`, `top`, `odds` and `conformance`, and what shells know
//! of the command line.
//!
//! Its one invariant: it knows the public interface alone, over HTTP from outside, so it works against any gateway.

pub mod conformance;
mod connection;
mod console;
pub mod follow;
mod image;
pub mod odds;
pub mod shell;
mod sse;
mod stream;
mod table;
mod text;
pub mod top;

pub use connection::{Address, AddressError, ConnectOptions, Error};
pub use console::{Console, Kind};
pub use text::Look;
