//! The memory of request bodies under way, all together.
//!
//! A body's bytes are reserved before it is read: all of them at once if its length is announced, because bodies that
//! reserved piece by piece could all hold a part and wait for each other. One without a length begins as a small body;
//! if it turns out to be large, it reserves the rest of the largest body in one step, and gives back what it did not
//! need. If it has begun in the shared part, it gets that step at once, or moves to the small part before it waits, or is
//! refused.
//!
//! Whoever announces a large body and sends nothing keeps others with large bodies waiting, but nobody with a small
//! one: an eighth of the budget is for small bodies, and these take from the rest, too, while nobody waits for it.
//! Bytes are taken from the small part first and from the shared part second, and whoever holds some of the shared part
//! waits for nothing, so nobody can wait for somebody who waits for them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest body that counts as small; an ordinary conversation is one.
const SMALL_BYTES: usize = 64 * 1024;

/// The part of the budget that is for small bodies.
const SMALL_PART: usize = 8;

/// How many bytes all bodies together may take. Each permit of the semaphores is a byte.
#[derive(Debug)]
pub struct BodyBudget {
    shared: Arc<Semaphore>,
    shared_bytes: usize,
    small: Arc<Semaphore>,
    small_bytes: usize,
}

/// The memory of one body. It is held as long as the body, or the request that was parsed from it and is as large, and
/// given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct BodyPermit {
    small: Option<OwnedSemaphorePermit>,
    shared: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    /// A budget of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let bytes = bytes.min(Semaphore::MAX_PERMITS);
        let small_bytes = bytes / SMALL_PART;
        let shared_bytes = bytes - small_bytes;
        Self {
            shared: Arc::new(Semaphore::new(shared_bytes)),
            shared_bytes,
            small: Arc::new(Semaphore::new(small_bytes)),
            small_bytes,
        }
    }

    /// The largest body whose length is announced, in bytes.
    pub(super) fn most(&self) -> usize {
        self.small_bytes + self.shared_bytes
    }

    /// The largest body without a length, in bytes: a little less than [`most`](Self::most) if that is more than half a
    /// megabyte.
    pub(super) fn most_unannounced(&self) -> usize {
        self.smallest() + self.shared_bytes
    }

    /// What a body without a length begins with, in bytes.
    fn smallest(&self) -> usize {
        SMALL_BYTES.min(self.small_bytes)
    }

    /// Reserves the memory of a body of `bytes`, at most [`most`](Self::most). Waits until it is free.
    pub(super) async fn reserve(&self, bytes: usize) -> BodyPermit {
        if bytes <= self.smallest() {
            let free = try_take(&self.small, bytes).map(BodyPermit::small);
            return match free.or_else(|| try_take(&self.shared, bytes).map(BodyPermit::shared)) {
                Some(permit) => permit,
                None => BodyPermit { small: take(&self.small, bytes).await, shared: None },
            };
        }
        // More than the shared part has only a body of nearly the whole budget.
        let small = match bytes.saturating_sub(self.shared_bytes) {
            0 => None,
            beyond => take(&self.small, beyond).await,
        };
        BodyPermit { small, shared: take(&self.shared, bytes.min(self.shared_bytes)).await }
    }

    /// Reserves what a body without a length begins with. Waits until it is free.
    pub(super) async fn begin(&self) -> BodyPermit {
        self.reserve(self.smallest()).await
    }

    /// Lets a body become as large as `bytes`, at most [`most_unannounced`](Self::most_unannounced). Waits until that is free. Returns whether there is room; if not, it
    /// would have to wait while others may wait for it.
    pub(super) async fn grow(&self, permit: &mut BodyPermit, bytes: usize) -> bool {
        let more = bytes.saturating_sub(permit.bytes());
        if let Some(mut begun) = permit.shared.take() {
            if let Some(rest) = try_take(&self.shared, more) {
                begun.merge(rest);
                permit.shared = Some(begun);
                return true;
            }
            // Whoever waits may hold only some of the small part.
            let Some(moved) = try_take(&self.small, begun.num_permits()) else {
                permit.shared = Some(begun);
                return false;
            };
            match &mut permit.small {
                Some(small) => small.merge(moved),
                none => *none = Some(moved),
            }
        }
        permit.shared = take(&self.shared, more.min(self.shared_bytes)).await;
        true
    }
}

impl BodyPermit {
    fn small(permit: OwnedSemaphorePermit) -> Self {
        Self { small: Some(permit), shared: None }
    }

    fn shared(permit: OwnedSemaphorePermit) -> Self {
        Self { small: None, shared: Some(permit) }
    }

    /// How many bytes are reserved.
    pub(super) fn bytes(&self) -> usize {
        self.parts().map(OwnedSemaphorePermit::num_permits).sum()
    }

    /// Gives back all but `bytes`; first what small bodies may need.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let mut beyond = self.bytes().saturating_sub(bytes);
        for part in [&mut self.small, &mut self.shared].into_iter().flatten() {
            let given = beyond.min(part.num_permits());
            drop(part.split(given));
            beyond -= given;
        }
    }

    fn parts(&self) -> impl Iterator<Item = &OwnedSemaphorePermit> {
        self.small.iter().chain(&self.shared)
    }
}

