//! How often, and how many: buckets that refill, and seats that are taken.

use prometheus_client::metrics::gauge::Gauge;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::time::Instant;

/// What may be done so often a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(burst: f64) -> Self {
        Self {
            left: burst,
            at: Instant::now(),
        }
    }

    /// Takes one; tells whether there was one.
    pub(crate) fn take(&mut self, per_s: f64, burst: f64) -> bool {
        let now = Instant::now();
        let refill = now.duration_since(self.at).as_secs_f64() * per_s;
        self.left = (self.left + refill).min(burst);
        self.at = now;
        let some = self.left >= 1.0;
        if some {
            self.left -= 1.0;
        }
        some
    }
}

/// Addresses that are kept in mind at most. Beyond that those are forgotten that were not heard of for longest: memory
/// matters more than the rate of somebody who has as many addresses as that.
const ADDRESSES_MAX: usize = 65_536;

/// A bucket for each address, in two generations of half as many each: when the young one is full, the old one is
/// forgotten.
#[derive(Debug, Default)]
pub(super) struct Rates {
    young: HashMap<IpAddr, Bucket>,
    old: HashMap<IpAddr, Bucket>,
}

impl Rates {
    /// Takes one of what an address may do `per_s` times a second, and `burst` times at once; tells whether there was one.
    pub(super) fn take(&mut self, address: IpAddr, per_s: f64, burst: f64) -> bool {
        if let Some(bucket) = self.young.get_mut(&address) {
            return bucket.take(per_s, burst);
        }
        if self.young.len() >= ADDRESSES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        let known = self.old.remove(&address);
        let bucket = self
            .young
            .entry(address)
            .or_insert_with(|| known.unwrap_or_else(|| Bucket::new(burst)));
        bucket.take(per_s, burst)
    }
}

/// How many connections there are, in all and from each address. An address without one is not kept.
#[derive(Debug, Default)]
pub(super) struct Seats {
    all: AtomicUsize,
    /// The same number, for operators.
    pub(super) open: Gauge,
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSeat {
    Full,
    AddressFull,
}

/// What one connection counts as, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    in_all: bool,
    address: Option<IpAddr>,
}

impl Seats {
    /// Seats of which `open` are taken.
    pub(super) fn new(open: Gauge) -> Self {
        Self {
            open,
            ..Self::default()
        }
    }

    /// How many are taken in all.
    pub(super) fn count(&self) -> u64 {
        self.all.load(SeqCst) as u64
    }

    /// Takes a seat: one of `max` in all, one of `per_address`. `None` counts nothing.
    pub(super) fn take(
        self: &Arc<Self>,
        max: Option<usize>,
        address: Option<(IpAddr, u32)>,
    ) -> Result<Seat, NoSeat> {
        let mut seat = Seat {
            seats: Arc::clone(self),
            in_all: false,
            address: None,
        };
        if let Some(max) = max {
            seat.in_all = true;
            self.open.inc();
            if self.all.fetch_add(1, SeqCst) >= max {
                return Err(NoSeat::Full);
            }
        }
        if let Some((address, most)) = address {
            let mut by_address = self.by_address();
            let taken = by_address.entry(address).or_default();
            if most > 0 && *taken >= most {
                return Err(NoSeat::AddressFull);
            }
            *taken += 1;
            seat.address = Some(address);
        }
        Ok(seat)
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.in_all {
            self.seats.all.fetch_sub(1, SeqCst);
            self.seats.open.dec();
        }
        let Some(address) = self.address else { return };
        let mut by_address = self.seats.by_address();
        if let Some(taken) = by_address.get_mut(&address) {
            *taken -= 1;
            if *taken == 0 {
                by_address.remove(&address);
            }
        }
        if by_address.is_empty() && by_address.capacity() > 1_024 {
            by_address.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_refills_and_does_not_overflow() {
        let mut bucket = Bucket::new(20.0);
        let taken = |bucket: &mut Bucket| (0..100).filter(|_| bucket.take(10.0, 20.0)).count();
        assert_eq!(taken(&mut bucket), 20);
        advance(Duration::from_secs(1)).await;
        assert_eq!(taken(&mut bucket), 10);
        advance(Duration::from_secs(60)).await;
        assert_eq!(taken(&mut bucket), 20);
    }

    fn address(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_takes_nothing_from_another_and_memory_is_bounded() {
        let mut rates = Rates::default();
        assert_eq!((0..10).filter(|_| rates.take(address(1), 1.0, 2.0)).count(), 2);
        assert!(rates.take(address(2), 1.0, 2.0));
        for n in 0..200_000 {
            rates.take(address(n), 1.0, 2.0);
            assert!(rates.young.len() + rates.old.len() <= ADDRESSES_MAX);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_on_asking_is_remembered_however_many_addresses_ask_once() {
        let mut rates = Rates::default();
        assert!(rates.take(address(0), 1.0, 1.0));
        for n in 1..200_000 {
            rates.take(address(n), 1.0, 1.0);
            if n % 10_000 == 0 {
                assert!(!rates.take(address(0), 1.0, 1.0), "a fresh bucket after {n}");
            }
        }
    }

    #[test]
    fn seats_are_given_back() {
        let seats = Arc::new(Seats::default());
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let take = |max, most| seats.take(Some(max), Some((address, most)));
        let first = take(2, 1).unwrap();
        assert_eq!(take(2, 1).unwrap_err(), NoSeat::AddressFull);
        let second = take(2, 2).unwrap();
        assert_eq!(take(2, 9).unwrap_err(), NoSeat::Full);
        assert_eq!(seats.open.get(), 2);
        drop((first, second));
        assert_eq!(seats.open.get(), 0);
        assert!(seats.by_address().is_empty());
    }
}
