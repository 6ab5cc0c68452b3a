//! The cache of all resets. The entry of a reset with work left to do is in `active`.

mod active;
mod entry;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt as _;

pub use self::active::{ActiveReset, CacheOwner, ForeignAttempt, QueuePosition};
pub use self::entry::{ResetEntry, Stage};
use crate::api::{AppKey, AppKind, GroupAttributeReset};
use crate::limits::mono::Mono;
use crate::protocol::deadlines::{expires_at, gitops_owner};
use crate::protocol::ownership::KnownEnd;
use crate::protocol::{Now, status};

/// All resets, by uid.
#[derive(Default)]
pub struct ResetCache {
    /// All entries.
    pub all: HashMap<String, ResetEntry>,
    /// uids of the active ones by app, so that a change of an app or a namespace reconciles no others.
    by_app: HashMap<AppKey, HashSet<String>>,
    reader: CacheOwner,
}

/// Where an object came from, and so how fresh it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// From a watch: it may be older than the cached object.
    MaybeStale,
    /// The answer to a write of this process: the status is our own. It, too, may be older than the cached object.
    OwnWrite,
    /// From a list, or a GET that no watch event overtook: the current state, even if its resourceVersion is lower,
    /// for example after a restore from backup.
    Consistent,
}

/// The result of an upsert.
#[must_use]
pub enum Upserted {
    /// The object is older than the cached one and was ignored.
    Stale,
    /// The object is cached.
    Stored {
        /// An attempt of another process that was not seen before.
        foreign: Option<ForeignAttempt>,
        /// The status was written by this process.
        is_own: bool,
    },
}

impl ResetCache {
    /// An empty cache.
    #[must_use]
    pub fn new(reader: CacheOwner) -> Self {
        Self { all: HashMap::new(), by_app: HashMap::new(), reader }
    }

    /// Caches `object`, unless the cached one is newer. The first status seen of a reset is trusted; after that only
    /// statuses that this process wrote and, for a while, those of its predecessor.
    pub fn upsert(&mut self, object: Arc<GroupAttributeReset>, freshness: Freshness, now: Now) -> Upserted {
        let uid = object.uid().unwrap_or_default();
        let version = object.resource_version().unwrap_or_default();
        let entry = self.all.entry(uid.clone()).or_insert_with(|| ResetEntry {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            version: String::new(),
            timer: None,
            faults: 0,
            write_at: None,
            restores: 0,
            restore_at: Mono::START,
            is_waiting_for_write_slot: false,
            stage: Stage::Active(Box::new(ActiveReset::new(Arc::clone(&object)))),
        });
        let is_news = entry.version != version;
        let is_old = is_older(&version, &entry.version) || matches!(entry.stage, Stage::Gone) && !is_news;
        let mut is_own = freshness == Freshness::OwnWrite;
        match &mut entry.stage {
            Stage::Active(active) if is_old && freshness == Freshness::OwnWrite => {
                active.on_written(object, true);
            }
            _ if is_old && freshness != Freshness::Consistent => return Upserted::Stale,
            stage => {
                if is_news {
                    entry.version = version;
                    // Earlier rejected writes were about another version.
                    (entry.faults, entry.write_at) = (0, None);
                }
                match stage {
                    Stage::Active(active) if freshness == Freshness::OwnWrite => {
                        active.on_written(object, false);
                    }
                    Stage::Active(active) => {
                        active.seen_newer |= is_news && active.busy;
                        is_own |= active.update(object, &self.reader, now.mono);
                    }
                    Stage::Gone => *stage = Stage::Active(Box::new(ActiveReset::new(object))),
                    Stage::Finished(_, end) if end.matches(&status::current(&object)) => {
                        *stage = Stage::Active(Box::new(ActiveReset::new(object)));
                    }
                    Stage::Finished(_, end) => {
                        let known = Some(end.status(&object, now));
                        let end = end.clone();
                        *stage = Stage::reopened(object, known, &self.reader, now.mono);
                        if let Stage::Active(active) = stage {
                            active.compacted_end = Some(end);
                        }
                    }
                    Stage::Malformed(known) => {
                        let known = known.take().map(|known| *known);
                        *stage = Stage::reopened(object, known, &self.reader, now.mono);
                    }
                }
            }
        }
        let Stage::Active(active) = &mut entry.stage else {
            return Upserted::Stored { foreign: None, is_own };
        };
        let foreign = active.refresh_local(&self.reader.identity, now);
        self.compact(&uid);
        self.index_app(&uid);
        Upserted::Stored { foreign, is_own }
    }

    /// The reset, while work may be left to do.
    pub fn active(&mut self, uid: &str) -> Option<&mut ActiveReset> {
        match self.all.get_mut(uid).map(|entry| &mut entry.stage) {
            Some(Stage::Active(active)) => Some(active),
            _ => None,
        }
    }

    /// Whether a finished reset is due for deletion later; `None` if it is not finished.
    #[must_use]
    pub fn has_deletion_due(&self, uid: &str) -> Option<bool> {
        match self.all.get(uid)?.stage {
            Stage::Active(_) | Stage::Gone | Stage::Malformed(_) => None,
            Stage::Finished(delete_at, _) => Some(delete_at.is_some()),
        }
    }