fn try_take(part: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    part.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
}

/// Waits in line. The parts are never closed, and no body is as large as `u32` reaches.
async fn take(part: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    part.clone().acquire_many_owned(u32::try_from(bytes).ok()?).await.ok()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// What is there at once; `None` if one has to wait.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        future.now_or_never()
    }

    #[test]
    fn bodies_together_take_no_more_than_there_is() {
        let budget = BodyBudget::new(800_000);
        let first = now(budget.reserve(400_000)).unwrap();
        assert_eq!(first.bytes(), 400_000);
        let second = now(budget.reserve(300_000)).unwrap();
        assert!(now(budget.reserve(200_000)).is_none());
        drop(second);
        assert!(now(budget.reserve(200_000)).is_some());
    }

    #[test]
    fn a_body_may_take_everything() {
        for bytes in [1, 7, 800, 800_000] {
            let budget = BodyBudget::new(bytes);
            let all = now(budget.reserve(budget.most())).unwrap();
            assert_eq!(all.bytes(), bytes);
            assert!(now(budget.reserve(1)).is_none(), "{bytes}");
            drop(all);
            assert!(now(budget.reserve(bytes)).is_some(), "{bytes}");
        }
    }

    #[tokio::test]
    async fn small_bodies_pass_large_ones_that_wait() {
        let budget = Arc::new(BodyBudget::new(8_000_000));
        let first = now(budget.reserve(5_000_000)).unwrap();
        let waiting = budget.reserve(6_000_000);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        let small: Vec<_> =
            (0..1_000_000 / SMALL_BYTES).map(|_| now(budget.reserve(SMALL_BYTES)).unwrap()).collect();
        assert!(
            now(budget.reserve(SMALL_BYTES)).is_none(),
            "their part is used up, and the rest is waited for"
        );
        drop(first);
        waiting.await;
        drop(small);
    }

    #[test]
    fn small_bodies_may_take_what_nobody_waits_for() {
        let budget = BodyBudget::new(8_000_000);
        let small: Vec<_> = (0..100).map(|_| now(budget.reserve(60_000)).unwrap()).collect();
        assert!(small.iter().any(|permit| permit.shared.is_some()));
    }

    #[test]
    fn a_body_without_a_length_grows_once_and_gives_back_what_it_does_not_need() {
        let budget = BodyBudget::new(8_000_000);
        let mut permit = now(budget.begin()).unwrap();
        assert_eq!(permit.bytes(), SMALL_BYTES);
        assert!(now(budget.grow(&mut permit, 7_000_000)).unwrap());
        assert_eq!(permit.bytes(), 7_000_000);
        let mut other = now(budget.begin()).unwrap();
        assert!(now(budget.grow(&mut other, 7_000_000)).is_none());
        permit.shrink(100_000);
        assert_eq!(permit.bytes(), 100_000);
        assert_eq!(
            permit.small.as_ref().unwrap().num_permits(),
            0,
            "a large body holds nothing of the small ones'"
        );
        permit.shrink(1_000);
        assert_eq!(permit.bytes(), 1_000);
        drop((permit, other));
        assert!(now(budget.reserve(8_000_000)).is_some());
    }

    #[test]
    fn a_body_without_a_length_waits_for_nobody_who_may_wait_for_it() {
        let budget = BodyBudget::new(1_000_000);
        let slow = now(budget.begin()).unwrap();
        let mut permit = now(budget.begin()).expect("the shared part is free");
        assert!(permit.shared.is_some() && permit.bytes() == SMALL_BYTES);
        assert!(now(budget.grow(&mut permit, 500_000)).unwrap(), "there is room");
        assert_eq!(permit.bytes(), 500_000);
        permit.shrink(SMALL_BYTES);

        let other = now(budget.reserve(700_000)).unwrap();
        assert_eq!(now(budget.grow(&mut permit, 500_000)), Some(false), "it would wait with shared bytes");
        assert_eq!(permit.bytes(), SMALL_BYTES, "and keeps what it has");
        drop(slow);
        assert_eq!(now(budget.grow(&mut permit, 500_000)), None, "it waits with bytes of the small part");
        assert!(permit.shared.is_none() && permit.bytes() == SMALL_BYTES);
        drop(other);
        assert_eq!(now(budget.grow(&mut permit, 500_000)), Some(true));
        drop(permit);
        assert!(now(budget.reserve(1_000_000)).is_some());
    }

    #[test]
    fn a_small_budget_has_room_for_a_body_without_a_length() {
        for bytes in [1, 100, 500_000] {
            let budget = BodyBudget::new(bytes);
            let mut permit = now(budget.begin()).unwrap();
            assert!(now(budget.grow(&mut permit, budget.most_unannounced())).unwrap());
            assert_eq!(permit.bytes(), bytes);
        }
    }
}
