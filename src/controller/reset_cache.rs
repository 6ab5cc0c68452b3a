//! The resets, as the desk remembers them; what it knows of one that is at work is in `open`.

mod active;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;

pub use self::active::{ActiveReset, CacheOwner, ForeignAttempt, QueuePosition};
use crate::api::AppKey;
use crate::api::{AppKind, GroupAttributeReset, ResetStatus};
use crate::protocol::deadlines::{expires_at, gitops_owner};
use crate::protocol::ownership::KnownEnd;
use crate::protocol::{Now, status};

/// What the process remembers of a reset.
pub struct ResetEntry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// resourceVersion of what is remembered.
    pub version: String,
    /// When its timer rings.
    pub timer: Option<Duration>,
    /// Kubernetes refused this many writes in a row.
    pub faults: u32,
    /// No write before this moment.
    pub write_at: Option<Duration>,
    /// How often its status was written back of late, because somebody else had changed it.
    pub restores: u32,
    /// Its status is not written back before this moment.
    pub restore_at: Duration,
    /// It waits for a writer.
    pub in_backlog: bool,
    /// Whole while something may be left to do, else just enough to delete it in time and to know its end again.
    pub stage: Stage,
}

/// Whether something may be left to do.
pub enum Stage {
    /// Yes.
    Active(Box<ActiveReset>),
    /// No, except that it is deleted at this moment.
    Finished(Option<Timestamp>, Box<KnownEnd>),
    /// Nobody can tell while it does not decode; this is the status that was known of it before.
    Unreadable(Option<Box<ResetStatus>>),
    /// Kubernetes said that it is gone. The watch may be behind, and show for a while how it once was.
    Gone,
}

/// The memory of all resets, by uid.
#[derive(Default)]
pub struct ResetCache {
    /// All of them.
    pub all: HashMap<String, ResetEntry>,
    /// uids of the open ones, so that an app's or a namespace's change looks at no others.
    by_app: HashMap<AppKey, HashSet<String>>,
    reader: CacheOwner,
}

/// Where an object was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// In a watch: it may be older than what is remembered.
    MaybeStale,
    /// As the answer to a write of this process: its status is the process's own. It may be older, too.
    OwnWrite,
    /// In a list, or by a GET that no watch overtook: that is how it stands, even if resourceVersions went back, as
    /// after a restore.
    Consistent,
}

/// What became of an object that was shown to the memory.
#[must_use]
pub enum Upserted {
    /// It is older than what is remembered.
    Stale,
    /// It is remembered.
    Stored {
        /// An attempt of another process that is seen for the first time.
        foreign: Option<ForeignAttempt>,
        /// Its status was written by this process.
        is_own: bool,
    },
}

impl ResetCache {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(reader: CacheOwner) -> Self {
        Self { all: HashMap::new(), by_app: HashMap::new(), reader }
    }