    /// Kubernetes said that it is gone. The entry is kept until a watch or a list confirms it.
    pub fn mark_gone(&mut self, uid: &str) {
        if let Some(entry) = self.all.get_mut(uid)
            && let Stage::Active(active) = std::mem::replace(&mut entry.stage, Stage::Gone)
        {
            self.unindex_app(uid, &active.app);
        }
    }

    /// A watch or a list confirmed that it is gone: removes the entry.
    pub fn forget(&mut self, uid: &str) {
        self.mark_gone(uid);
        self.all.remove(uid);
    }

    /// It cannot be decoded any more. The last known status is kept: a client that can make an object unreadable must
    /// not make us forget that it has ended or that a call was made.
    pub fn mark_malformed(&mut self, uid: &str) {
        if let Some(entry) = self.all.get_mut(uid)
            && let Stage::Active(active) = &entry.stage
        {
            let app = active.app.clone();
            entry.stage = Stage::Malformed(active.object.status.clone().map(Box::new));
            self.unindex_app(uid, &app);
        }
    }

    /// Drops most of the entry if no work is left.
    pub fn compact(&mut self, uid: &str) {
        if let Some(entry) = self.all.get_mut(uid)
            && let Stage::Active(active) = &entry.stage
            && !active.busy
            && !active.is_overwritten()
            && is_finished(&active.object)
        {
            let (app, end) = (active.app.clone(), Box::new(KnownEnd::of(&status::current(&active.object))));
            entry.stage = Stage::Finished(deletion(&active.object), end);
            self.unindex_app(uid, &app);
        }
    }

    fn index_app(&mut self, uid: &str) {
        let Some(Stage::Active(active)) = self.all.get(uid).map(|entry| &entry.stage) else { return };
        if !self.by_app.get(&active.app).is_some_and(|uids| uids.contains(uid)) {
            self.by_app.entry(active.app.clone()).or_default().insert(uid.to_owned());
        }
    }

    fn unindex_app(&mut self, uid: &str, app: &AppKey) {
        if let Some(uids) = self.by_app.get_mut(app) {
            uids.remove(uid);
            if uids.is_empty() {
                self.by_app.remove(app);
            }
        }
    }

    /// Unsettled attempts of other processes, by the uid of their reset.
    #[must_use]
    pub fn foreign_attempts(&self, now: Mono) -> Vec<(String, ForeignAttempt)> {
        let foreign = |(uid, active): (&String, &ActiveReset)| {
            let pending = active.object.status.as_ref()?.pending_attempt.as_ref()?;
            Some((uid.clone(), ForeignAttempt::of(pending, &self.reader.identity, now)?))
        };
        self.all_active().filter_map(foreign).collect()
    }

    /// uids of the active resets that refer to this app.
    #[must_use]
    pub fn of_app(&self, app: &AppKey) -> Vec<String> {
        self.by_app.get(app).into_iter().flatten().cloned().collect()
    }

    /// uids of the active resets in this namespace that refer to a `ClusterChatApp`.
    #[must_use]
    pub fn of_cluster_apps(&self, namespace: &str) -> Vec<String> {
        let of_cluster = self.by_app.iter().filter(|(app, _)| app.kind == AppKind::ClusterChatApp);
        let is_inside = |uid: &&String| self.all.get(*uid).is_some_and(|entry| entry.namespace == namespace);
        of_cluster.flat_map(|(_, uids)| uids).filter(is_inside).cloned().collect()
    }

    /// All active resets.
    pub fn all_active(&self) -> impl Iterator<Item = (&String, &ActiveReset)> {
        self.all.iter().filter_map(|(uid, entry)| match &entry.stage {
            Stage::Active(active) => Some((uid, &**active)),
            Stage::Finished(..) | Stage::Malformed(_) | Stage::Gone => None,
        })
    }
}

/// Whether `version` is older than `known`. Since Kubernetes 1.35 resourceVersions may be compared as numbers. If
/// they are not numbers, every version counts as newer, and the resourceVersion check of the next write decides.
#[must_use]
pub fn is_older(version: &str, known: &str) -> bool {
    matches!((version.parse::<u64>(), known.parse::<u64>()), (Ok(version), Ok(known)) if version < known)
}

/// The resourceVersion of an object, if it is a number.
#[must_use]
pub fn version_number(object: &GroupAttributeReset) -> Option<u64> {
    object.metadata.resource_version.as_ref()?.parse().ok()
}

/// Whether it has ended and its status covers the current spec.
fn is_finished(object: &GroupAttributeReset) -> bool {
    let status = status::current(object);
    status.is_final()
        && status.pending_attempt.is_none()
        && object.metadata.generation == Some(status.observed_generation)
        && !status::is_other_request(object, &status)
}

/// When it is to be deleted, if it has a TTL and no GitOps tool would re-create it.
fn deletion(object: &GroupAttributeReset) -> Option<Timestamp> {
    let end = expires_at(object, &status::current(object))?;
    (gitops_owner(object).is_none() && object.metadata.deletion_timestamp.is_none()).then_some(end)
}

#[cfg(test)]
mod tests;
