//! Everything that crosses a wire of Oddswire, as pure data: no I/O, no async.
//!
//! A reader who knows this crate knows both sides of every wire: the message envelope that clients see
//! ([`envelope`]), the events that the scraper publishes ([`progress`], [`odds`]), where they go on the bus
//! ([`subject`], [`header`], [`event`], [`stream`]), what clients may ask for ([`topic`], [`client`], [`api`]) and how they
//! come back after a cut ([`cursor`]).
//!
//! Its one invariant: a value of these types is valid. Whatever is malformed is refused while it is read.

pub mod api;
pub mod client;
pub mod close;
pub mod cursor;
pub mod envelope;
pub mod event;
pub mod header;
pub mod id;
pub mod job;
mod line;
pub mod odds;
mod price;
pub mod problem;
pub mod progress;
pub mod schema;
pub mod server;
pub mod stream;
pub mod subject;
mod thousandths;
mod time;
pub mod topic;
pub mod validator;

pub use cursor::Cursor;
pub use id::{BatchId, EventId, MarketKey, MarketToken, Period, RunId, SourceKey, SportKey};
pub use line::Line;
pub use price::Price;
pub use subject::{EventKey, Feed, Subjects};
pub use thousandths::NumberError;
pub use time::Timestamp;
pub use topic::Topic;

/// The largest payload of a bus event in bytes: 64 KiB.
pub const PAYLOAD_MAX_BYTES: usize = 64 * 1024;
