//! Signatures, and the key behind them.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::Mutex;

use super::clock::Clock;
use crate::api::SecretKeyRef;
use crate::chat::usersig::VALID_FOR_SECONDS;
use crate::chat::{SecretKey, UserSig};
use crate::cluster::credentials::{CredentialsFault, read_key};

/// A key is kept in memory at most this long.
const KEEP_KEY: Duration = Duration::from_mins(1);
/// A Secret that could not be used is not read again for this long.
const KEEP_FAULT: Duration = Duration::from_secs(2);

/// Signs for one app. Keeps the key for a minute and the signature for half of its validity.
pub struct Signer {
    namespace: String,
    reference: SecretKeyRef,
    sdk_app_id: u32,
    identifier: String,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Kept for a minute, then forgotten, used or not.
    key: Option<(SecretKey, Duration)>,
    /// Tells whether the Secret still has the key that was signed with.
    digest: Option<[u8; 32]>,
    usersig: Option<Arc<UserSig>>,
    /// Who comes shortly after a failed read gets the same answer.
    failed: Option<(CredentialsFault, Duration)>,
}

impl Signer {
    /// For the account `sdk_app_id`, in the name of `identifier`, with the key in a Secret of `namespace`.
    #[must_use]
    pub fn new(namespace: String, reference: SecretKeyRef, sdk_app_id: u32, identifier: String) -> Self {
        Self { namespace, reference, sdk_app_id, identifier, held: Mutex::default() }
    }

    /// A signature that is good for hours. Who comes while the Secret is being read waits for that one read.
    pub async fn usersig(&self, client: &Client, clock: Clock) -> Result<Arc<UserSig>, CredentialsFault> {
        let mut held = self.held.lock().await;
        let now = clock.now();
        held.forget_old_key(now.mono);
        if let Some((fault, at)) = &held.failed
            && now.mono < *at + KEEP_FAULT
        {
            return Err(fault.clone());
        }
        let key = match held.key.take() {
            Some(kept) => kept,
            None => match read_key(client, &self.namespace, &self.reference).await {
                Ok(key) => (key, clock.now().mono),
                Err(fault) => {
                    held.failed = Some((fault.clone(), clock.now().mono));
                    return Err(fault);
                }
            },
        };
        let (digest, now) = (key.0.digest(), clock.now().wall.as_second());
        let usable = held.usersig.take().filter(|sig| held.digest == Some(digest) && !sig.is_stale(now));
        let usersig = usable.unwrap_or_else(|| {
            Arc::new(UserSig::mint(&key.0, self.sdk_app_id, &self.identifier, now, VALID_FOR_SECONDS))
        });
        *held =
            Held { key: Some(key), digest: Some(digest), usersig: Some(Arc::clone(&usersig)), failed: None };
        Ok(usersig)
    }

    /// The vendor did not accept `usersig`: key and signature are dropped, unless others are in use by now.
    pub async fn reject(&self, usersig: &Arc<UserSig>) {
        let mut held = self.held.lock().await;
        if held.usersig.as_ref().is_some_and(|sig| Arc::ptr_eq(sig, usersig)) {
            *held = Held::default();
        }
    }

    /// Forgets a key that was kept for its minute; for apps that nobody uses.
    pub fn forget_old_key(&self, now: Duration) {
        if let Ok(mut held) = self.held.try_lock() {
            held.forget_old_key(now);
        }
    }
}

impl Held {
    fn forget_old_key(&mut self, now: Duration) {
        if self.key.as_ref().is_some_and(|(_, read_at)| now >= *read_at + KEEP_KEY) {
            self.key = None;
        }
    }
}
