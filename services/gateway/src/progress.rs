//! Whether a client takes what it is sent.
//!
//! A slow client is not a dead one. What counts is whether its side acknowledged bytes, and only its kernel and ours know
//! that: a socket is writable again only when a third of its buffer is free, and `TCP_USER_TIMEOUT` goes on counting
//! while the window opens by less than what waits first, however steadily the client reads.

use nix::{libc, sys::socket::getsockopt};
use std::{
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The beginning of the kernel's `struct tcp_info`, in words of 32 bits: as far as `tcpi_notsent_bytes`, which Linux has
/// since 4.6.
type TcpInfoHead = [u32; 37];
/// Where in it: segments under way, bytes acknowledged (64 bits), and bytes that were not sent yet.
const UNACKED: usize = 6;
const BYTES_ACKED: usize = 30;
const NOTSENT_BYTES: usize = 36;

#[derive(Debug, Clone, Copy)]
struct TcpInfo;

nix::getsockopt_impl!(
    TcpInfo,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    TcpInfoHead,
    nix::sys::socket::sockopt::GetStruct<TcpInfoHead>
);

/// What a client has taken.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    acked: u64,
    /// Since when there is something to take, and it took nothing. As far as somebody looked.
    stalled_since: Option<Instant>,
    /// Whether bytes wait in the kernel because the client takes no more at once.
    is_behind: bool,
}

impl Progress {
    /// Looks at the client's socket; `unsent` says whether bytes wait above the kernel. Where the kernel does not tell,
    /// because it is no TCP socket, the client passes for one that takes bytes: whoever holds its real socket looks.
    pub(crate) fn look(&mut self, socket: &impl AsFd, unsent: bool) {
        let Ok(info) = getsockopt(socket, TcpInfo) else {
            return;
        };
        let acked = u64::from(info[BYTES_ACKED]) | u64::from(info[BYTES_ACKED + 1]) << 32;
        let is_waiting = unsent || info[UNACKED] > 0 || info[NOTSENT_BYTES] > 0;
        if !is_waiting || acked != self.acked {
            self.stalled_since = None;
        }
        if is_waiting {
            self.stalled_since.get_or_insert_with(Instant::now);
        }
        self.acked = acked;
        self.is_behind = info[NOTSENT_BYTES] > 0;
    }

    /// Whether it had taken everything when it was looked at.
    pub(crate) fn has_all(&self) -> bool {
        self.stalled_since.is_none()
    }

    /// Whether it has taken nothing for longer than `patience`.
    pub(crate) fn is_stalled(&self, patience: Duration) -> bool {
        self.stalled_since.is_some_and(|since| since.elapsed() > patience)
    }

    /// Whether it takes bytes, but not all that was written to it.
    pub(crate) fn is_slow(&self, patience: Duration) -> bool {
        self.is_behind && !self.is_stalled(patience)
    }
}

/// The same of a socket that one holds and others judge by: as it was when its holder looked last.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedProgress(Arc<Mutex<Progress>>);

impl SharedProgress {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
