//! How many Secrets are read at once. An API server that is slow with them is asked for no more meanwhile, and apps that
//! were never verified, which anybody can make, never take all of the places.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Reads under way in the whole process.
const MAX_READS: usize = 32;
/// Those of them that are for apps that were never verified.
const MAX_UNVERIFIED_READS: usize = 16;

/// The places for reads.
#[derive(Debug)]
pub struct SecretReads {
    all: Semaphore,
    never_verified: Semaphore,
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub struct SecretRead<'a> {
    _of_all: Option<SemaphorePermit<'a>>,
    _of_never_verified: Option<SemaphorePermit<'a>>,
}

impl Default for SecretReads {
    fn default() -> Self {
        Self { all: Semaphore::new(MAX_READS), never_verified: Semaphore::new(MAX_UNVERIFIED_READS) }
    }
}

impl SecretReads {
    /// Waits for a place.
    pub async fn acquire(&self, was_verified: bool) -> SecretRead<'_> {
        // They are never closed, so there is always a permit in the end.
        let of_never_verified = if was_verified { None } else { self.never_verified.acquire().await.ok() };
        SecretRead { _of_all: self.all.acquire().await.ok(), _of_never_verified: of_never_verified }
    }

    /// Reads that are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        MAX_READS - self.all.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn apps_that_were_never_verified_leave_places_for_the_others() {
        let reads = SecretReads::default();
        let begin = |was_verified| reads.acquire(was_verified).now_or_never();
        let strangers: Vec<_> = std::iter::from_fn(|| begin(false)).collect();
        assert_eq!((strangers.len(), reads.in_flight()), (MAX_UNVERIFIED_READS, MAX_UNVERIFIED_READS));
        let known: Vec<_> = std::iter::from_fn(|| begin(true)).collect();
        assert_eq!((known.len(), reads.in_flight()), (MAX_READS - MAX_UNVERIFIED_READS, MAX_READS));
        drop(strangers);
        assert!(begin(false).is_some() && begin(true).is_some(), "places are given back");
        drop(known);
        assert_eq!(reads.in_flight(), 0);
    }
}