    /// Remembers `object`, unless something newer is remembered. The first status that is seen of a reset is believed;
    /// after that only those that this process has written, and for a while those of its predecessor.
    pub fn upsert(&mut self, object: Arc<GroupAttributeReset>, origin: Freshness, now: Now) -> Upserted {
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
            restore_at: Duration::ZERO,
            in_backlog: false,
            stage: Stage::Active(Box::new(ActiveReset::new(Arc::clone(&object)))),
        });
        let is_news = entry.version != version;
        let is_old = is_older(&version, &entry.version) || matches!(entry.stage, Stage::Gone) && !is_news;
        let mut is_own = origin == Freshness::OwnWrite;
        match &mut entry.stage {
            Stage::Active(active) if is_old && origin == Freshness::OwnWrite => {
                active.on_written(object, true)
            }
            _ if is_old && origin != Freshness::Consistent => return Upserted::Stale,
            stage => {
                if is_news {
                    entry.version = version;
                    // Whatever Kubernetes refused, it was about something else.
                    (entry.faults, entry.write_at) = (0, None);
                }
                match stage {
                    Stage::Active(active) if origin == Freshness::OwnWrite => {
                        active.on_written(object, false)
                    }
                    Stage::Active(active) => {
                        active.seen_newer |= is_news && active.busy;
                        is_own |= active.update(object, &self.reader, now.mono);
                    }
                    Stage::Gone => *stage = Stage::Active(Box::new(ActiveReset::new(object))),
                    Stage::Finished(_, end) if end.matches(&status::seen(&object)) => {
                        *stage = Stage::Active(Box::new(ActiveReset::new(object)));
                    }
                    Stage::Finished(_, end) => {
                        let known = Some(end.status(&object, now));
                        *stage = Stage::reopened(object, known, &self.reader, now.mono);
                    }
                    Stage::Unreadable(known) => {
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

    /// The reset, while something may be left to do.
    pub fn active(&mut self, uid: &str) -> Option<&mut ActiveReset> {
        match self.all.get_mut(uid).map(|entry| &mut entry.stage) {
            Some(Stage::Active(active)) => Some(active),
            _ => None,
        }
    }

    /// Whether a reset that is done with is deleted later; `None` for one that is not done with.
    #[must_use]
    pub fn has_deletion_due(&self, uid: &str) -> Option<bool> {
        match self.all.get(uid)?.stage {
            Stage::Active(_) | Stage::Gone | Stage::Unreadable(_) => None,
            Stage::Finished(delete_at, _) => Some(delete_at.is_some()),
        }
    }

    /// Kubernetes said that it is gone. It is remembered until the watch says so too, or a list.
    pub fn mark_gone(&mut self, uid: &str) {
        if let Some(entry) = self.all.get_mut(uid)
            && let Stage::Active(active) = std::mem::replace(&mut entry.stage, Stage::Gone)
        {
            self.unindex_app(uid, &active.app);
        }
    }

    /// The watch says so, too: nothing is remembered of it any more.
    pub fn forget(&mut self, uid: &str) {
        self.mark_gone(uid);
        self.all.remove(uid);
    }

    /// It does not decode any more. What is known of it is kept: whoever can make it unreadable must not make us forget
    /// that it has ended, or that a call was made.
    pub fn mark_unreadable(&mut self, uid: &str) {
        if let Some(entry) = self.all.get_mut(uid)
            && let Stage::Active(active) = &entry.stage
        {
            let app = active.app.clone();
            entry.stage = Stage::Unreadable(active.object.status.clone().map(Box::new));
            self.unindex_app(uid, &app);
        }
    }

    /// A task about it has ended: if nothing is left to do, most of it can be forgotten.
    pub fn compact(&mut self, uid: &str) {
        if let Some(entry) = self.all.get_mut(uid)
            && let Stage::Active(active) = &entry.stage
            && !active.busy
            && !active.is_overwritten()
            && is_done(&active.object)
        {
            let (app, end) = (active.app.clone(), Box::new(KnownEnd::of(&status::seen(&active.object))));
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

    /// Attempts of other processes that are not settled, by the uid of their reset.
    #[must_use]
    pub fn foreign_attempts(&self, now: Duration) -> Vec<(String, ForeignAttempt)> {
        let foreign = |(uid, active): (&String, &ActiveReset)| {
            let pending = active.object.status.as_ref()?.pending_attempt.as_ref()?;
            Some((uid.clone(), ForeignAttempt::of(pending, &self.reader.identity, now)?))
        };
        self.all_active().filter_map(foreign).collect()
    }

    /// uids of the open resets that refer to this app.
    #[must_use]
    pub fn of_app(&self, app: &AppKey) -> Vec<String> {
        self.by_app.get(app).into_iter().flatten().cloned().collect()
    }

    /// uids of the open resets of this namespace that refer to an app of the cluster.
    #[must_use]
    pub fn of_cluster_apps(&self, namespace: &str) -> Vec<String> {
        let of_cluster = self.by_app.iter().filter(|(app, _)| app.kind == AppKind::ClusterChatApp);
        let is_inside = |uid: &&String| self.all.get(*uid).is_some_and(|entry| entry.namespace == namespace);
        of_cluster.flat_map(|(_, uids)| uids).filter(is_inside).cloned().collect()
    }

    /// All open resets.
    pub fn all_active(&self) -> impl Iterator<Item = (&String, &ActiveReset)> {
        self.all.iter().filter_map(|(uid, entry)| match &entry.stage {
            Stage::Active(active) => Some((uid, &**active)),
            Stage::Finished(..) | Stage::Unreadable(_) | Stage::Gone => None,
        })
    }
}

impl Stage {
    /// Of a reset that was not at work, and whose status was known to be `known`.
    fn reopened(
        object: Arc<GroupAttributeReset>,
        known: Option<ResetStatus>,
        reader: &CacheOwner,
        now: Duration,
    ) -> Self {
        let before = GroupAttributeReset { status: known, ..GroupAttributeReset::clone(&object) };
        let mut active = ActiveReset::new(Arc::new(before));
        active.update(object, reader, now);
        Self::Active(Box::new(active))
    }
}

/// Whether `version` is older than `known`. Since Kubernetes 1.35 the numbers may be compared; where they are
/// none, every version counts as news, and the resourceVersion of the next write decides.
#[must_use]
pub fn is_older(version: &str, known: &str) -> bool {
    matches!((version.parse::<u64>(), known.parse::<u64>()), (Ok(version), Ok(known)) if version < known)
}

/// The resourceVersion of an object, where it is a number.
#[must_use]
pub fn version_number(object: &GroupAttributeReset) -> Option<u64> {
    object.metadata.resource_version.as_ref()?.parse().ok()
}

/// Ended, and written down for the present spec.
fn is_done(object: &GroupAttributeReset) -> bool {
    let status = status::seen(object);
    status.is_final()
        && status.pending_attempt.is_none()
        && object.metadata.generation == Some(status.observed_generation)
        && !status::is_other_request(object, &status)
}

fn deletion(object: &GroupAttributeReset) -> Option<Timestamp> {
    let end = expires_at(object, &status::seen(object))?;
    (gitops_owner(object).is_none() && object.metadata.deletion_timestamp.is_none()).then_some(end)
}

#[cfg(test)]
mod tests;
