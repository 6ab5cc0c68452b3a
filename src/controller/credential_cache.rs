//! Signatures, and the key behind them.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kube::Client;
use tokio::sync::Mutex;

use super::clock::Clock;
use super::secret_reads::SecretReads;
use crate::api::SecretKeyRef;
use crate::chat::usersig::VALID_FOR_SECONDS;
use crate::chat::{KeyFormat, SecretKey, UserSig};
use crate::k8s::secrets::{CredentialsError, read_key};

/// A key is kept in memory at most this long.
const KEY_TTL: Duration = Duration::from_mins(1);
/// A Secret that could not be used is not read again for this long.
const FAULT_TTL: Duration = Duration::from_secs(2);

/// Signs for one app. Keeps the key for a minute and the signature for half of its validity.
pub struct CredentialCache {
    namespace: String,
    reference: SecretKeyRef,
    format: KeyFormat,
    sdk_app_id: u32,
    identifier: String,
    cached: Mutex<Cached>,
    rejected: std::sync::Mutex<Vec<Arc<UserSig>>>,
}

#[derive(Default)]
struct Cached {
    /// Kept for a minute, then forgotten, used or not.
    key: Option<(SecretKey, Duration)>,
    /// Tells whether the Secret still has the key that was signed with.
    digest: Option<[u8; 32]>,
    usersig: Option<Arc<UserSig>>,
    /// Who comes shortly after a failed read gets the same answer.
    failed: Option<(CredentialsError, Duration)>,
}

impl CredentialCache {
    /// For the account `sdk_app_id`, in the name of `identifier`, with the key in a Secret of `namespace`.
    #[must_use]
    pub fn new(
        namespace: String,
        reference: SecretKeyRef,
        format: KeyFormat,
        sdk_app_id: u32,
        identifier: String,
    ) -> Self {
        Self {
            namespace,
            reference,
            format,
            sdk_app_id,
            identifier,
            cached: Mutex::default(),
            rejected: std::sync::Mutex::default(),
        }
    }

    /// A signature that is good for hours. Who comes while the Secret is being read waits for that one read.
    pub async fn usersig(
        &self,
        client: &Client,
        reads: &SecretReads,
        was_verified: bool,
        clock: Clock,
    ) -> Result<Arc<UserSig>, CredentialsError> {
        let mut cached = self.cached.lock().await;
        let now = clock.now();
        cached.forget_old_key(now.mono);
        cached.drop_rejected(&self.take_rejected());
        if let Some((fault, at)) = &cached.failed
            && now.mono < *at + FAULT_TTL
        {
            return Err(fault.clone());
        }
        let key = match cached.key.take() {
            Some(kept) => kept,
            None => match self.read(client, reads, was_verified).await {
                Ok(key) => (key, clock.now().mono),
                Err(fault) => {
                    cached.failed = Some((fault.clone(), clock.now().mono));
                    return Err(fault);
                }
            },
        };
        let (digest, now) = (key.0.digest(), clock.now().wall.as_second());
        let usersig = cached.fresh_usersig(digest, now).unwrap_or_else(|| {
            Arc::new(UserSig::mint(&key.0, self.sdk_app_id, &self.identifier, now, VALID_FOR_SECONDS))
        });
        *cached = Cached {
            key: Some(key),
            digest: Some(digest),
            usersig: Some(Arc::clone(&usersig)),
            failed: None,
        };
        Ok(usersig)
    }

    async fn read(
        &self,
        client: &Client,
        reads: &SecretReads,
        was_verified: bool,
    ) -> Result<SecretKey, CredentialsError> {
        let _place = reads.acquire(was_verified).await;
        read_key(client, &self.namespace, &self.reference, self.format).await
    }

    /// The vendor did not accept `usersig`: it and its key are dropped before the next signature is asked for, unless others
    /// are in use by then. Does not wait for a Secret that is being read.
    pub fn reject(&self, usersig: &Arc<UserSig>) {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(usersig));
    }

    fn take_rejected(&self) -> Vec<Arc<UserSig>> {
        std::mem::take(&mut *self.rejected.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When the signature in use ends, in seconds of the epoch. `None` also while the Secret is being read.
    pub fn expires(&self) -> Option<i64> {
        Some(self.cached.try_lock().ok()?.usersig.as_ref()?.expires())
    }

    /// Forgets a key that was kept for its minute; for apps that nobody uses.
    pub fn drop_expired_key(&self, now: Duration) {
        if let Ok(mut cached) = self.cached.try_lock() {
            cached.forget_old_key(now);
        }
    }
}

impl Cached {
    /// The signature, if it was made with the key of this digest and is good for hours from `now`, in seconds of the epoch.
    fn fresh_usersig(&self, digest: [u8; 32], now: i64) -> Option<Arc<UserSig>> {
        self.usersig.clone().filter(|sig| self.digest == Some(digest) && !sig.is_stale(now))
    }

    /// The vendor rejected these signatures: the one in use goes if it is among them, and its key with it.
    fn drop_rejected(&mut self, rejected: &[Arc<UserSig>]) {
        if self.usersig.as_ref().is_some_and(|sig| rejected.iter().any(|one| Arc::ptr_eq(sig, one))) {
            *self = Self::default();
        }
    }

    fn forget_old_key(&mut self, now: Duration) {
        if self.key.as_ref().is_some_and(|(_, read_at)| now >= *read_at + KEY_TTL) {
            self.key = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(text: &[u8], read_at: Duration) -> Cached {
        let key = SecretKey::parse(text, KeyFormat::Any).expect("a key");
        let usersig = UserSig::mint(&key, 7, "administrator", 0, VALID_FOR_SECONDS);
        let (digest, usersig) = (Some(key.digest()), Some(Arc::new(usersig)));
        Cached { key: Some((key, read_at)), digest, usersig, failed: None }
    }

    #[test]
    fn a_key_is_forgotten_after_a_minute() {
        let mut cached = cached(b"old", Duration::from_secs(5));
        cached.forget_old_key(Duration::from_secs(64));
        assert!(cached.key.is_some());
        cached.forget_old_key(Duration::from_secs(65));
        assert!(cached.key.is_none() && cached.usersig.is_some(), "the signature can still be used");
    }

    #[test]
    fn a_rejected_signature_takes_its_key_along_unless_another_is_in_use_by_then() {
        let (mut old, new) = (cached(b"old", Duration::ZERO), cached(b"new", Duration::ZERO));
        let (rejected, other) =
            (old.usersig.clone().expect("a signature"), new.usersig.expect("a signature"));
        old.drop_rejected(&[other.clone()]);
        assert!(old.key.is_some(), "another one was rejected");
        old.drop_rejected(&[rejected, other]);
        assert!(old.key.is_none() && old.usersig.is_none());
    }

    #[test]
    fn a_signature_is_used_for_half_of_its_validity_and_only_with_the_key_that_made_it() {
        let cached = cached(b"old", Duration::ZERO);
        let digest = |text: &[u8]| SecretKey::parse(text, KeyFormat::Any).expect("a key").digest();
        let half = VALID_FOR_SECONDS / 2;
        assert!(cached.fresh_usersig(digest(b"old"), half - 1).is_some());
        assert!(cached.fresh_usersig(digest(b"old"), half + 1).is_none(), "stale");
        assert!(cached.fresh_usersig(digest(b"new"), 0).is_none(), "another key");
    }
}
