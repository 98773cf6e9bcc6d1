//! What the services share and none of them owns: the connection to the bus and how to read, publish and provision
//! there, telemetry, signals, the operations port.
//!
//! Its one invariant: it knows streams, subjects and bytes, never what an event means.

pub mod accept;
mod allocator;
pub mod bus;
pub mod child;
pub mod config;
pub mod descriptors;
pub mod env;
pub mod kv;
pub mod live;
pub mod log;
pub mod metrics;
pub mod nats_server;
pub mod nearest;
pub mod ops;
#[cfg(feature = "otlp")]
mod otlp;
pub mod ports;
pub mod probe;
pub mod provision;
pub mod publish;
pub mod queue;
pub mod restore;
pub mod roles;
pub mod secret;
pub mod shutdown;
pub mod span;
pub mod telemetry;
pub mod terms;
pub mod tls;
pub mod trace;
