//! Ports of this machine for programs that have to be told one before they start: in tests, and for a cluster that does
//! not know its members' otherwise. Who can, listens on port 0 instead.

use std::{
    io::{Error, ErrorKind},
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

/// The first of `count` ports in a row that nobody has now. They lie below those that the system gives to outgoing
/// connections, which would take one between this look and the program's own, and nobody in this process is given the
/// same ones twice before 12,000 were given out.
///
/// # Errors
/// [`ErrorKind::AddrInUse`] when there is no such row.
pub fn free(count: u16) -> Result<u16, Error> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let row = u32::from(count);
    (0..COUNT)
        .map(|_| NEXT.fetch_add(row, Ordering::Relaxed))
        // Other processes begin elsewhere.
        .map(|given| given.wrapping_add(std::process::id().wrapping_mul(101)) % (COUNT - row))
        .filter_map(|place| u16::try_from(FIRST + place).ok())
        .find(|first| (*first..first + count).all(is_free))
        .ok_or_else(|| ErrorKind::AddrInUse.into())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_ports_is_free_and_given_once() {
        let (first, second) = (free(3).unwrap(), free(3).unwrap());
        assert!(first.abs_diff(second) >= 3);
        let held = TcpListener::bind(("127.0.0.1", first + 1)).unwrap();
        assert!(!is_free(held.local_addr().unwrap().port()));
    }
}
