//! What is cached of a reset: everything while work may be left, else very little.

use std::sync::Arc;

use jiff::Timestamp;

use super::active::{ActiveReset, CacheOwner};
use crate::api::{GroupAttributeReset, ResetStatus};
use crate::limits::mono::Mono;
use crate::protocol::ownership::KnownEnd;

/// A cached reset.
pub struct ResetEntry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// resourceVersion of the cached object.
    pub version: String,
    /// When its timer fires.
    pub timer: Option<Mono>,
    /// Number of consecutive writes that Kubernetes rejected.
    pub faults: u32,
    /// No write before this moment.
    pub write_at: Option<Mono>,
    /// How often its status was restored recently, because someone else had changed it.
    pub restores: u32,
    /// Its status is not restored before this moment.
    pub restore_at: Mono,
    /// It is queued for a write slot.
    pub is_waiting_for_write_slot: bool,
    /// The full object while work may be left, else just enough to delete it in time and to recognize its final
    /// status.
    pub stage: Stage,
}

/// Whether work may be left to do.
pub enum Stage {
    /// Work may be left.
    Active(Box<ActiveReset>),
    /// Nothing is left, except to delete it at this moment.
    Finished(Option<Timestamp>, Box<KnownEnd>),
    /// Unknown, because the object cannot be decoded; holds the last known status.
    Malformed(Option<Box<ResetStatus>>),
    /// Kubernetes said that it is gone. A lagging watch may still show old versions for a while.
    Gone,
}

impl Stage {
    /// Reactivates a reset whose last known status is `known`.
    pub(super) fn reopened(
        object: Arc<GroupAttributeReset>,
        known: Option<ResetStatus>,
        reader: &CacheOwner,
        now: Mono,
    ) -> Self {
        let before = GroupAttributeReset { status: known, ..GroupAttributeReset::clone(&object) };
        let mut active = ActiveReset::new(Arc::new(before));
        active.update(object, reader, now);
        Self::Active(Box::new(active))
    }
}
