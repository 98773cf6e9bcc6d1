//! Why provisioning failed, and what to do.

use crate::log::ReadError;
use async_nats::jetstream::{
    ErrorCode,
    context::{CreateStreamError, CreateStreamErrorKind},
};
use oddswire_protocol::stream::StreamSpec;

/// Why provisioning failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus does not answer.
    #[error("NATS does not answer: {0}")]
    Unreachable(ReadError),
    /// The server is too old.
    #[error("{0}")]
    Server(String),
    /// The server refused.
    #[error("{name}: {reason}")]
    Refused {
        /// What.
        name: String,
        /// Why.
        reason: String,
    },
    /// The server took a stream and left out a part of what was asked for.
    #[error(
        "{name}: nats-server {server} took it without {left_out}: use one that docs/nats.md names as tested"
    )]
    LeftOut {
        /// The stream.
        name: String,
        /// The server's version.
        server: String,
        /// What it left out.
        left_out: String,
    },
    /// The server's store is too small for all of the streams.
    #[error(
        "{name} finds no room in the store of the server ({reason}). With this sizing each server that has a copy of all \
         streams needs {needed_bytes} bytes ({} MiB) of JetStream storage. Made: {}. Not made: {}. Raise max_file_store of \
         the server, or ask for less with --sizing; then run this again: what was made stays",
        needed_bytes.div_ceil(1 << 20), listed(made), listed(missing)
    )]
    Room {
        /// The stream.
        name: String,
        /// The server's words.
        reason: String,
        /// What all streams may hold.
        needed_bytes: u64,
        /// Streams that are there.
        made: Vec<String>,
        /// Streams that are not.
        missing: Vec<String>,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

impl Error {
    pub(super) fn of_stream(name: &str, error: &CreateStreamError) -> Self {
        const FULL: [ErrorCode; 3] = [
            ErrorCode::STORAGE_RESOURCES_EXCEEDED,
            ErrorCode::INSUFFICIENT_RESOURCES,
            ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
        ];
        let name = name.to_owned();
        let reason = error.to_string();
        match error.kind() {
            CreateStreamErrorKind::JetStream(fault) if FULL.contains(&fault.error_code()) => Self::Room {
                name,
                reason,
                needed_bytes: 0,
                made: Vec::new(),
                missing: Vec::new(),
            },
            _ => Self::Refused { name, reason },
        }
    }

    /// Tells what all of the streams need, when the one at `at` found no room.
    pub(super) fn with_room(self, streams: &[StreamSpec], at: usize) -> Self {
        let Self::Room { name, reason, .. } = self else {
            return self;
        };
        let names = |specs: &[StreamSpec]| specs.iter().map(|spec| spec.name.clone()).collect();
        let bytes = streams
            .iter()
            .map(|spec| u64::try_from(spec.max_bytes).unwrap_or(0));
        Self::Room {
            name,
            reason,
            needed_bytes: bytes.sum(),
            made: names(&streams[..at]),
            missing: names(&streams[at..]),
        }
    }
}
