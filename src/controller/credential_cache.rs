//! Caches the key and the signature of an app.

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
use crate::limits::mono::Mono;

/// A key is kept in memory at most this long.
const KEY_TTL: Duration = Duration::from_mins(1);
/// An unusable Secret is not read again for this long.
const FAULT_TTL: Duration = Duration::from_secs(2);

/// Signs for one app. Keeps the key for a minute and the signature for half of its validity period.
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
    /// The key and when it was read; dropped after a minute, used or not.
    key: Option<(SecretKey, Mono)>,
    /// Digest of the key that signed, to detect a changed Secret.
    digest: Option<[u8; 32]>,
    usersig: Option<Arc<UserSig>>,
    /// The last failure and its moment; repeated to callers that follow shortly after.
    failed: Option<(CredentialsError, Mono)>,
}

impl CredentialCache {
    /// Signs as `identifier` for the account `sdk_app_id`, with the key in a Secret in `namespace`.
    #[must_use]
    pub(crate) fn new(
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

    /// A signature that stays valid for hours. Concurrent callers share one read of the Secret.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`] if the Secret cannot be read or holds no usable key; repeated for 2 s without another
    /// read.
    pub(crate) async fn usersig(
        &self,
        client: &Client,
        reads: &SecretReads,
        was_verified: bool,
        clock: Clock,
    ) -> Result<Arc<UserSig>, CredentialsError> {
        let mut cached = self.cached.lock().await;
        let now = clock.now();
        cached.drop_old_key(now.mono);
        cached.drop_rejected(&self.take_rejected());
        if let Some((fault, at)) = &cached.failed
            && now.mono < *at + FAULT_TTL
        {
            return Err(fault.clone());
        }
        let key = match cached.key.take() {
            Some(cached_key) => cached_key,
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
        let _permit = reads.acquire(was_verified).await;
        read_key(client, &self.namespace, &self.reference, self.format).await
    }

    /// The vendor rejected `usersig`: it and its key are dropped before the next signature is handed out, unless they
    /// have been replaced by then. Does not wait for a Secret that is being read.
    pub(crate) fn reject(&self, usersig: &Arc<UserSig>) {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(usersig));
    }

    fn take_rejected(&self) -> Vec<Arc<UserSig>> {
        std::mem::take(&mut *self.rejected.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When the current signature expires, in Unix seconds. `None` if there is none, or while the Secret is being
    /// read.
    pub(crate) fn expires(&self) -> Option<i64> {
        Some(self.cached.try_lock().ok()?.usersig.as_ref()?.expires())
    }

    /// Drops a key whose minute is over, for apps that are not used.
    pub(crate) fn drop_expired_key(&self, now: Mono) {
        if let Ok(mut cached) = self.cached.try_lock() {
            cached.drop_old_key(now);
        }
    }
}

impl Cached {
    /// The signature, if the key with this digest made it and it stays valid for hours from `now`, in Unix seconds.
    fn fresh_usersig(&self, digest: [u8; 32], now: i64) -> Option<Arc<UserSig>> {
        self.usersig.clone().filter(|sig| self.digest == Some(digest) && !sig.is_stale(now))
    }

    /// Drops the current signature and its key if the signature is among these.
    fn drop_rejected(&mut self, rejected: &[Arc<UserSig>]) {
        if self.usersig.as_ref().is_some_and(|sig| rejected.iter().any(|one| Arc::ptr_eq(sig, one))) {
            *self = Self::default();
        }
    }

    fn drop_old_key(&mut self, now: Mono) {
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
        Cached { key: Some((key, Mono::START + read_at)), digest, usersig, failed: None }
    }

    #[test]
    fn a_key_is_forgotten_after_a_minute() {
        let mut cached = cached(b"old", Duration::from_secs(5));
        cached.drop_old_key(Mono::START + Duration::from_secs(64));
        assert!(cached.key.is_some());
        cached.drop_old_key(Mono::START + Duration::from_secs(65));
        assert!(cached.key.is_none() && cached.usersig.is_some(), "the signature can still be used");
    }

    #[test]
    fn a_rejected_signature_takes_its_key_along_unless_another_is_in_use_by_then() {
        let (mut old, new) = (cached(b"old", Duration::ZERO), cached(b"new", Duration::ZERO));
        let (rejected, other) =
            (old.usersig.clone().expect("a signature"), new.usersig.expect("a signature"));
        old.drop_rejected(std::slice::from_ref(&other));
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
