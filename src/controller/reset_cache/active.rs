//! A reset that is at work: the object as it was last seen, the status that is believed of it, and what tasks do for it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Freshness;
use crate::api::AppKey;
use crate::api::{GroupAttributeReset, PendingAttempt, ResetStatus};
use crate::chat::AccountId;
use crate::chat::Class;
use crate::chat::codes::lookup;
use crate::limits::fair_queue::QueueKey;
use crate::protocol::ownership::predecessor_may_have_written;
use crate::protocol::plan::LocalState;
use crate::protocol::recovery::{attempt_length, read_back_of_foreign};
use crate::protocol::{Now, backoff, status};

/// Longest that a throttled group or account holds an attempt back.
const LONGEST_THROTTLE: Duration = Duration::from_mins(1);

/// A reset that has not ended, or whose end is not written down completely.
pub struct ActiveReset {
    /// As last seen, with the status that is believed.
    pub object: Arc<GroupAttributeReset>,
    /// Its app.
    pub app: AppKey,
    /// In the process's own time.
    pub local: LocalState,
    /// A task is at work on it.
    pub busy: bool,
    /// A watch has shown something new since that task began.
    pub seen_newer: bool,
    /// Where it waits for its turn.
    pub queued: Option<QueuePosition>,
    /// An attempt whose intent may be stored and whose call was never made.
    pub revoked_attempt: Option<String>,
    /// The status that a task writes, or has written without an answer.
    pub attempted_status: Option<Box<ResetStatus>>,
    /// The status as somebody else has stored it, while that is not believed.
    overwritten: Option<Box<ResetStatus>>,
    /// This process has written its status.
    has_written: bool,
    pending: Option<String>,
    next_attempt: Option<Timestamp>,
}

/// Who looks at statuses, and until when it reckons with those of a predecessor.
#[derive(Debug, Default)]
pub struct CacheOwner {
    /// What `holder` says in the attempts of this process.
    pub identity: String,
    /// From this moment on nobody else can be writing.
    pub alone_from: Duration,
}

/// A place in one of the queues of an account.
pub struct QueuePosition {
    /// Whose queue.
    pub account: AccountId,
    /// For a read, not for a clear.
    pub read: bool,
    /// Where in it.
    pub key: QueueKey,
}

/// An attempt of another process, seen for the first time.
pub struct ForeignAttempt {
    /// The account it names.
    pub account: AccountId,
    /// Its deadline by our own clock.
    pub deadline: Duration,
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
            has_written: false,
            pending: None,
            next_attempt: None,
        }
    }

    /// Whether somebody else has changed its status, and nobody has written it back.
    pub(super) fn is_overwritten(&self) -> bool {
        self.overwritten.is_some()
    }

    /// The status that has to be written back, because somebody else has changed it.
    #[must_use]
    pub fn status_to_restore(&self) -> Option<ResetStatus> {
        (self.overwritten.is_some() && !self.busy).then(|| self.object.status.clone().unwrap_or_default())
    }

    /// Remembers the object as it was shown; its status only if that is believed. True if it shows what this process
    /// tried to write and does not know yet to be stored.
    pub(super) fn update(
        &mut self,
        object: Arc<GroupAttributeReset>,
        reader: &CacheOwner,
        now: Duration,
    ) -> bool {
        if self.believes(&object, reader, now) {
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

    /// Remembers what this process has stored. If a watch was faster and has shown a newer version, only the status
    /// counts.
    pub(super) fn on_written(&mut self, stored: Arc<GroupAttributeReset>, is_old: bool) {
        (self.has_written, self.attempted_status) = (true, None);
        if !is_old {
            self.object = stored;
            self.overwritten = None;
            return;
        }
        self.overwritten.take_if(|shown| Some(&**shown) == stored.status.as_ref());
        let newer = GroupAttributeReset::clone(&self.object);
        self.object = Arc::new(GroupAttributeReset { status: stored.status.clone(), ..newer });
    }

    fn believes(&self, object: &GroupAttributeReset, reader: &CacheOwner, now: Duration) -> bool {
        let none = ResetStatus::default();
        let (stored, known) =
            (object.status.as_ref().unwrap_or(&none), self.object.status.as_ref().unwrap_or(&none));
        let pending = stored.pending_attempt.as_ref().map(|pending| pending.id.as_str());
        stored == known
            || (!stored.is_written() && !known.is_written())
            || self.attempted_status.as_deref() == Some(stored)
            || (pending.is_some() && pending == self.revoked_attempt.as_deref())
            || now < reader.alone_from
                && predecessor_may_have_written(known, stored, self.has_written, &reader.identity)
    }

    /// A task begins to work on it.
    pub fn start_task(&mut self) {
        (self.busy, self.seen_newer) = (true, false);
    }

    /// What a GET of its task is worth. It may have been answered before a watch showed something newer, and then must
    /// not bring the older back: nobody would show the newer one again.
    #[must_use]
    pub fn read_freshness(&self) -> Freshness {
        if self.seen_newer { Freshness::MaybeStale } else { Freshness::Consistent }
    }

    /// Brings what is remembered in line with what the object says. Returns an attempt that this process did not
    /// make and has not seen before.
    pub(super) fn refresh_local(&mut self, identity: &str, now: Now) -> Option<ForeignAttempt> {
        let status = status::seen(&self.object);
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
    pub(super) fn of(pending: &PendingAttempt, identity: &str, now: Duration) -> Option<Self> {
        (pending.holder != identity).then(|| Self {
            account: AccountId { sdk_app_id: pending.sdk_app_id, host: pending.host.clone() },
            deadline: now + attempt_length(pending),
        })
    }
}

/// Longest that what came of its last attempt may hold back the next one. The reason does not tell it, since another
/// one can have taken its place: that the app does not work, say.
fn longest_wait(status: &ResetStatus) -> Duration {
    let was_throttled = status.last_attempt.as_ref().is_some_and(|last| {
        let class = last.error_code.map(|code| lookup(code).class);
        matches!(class, Some(Class::ThrottledGroup | Class::ThrottledAccount))
            || last.http_status == Some(429)
    });
    if was_throttled { LONGEST_THROTTLE } else { backoff::longest(status.failures) }
}
