//! Why clients are refused, and refusals in the log: each reason is told at once, and then seldom, however many come.

use prometheus_client::encoding::EncodeLabelValue;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Why a client was refused; `reason` of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Refused {
    /// All connections are taken.
    Full,
    /// All connections of this address are taken.
    AddressFull,
    /// Too many streams are being opened.
    Handshakes,
    /// This address tries to open streams too often.
    AddressHandshakes,
    /// This address has as many answers under way as it may.
    Answers,
    /// The process holds as much memory as it may.
    Memory,
    /// Too many requests of this address.
    Requests,
    /// A page of another origin.
    Origin,
    /// A name that is not this machine's.
    Host,
    /// No `Host`, several, one that is none, or another than that of the target.
    BadHost,
    /// The target is too long.
    Target,
    /// No TLS handshake, or none in time.
    Tls,
    /// Too many pings.
    Pings,
}

impl Refused {
    /// The word for it in logs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::AddressFull => "address_full",
            Self::Handshakes => "handshakes",
            Self::AddressHandshakes => "address_handshakes",
            Self::Answers => "answers",
            Self::Memory => "memory",
            Self::Requests => "requests",
            Self::Origin => "origin",
            Self::Host => "host",
            Self::BadHost => "bad_host",
            Self::Target => "target",
            Self::Tls => "tls",
            Self::Pings => "pings",
        }
    }

    /// What an operator may do about it.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Full => "see --connections-max",
            Self::AddressFull => "see --connections-per-address, and --trust-proxy behind a proxy",
            Self::Handshakes => "see --handshakes-per-s",
            Self::AddressHandshakes | Self::Answers => "see docs/limits.md, and --trust-proxy behind a proxy",
            Self::Memory => "the memory that this process may have is taken",
            Self::Requests => "see --requests-per-s, and --trust-proxy behind a proxy",
            Self::Origin => "pages of this origin are admitted by --allow-origin",
            Self::Host => "other names of this gateway are admitted by --allow-host",
            Self::BadHost => "HTTP/1.1 asks for one Host",
            Self::Target => "the target is too long",
            Self::Tls => "no TLS handshake came in time",
            Self::Pings => "see --pings-per-s",
        }
    }
}

/// A reason that was told is not told again for this long.
const QUIET_FOR: Duration = Duration::from_secs(10);

/// When each reason was told last, and how many refusals were left out since.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<&'static str, (Instant, u64)>>);

impl Refusals {
    /// Whether a refusal for this reason is to be logged now: with how many of the same were left out since the last.
    pub(crate) fn due(&self, reason: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((at, left_out)) = told.get_mut(reason) else {
            told.insert(reason, (now, 0));
            return Some(0);
        };
        if now.duration_since(*at) < QUIET_FOR {
            *left_out += 1;
            return None;
        }
        *at = now;
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_refusals_is_one_line_a_reason_and_its_number() {
        let refusals = Refusals::default();
        assert_eq!(refusals.due("origin"), Some(0));
        assert_eq!((0..500).filter_map(|_| refusals.due("origin")).count(), 0);
        assert_eq!(refusals.due("host"), Some(0), "another reason is told at once");
        tokio::time::advance(QUIET_FOR).await;
        assert_eq!(refusals.due("origin"), Some(500));
        assert_eq!(refusals.due("origin"), None);
    }
}
