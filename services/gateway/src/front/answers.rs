//! Answers under way that are read from the bus while they are sent: how many there may be, and of whom.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bytes that one answer may need at once: a page of the bus that is being read, the same encoded and on its way, and
/// what is remembered of markets that were sent.
pub(super) const ANSWER_BYTES: u64 = 1 << 20;
/// An address may have this part of the room that is left, and one answer always. So one address that asks for all it can
/// get has a fifth of the room, and however many do, some is left for the next.
const PART_OF_FREE: usize = 4;

/// The answers under way.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// An address without one is not kept.
    by_address: HashMap<IpAddr, usize>,
}

/// Why there is no room for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// All of it is taken.
    Full,
    /// This address has its share.
    AddressFull,
}

/// Whether somebody who has `own` answers under way may have one more, where `all` of `room` are taken.
fn share(own: usize, all: usize, room: usize) -> Result<(), NoAnswer> {
    let free = room.saturating_sub(all);
    if free == 0 {
        Err(NoAnswer::Full)
    } else if own == 0 || own < free / PART_OF_FREE {
        Ok(())
    } else {
        Err(NoAnswer::AddressFull)
    }
}

/// One answer under way, until its last byte is gone.
#[derive(Debug)]
pub(crate) struct Answer {
    answers: Arc<Answers>,
    address: Option<IpAddr>,
}

impl Answers {
    /// Begins one of `room` answers; whoever has no address of its own is limited by the room alone.
    pub(super) fn begin(self: &Arc<Self>, address: Option<IpAddr>, room: usize) -> Result<Answer, NoAnswer> {
        let mut taken = self.taken();
        let own = address.and_then(|address| taken.by_address.get(&address));
        share(own.copied().unwrap_or(0), taken.all, room)?;
        taken.all += 1;
        if let Some(address) = address {
            *taken.by_address.entry(address).or_default() += 1;
        }
        Ok(Answer {
            answers: Arc::clone(self),
            address,
        })
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut taken = self.answers.taken();
        taken.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(own) = taken.by_address.get_mut(&address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(n: usize) -> IpAddr {
        IpAddr::from(u32::try_from(n).unwrap().to_be_bytes())
    }

    #[test]
    fn one_address_that_takes_what_it_can_leaves_most_of_the_room() {
        let answers = Arc::new(Answers::default());
        let held: Vec<Answer> = (0..1_000)
            .map_while(|_| answers.begin(Some(address(1)), 100).ok())
            .collect();
        assert_eq!(held.len(), 20);
        let refused = answers.begin(Some(address(1)), 100).unwrap_err();
        assert_eq!(refused, NoAnswer::AddressFull);
        assert!(answers.begin(Some(address(2)), 100).is_ok());
        drop(held);
        assert_eq!(answers.count(), 0);
        assert!(answers.taken().by_address.is_empty());
    }

    proptest! {
        /// However greedy the others are: nobody has more than a part of what was free, the whole is never passed, and
        /// somebody new is refused only when all of it is taken.
        #[test]
        fn shares_hold_whoever_asks_in_whatever_order(
            room in 1_usize..200,
            asks in prop::collection::vec((0_usize..12, any::<bool>()), 1..600),
        ) {
            let answers = Arc::new(Answers::default());
            let mut held: HashMap<usize, Vec<Answer>> = HashMap::new();
            for (who, gives_back) in asks {
                if gives_back {
                    held.entry(who).or_default().pop();
                    continue;
                }
                let own = held.get(&who).map_or(0, Vec::len);
                let free = room - answers.count();
                match answers.begin(Some(address(who)), room) {
                    Ok(answer) => {
                        prop_assert!(own == 0 || own < free / PART_OF_FREE);
                        held.entry(who).or_default().push(answer);
                    }
                    Err(NoAnswer::Full) => prop_assert_eq!(free, 0),
                    Err(NoAnswer::AddressFull) => prop_assert!(own > 0),
                }
                prop_assert!(answers.count() <= room);
                prop_assert_eq!(answers.count(), held.values().map(Vec::len).sum::<usize>());
            }
        }
    }
}
