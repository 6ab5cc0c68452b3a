//! Bounds how many Secrets are read at once, so that a slow API server is not flooded. Never-verified apps, which any
//! tenant can create, cannot take all of the permits.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Reads in flight in the whole process.
const MAX_READS: usize = 32;
/// Reads in flight for never-verified apps.
const MAX_UNVERIFIED_READS: usize = 16;

/// The permits for reads of Secrets.
#[derive(Debug)]
pub(crate) struct SecretReads {
    all: Semaphore,
    never_verified: Semaphore,
}

/// A permit for one read; released on drop.
#[derive(Debug)]
pub(crate) struct SecretRead<'a> {
    _of_all: Option<SemaphorePermit<'a>>,
    _of_never_verified: Option<SemaphorePermit<'a>>,
}

impl Default for SecretReads {
    fn default() -> Self {
        Self { all: Semaphore::new(MAX_READS), never_verified: Semaphore::new(MAX_UNVERIFIED_READS) }
    }
}

impl SecretReads {
    /// Waits for a permit.
    pub(crate) async fn acquire(&self, was_verified: bool) -> SecretRead<'_> {
        // The semaphores are never closed, so `acquire` does not fail.
        let of_never_verified = if was_verified { None } else { self.never_verified.acquire().await.ok() };
        SecretRead { _of_all: self.all.acquire().await.ok(), _of_never_verified: of_never_verified }
    }

    /// Number of reads in flight.
    #[must_use]
    pub(crate) fn in_flight(&self) -> usize {
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
        let acquire = |was_verified| reads.acquire(was_verified).now_or_never();
        let unverified: Vec<_> = std::iter::from_fn(|| acquire(false)).collect();
        assert_eq!((unverified.len(), reads.in_flight()), (MAX_UNVERIFIED_READS, MAX_UNVERIFIED_READS));
        let verified: Vec<_> = std::iter::from_fn(|| acquire(true)).collect();
        assert_eq!((verified.len(), reads.in_flight()), (MAX_READS - MAX_UNVERIFIED_READS, MAX_READS));
        drop(unverified);
        assert!(acquire(false).is_some() && acquire(true).is_some(), "permits are released");
        drop(verified);
        assert_eq!(reads.in_flight(), 0);
    }
}
