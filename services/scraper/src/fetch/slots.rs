//! A bounded number of things at once, where the bound may change meanwhile.

use super::lock;
use std::{pin::pin, sync::Mutex};
use tokio::sync::Notify;

/// Gives out a bounded number of slots.
#[derive(Debug)]
pub(super) struct Slots {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: u32,
    taken: u32,
}

/// A slot, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            state: Mutex::new(State { limit, taken: 0 }),
            freed: Notify::new(),
        }
    }

    /// Changes the bound. Slots above a lower one are not taken away, only not given again.
    pub(super) fn limit(&self, limit: u32) {
        let mut state = lock(&self.state);
        let more = limit.saturating_sub(state.limit);
        state.limit = limit;
        drop(state);
        for _ in 0..more {
            self.freed.notify_one();
        }
    }

    /// Waits for a slot.
    ///
    /// # Cancel safety
    /// Dropping it takes nothing, and passes on to the next one what it was offered.
    pub(super) async fn take(&self) -> Slot<'_> {
        loop {
            let mut freed = pin!(self.freed.notified());
            // In the queue before the look, so that no slot becomes free unnoticed in between.
            freed.as_mut().enable();
            if self.try_take() {
                return Slot(self);
            }
            freed.await;
        }
    }

    fn try_take(&self) -> bool {
        let mut state = lock(&self.state);
        let free = state.taken < state.limit;
        state.taken += u32::from(free);
        free
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).taken -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    async fn is_ready<T>(future: impl Future<Output = T>) -> bool {
        futures_util::poll!(pin!(future)).is_ready()
    }

    #[tokio::test]
    async fn no_more_are_taken_than_the_bound_whatever_it_becomes() {
        let slots = Slots::new(2);
        let first = slots.take().await;
        let second = slots.take().await;
        let mut third = pin!(slots.take());
        assert!(futures_util::poll!(third.as_mut()).is_pending());
        slots.limit(3);
        let Poll::Ready(third) = futures_util::poll!(third.as_mut()) else {
            panic!("a higher bound frees a slot");
        };
        slots.limit(1);
        drop(first);
        drop(second);
        assert!(!is_ready(slots.take()).await, "a lower bound holds");
        drop(third);
        assert!(is_ready(slots.take()).await);
    }

    #[tokio::test]
    async fn who_gives_up_passes_the_slot_on() {
        let slots = Slots::new(1);
        let first = slots.take().await;
        let mut third = pin!(slots.take());
        {
            let mut second = pin!(slots.take());
            assert!(futures_util::poll!(second.as_mut()).is_pending());
            assert!(futures_util::poll!(third.as_mut()).is_pending());
            drop(first);
        }
        assert!(futures_util::poll!(third.as_mut()).is_ready());
    }
}
