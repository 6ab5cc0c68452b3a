//! An active reset: the object as last seen, the status that is trusted, and the state of its task.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Freshness;
use crate::api::{AppKey, GroupAttributeReset, PendingAttempt, ResetStatus};
use crate::chat::codes::lookup;
use crate::chat::{AccountId, Class};
use crate::limits::fair_queue::QueueKey;
use crate::limits::mono::Mono;
use crate::protocol::ownership::{KnownEnd, predecessor_may_have_written};
use crate::protocol::plan::LocalState;
use crate::protocol::recovery::{attempt_length, read_back_of_foreign};
use crate::protocol::{Now, backoff, status};

/// Longest time a throttled group or account delays an attempt.
const MAX_THROTTLE_WAIT: Duration = Duration::from_mins(1);

/// A reset that has not ended, or whose final status is not recorded completely.
pub struct ActiveReset {
    /// The object as last seen, with the trusted status.
    pub object: Arc<GroupAttributeReset>,
    /// Its app.
    pub app: AppKey,
    /// Facts that only this process knows, on its own monotonic clock.
    pub local: LocalState,
    /// A task is working on it.
    pub busy: bool,
    /// A watch has shown a new version since that task started.
    pub seen_newer: bool,
    /// Its position in a queue.
    pub queued: Option<QueuePosition>,
    /// Id of an attempt whose intent may be stored and whose call was never made.
    pub revoked_attempt: Option<String>,
    /// The status that a task is writing, or wrote without getting an answer.
    pub attempted_status: Option<Box<ResetStatus>>,
    /// The status stored by another client, while it is not trusted.
    overwritten: Option<Box<ResetStatus>>,
    /// The end to restore after compaction. The status in `object` holds only part of the original.
    pub(super) compacted_end: Option<Box<KnownEnd>>,
    /// This process has written its status at least once.
    has_written: bool,
    pending: Option<String>,
    next_attempt: Option<Timestamp>,
}

/// The process that owns the cache, and until when it accepts status writes of a predecessor.
#[derive(Debug, Default)]
pub struct CacheOwner {
    /// The `holder` in the attempts of this process.
    pub identity: String,
    /// From this moment on no predecessor can still be writing.
    pub alone_from: Mono,
}

/// A position in one of the queues of an account.
pub struct QueuePosition {
    /// The account that owns the queue.
    pub account: AccountId,
    /// True in the read queue, false in the clear queue.
    pub read: bool,
    /// The position in the queue.
    pub key: QueueKey,
}

/// An attempt of another process, seen for the first time.
pub struct ForeignAttempt {
    /// The account it names.
    pub account: AccountId,
    /// Its deadline on this process's monotonic clock.
    pub deadline: Mono,
}

impl ActiveReset {
    pub(super) fn new(object: Arc<GroupAttributeReset>) -> Self {
        Self {
            app: AppKey::of(&object),
            object,
            local: LocalState::default(),
            busy: false,
            seen_newer: false,
            queued: None,
            revoked_attempt: None,
            attempted_status: None,
            overwritten: None,
            compacted_end: None,
            has_written: false,
            pending: None,
            next_attempt: None,
        }
    }

    /// Whether another client changed its status and it has not been restored yet.
    pub(super) fn is_overwritten(&self) -> bool {
        self.overwritten.is_some()
    }

    /// The status to restore, because another client changed it.
    #[must_use]
    pub fn status_to_restore(&self) -> Option<ResetStatus> {
        (self.overwritten.is_some() && !self.busy).then(|| self.object.status.clone().unwrap_or_default())
    }

    /// Caches the object as seen; its status only if that is trusted. True if it shows a status that this process tried
    /// to write without learning that it was stored.
    pub(super) fn update(
        &mut self,
        object: Arc<GroupAttributeReset>,
        reader: &CacheOwner,
        now: Mono,
    ) -> bool {
        if self.trusts(&object, reader, now) {
            let is_own = object.status.as_ref() == self.attempted_status.as_deref()
                && object.status != self.object.status;
            self.object = object;
            self.overwritten = None;
            return is_own;
        }
        self.overwritten = Some(Box::new(object.status.clone().unwrap_or_default()));
        let known = self.object.status.clone();
        self.object = Arc::new(GroupAttributeReset { status: known, ..Arc::unwrap_or_clone(object) });
        false
    }

