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

/// Signs for one app. Keeps the key for a minute and the signature for half of its validity.
pub struct Signer {
    namespace: String,
    reference: SecretKeyRef,
    sdk_app_id: u32,
    identifier: String,
    held: Mutex<Option<Held>>,
}

struct Held {
    key: SecretKey,
    read_at: Duration,
    usersig: Arc<UserSig>,
}

impl Signer {
    /// For the account `sdk_app_id`, in the name of `identifier`, with the key in a Secret of `namespace`.
    #[must_use]
    pub fn new(namespace: String, reference: SecretKeyRef, sdk_app_id: u32, identifier: String) -> Self {
        Self { namespace, reference, sdk_app_id, identifier, held: Mutex::new(None) }
    }

    /// A signature that is good for hours. Who comes while the Secret is being read waits for that one read.
    pub async fn usersig(&self, client: &Client, clock: Clock) -> Result<Arc<UserSig>, CredentialsFault> {
        let mut held = self.held.lock().await;
        if held.as_ref().is_none_or(|held| clock.now().mono >= held.read_at + KEEP_KEY) {
            let last = held.take();
            let key = read_key(client, &self.namespace, &self.reference).await?;
            let now = clock.now();
            let usersig = match last {
                Some(last) if last.key.same_as(&key) => last.usersig,
                _ => self.mint(&key, now.wall.as_second()),
            };
            *held = Some(Held { key, read_at: now.mono, usersig });
        }
        let Some(held) = held.as_mut() else {
            return Err(CredentialsFault::NoAnswer("the key was dropped".to_owned()));
        };
        let now = clock.now().wall.as_second();
        if held.usersig.is_stale(now) {
            held.usersig = self.mint(&held.key, now);
        }
        Ok(Arc::clone(&held.usersig))
    }

    fn mint(&self, key: &SecretKey, now: i64) -> Arc<UserSig> {
        Arc::new(UserSig::mint(key, self.sdk_app_id, &self.identifier, now, VALID_FOR_SECONDS))
    }

    /// The vendor did not accept `usersig`: key and signature are dropped, unless others are in use by now.
    pub async fn reject(&self, usersig: &Arc<UserSig>) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(&held.usersig, usersig)) {
            *held = None;
        }
    }

    /// When the signature in use expires, in Unix seconds.
    pub async fn expires(&self) -> Option<i64> {
        self.held.lock().await.as_ref().map(|held| held.usersig.expires())
    }
}
