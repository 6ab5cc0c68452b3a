//! How many Secrets are read at once. An API server that is slow with them is asked for no more meanwhile, and apps that
//! were never verified, which anybody can make, never take all of the places.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Reads under way in the whole process.
const AT_ONCE: usize = 32;
/// Those of them that are for apps that were never verified.
const NEVER_VERIFIED: usize = 16;

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
        Self { all: Semaphore::new(AT_ONCE), never_verified: Semaphore::new(NEVER_VERIFIED) }
    }
}

impl SecretReads {
    /// Waits for a place.
    pub async fn begin(&self, was_verified: bool) -> SecretRead<'_> {
        // They are never closed, so there is always a permit in the end.
        let of_never_verified = if was_verified { None } else { self.never_verified.acquire().await.ok() };
        SecretRead { _of_all: self.all.acquire().await.ok(), _of_never_verified: of_never_verified }
    }

    /// Reads that are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        AT_ONCE - self.all.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn apps_that_were_never_verified_leave_places_for_the_others() {
        let reads = SecretReads::default();
        let begin = |was_verified| reads.begin(was_verified).now_or_never();
        let strangers: Vec<_> = std::iter::from_fn(|| begin(false)).collect();
        assert_eq!((strangers.len(), reads.under_way()), (NEVER_VERIFIED, NEVER_VERIFIED));
        let known: Vec<_> = std::iter::from_fn(|| begin(true)).collect();
        assert_eq!((known.len(), reads.under_way()), (AT_ONCE - NEVER_VERIFIED, AT_ONCE));
        drop(strangers);
        assert!(begin(false).is_some() && begin(true).is_some(), "places are given back");
        drop(known);
        assert_eq!(reads.under_way(), 0);
    }
}