    /// Caches what this process has stored. If a watch has already shown a newer version, only the status is taken.
    pub(super) fn on_written(&mut self, stored: Arc<GroupAttributeReset>, is_old: bool) {
        (self.has_written, self.attempted_status, self.compacted_end) = (true, None, None);
        if !is_old {
            self.object = stored;
            self.overwritten = None;
            return;
        }
        self.overwritten.take_if(|shown| Some(&**shown) == stored.status.as_ref());
        let newer = GroupAttributeReset::clone(&self.object);
        self.object = Arc::new(GroupAttributeReset { status: stored.status.clone(), ..newer });
    }

    fn trusts(&self, object: &GroupAttributeReset, reader: &CacheOwner, now: Mono) -> bool {
        let none = ResetStatus::default();
        let (stored, known) =
            (object.status.as_ref().unwrap_or(&none), self.object.status.as_ref().unwrap_or(&none));
        let pending = stored.pending_attempt.as_ref().map(|pending| pending.id.as_str());
        stored == known
            || (!stored.is_written() && !known.is_written())
            || self.attempted_status.as_deref() == Some(stored)
            || self.compacted_end.as_ref().is_some_and(|end| end.matches(stored))
            || (pending.is_some() && pending == self.revoked_attempt.as_deref())
            || now < reader.alone_from
                && predecessor_may_have_written(known, stored, self.has_written, &reader.identity)
    }

    /// A task starts to work on it.
    pub fn start_task(&mut self) {
        (self.busy, self.seen_newer) = (true, false);
    }

    /// How fresh a GET by its task is. If a watch has shown something newer since the task started, the GET may be
    /// older and must not replace it: no further watch event would bring the newer object back.
    #[must_use]
    pub fn read_freshness(&self) -> Freshness {
        if self.seen_newer { Freshness::MaybeStale } else { Freshness::Consistent }
    }

    /// Updates the local state from the object. Returns an attempt that another process made and that was not seen
    /// before.
    pub(super) fn refresh_local(&mut self, identity: &str, now: Now) -> Option<ForeignAttempt> {
        let status = status::current(&self.object);
        if status.next_attempt_time != self.next_attempt {
            self.next_attempt = status.next_attempt_time;
            let longest = longest_wait(&status);
            self.local.hold_until =
                status.next_attempt_time.map(|next| backoff::hold_until(next, longest, now));
        }
        let pending = status.pending_attempt.as_ref();
        if self.pending.as_deref() == pending.map(|pending| pending.id.as_str()) {
            return None;
        }
        self.pending = pending.map(|pending| pending.id.clone());
        self.local.read_back_at = pending.map(|pending| read_back_of_foreign(pending, now.mono));
        self.local.eligible_since = None;
        pending.and_then(|pending| ForeignAttempt::of(pending, identity, now.mono))
    }
}

impl ForeignAttempt {
    pub(super) fn of(pending: &PendingAttempt, identity: &str, now: Mono) -> Option<Self> {
        (pending.holder != identity).then(|| Self {
            account: AccountId { sdk_app_id: pending.sdk_app_id, host: pending.host.clone() },
            deadline: now + attempt_length(pending),
        })
    }
}

/// Longest time the result of the last attempt may delay the next one. The condition reason cannot decide this,
/// because another one may have replaced it, for example that the app does not work.
fn longest_wait(status: &ResetStatus) -> Duration {
    let was_throttled = status.last_attempt.as_ref().is_some_and(|last| {
        let class = last.error_code.map(|code| lookup(code).class);
        matches!(class, Some(Class::ThrottledGroup | Class::ThrottledAccount))
            || last.http_status == Some(429)
    });
    if was_throttled { MAX_THROTTLE_WAIT } else { backoff::longest(status.failures) }
}
