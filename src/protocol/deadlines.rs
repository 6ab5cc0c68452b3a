//! When a reset's time runs out: `notAfter`, the deadline, and the time to live after it finished.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;

use super::Now;
use super::status::current;
use crate::api::{ConditionStatus, GroupAttributeReset, GroupId, ResetStatus};

/// How long after its creation a reset is not ended by a wrong clock.
const FIRST_MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The time limits of a reset.
pub struct Deadlines {
    /// `spec.notAfter`: no attempt starts from then on, whenever the request started.
    pub not_after: Option<Timestamp>,
    /// `notAfter` or the deadline, whichever comes first: no attempt starts from then on.
    pub ends: Option<Timestamp>,
}

/// The time limits of this reset.
///
/// # Errors
/// What is wrong with the spec. An older or a modified CRD may have accepted what the current one rejects.
pub fn deadlines(reset: &GroupAttributeReset, status: &ResetStatus) -> Result<Deadlines, String> {
    GroupId::parse(&reset.spec.group_id)
        .map_err(|why| format!("{why}. Create a new GroupAttributeReset with a valid groupID."))?;
    let not_after = not_after(reset)?;
    let length = SignedDuration::from_secs(reset.spec.active_deadline_seconds);
    let deadline = status.start_time.and_then(|start| start.checked_add(length).ok());
    let ends = deadline.into_iter().chain(not_after).min();
    Ok(Deadlines { not_after, ends })
}

/// Whether the time of a reset that `ends` by now is over by our clock alone: nobody has looked at it yet, and it is in its
/// first minute by the clock of the API server, which wrote when it was created. Ours is `ahead` of that.
pub(crate) fn ends_by_our_clock_alone(
    status: &ResetStatus,
    ends: Timestamp,
    ahead: SignedDuration,
    now: Now,
) -> bool {
    let theirs = now.wall.saturating_sub(ahead).unwrap_or(now.wall);
    let is_new = |start: Timestamp| theirs.duration_since(start) < FIRST_MINUTE;
    !status.is_written() && ends > theirs && status.start_time.is_some_and(is_new)
}

fn not_after(reset: &GroupAttributeReset) -> Result<Option<Timestamp>, String> {
    let parse = |text: &String| match text.parse() {
        Ok(moment) => Ok(moment),
        // 9999-12-31, commonly used for "never", is a day beyond the range of a `Timestamp`.
        Err(_) if text.starts_with("9999-12-3") => Ok(Timestamp::MAX),
        Err(_) => {
            Err("notAfter is not a valid date and time. Use the format 2026-12-31T23:00:00Z.".to_owned())
        }
    };
    reset.spec.not_after.as_ref().map(parse).transpose()
}

/// When this reset's time runs out: `notAfter` or the deadline. `None` if the spec is invalid; `plan` ends such a
/// reset.
#[must_use]
pub fn ends_at(reset: &GroupAttributeReset) -> Option<Timestamp> {
    deadlines(reset, &current(reset)).ok().and_then(|deadlines| deadlines.ends)
}

/// When a finished reset is deleted. As for a Job, the time to live counts from when the object became finished. That
/// can be long after `completionTime`, if the status shows the result of an earlier request again.
#[must_use]
pub fn expires_at(reset: &GroupAttributeReset, status: &ResetStatus) -> Option<Timestamp> {
    let ttl = i64::from(reset.spec.ttl_seconds_after_finished?.max(0));
    let finished = status.condition("Finished").filter(|finished| finished.status == ConditionStatus::True);
    let since = finished.map(|finished| finished.last_transition_time);
    let end = status.completion_time?.max(since.unwrap_or(Timestamp::MIN));
    end.checked_add(SignedDuration::from_secs(ttl)).ok()
}

/// Annotations and labels set by tools that would re-create a deleted object.
const ANNOTATIONS: [&str; 2] = ["argocd.argoproj.io/tracking-id", "meta.helm.sh/release-name"];
const LABELS: [&str; 3] =
    ["argocd.argoproj.io/instance", "kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"];

/// The annotation or label of a tool that would re-create a deleted object, and so clear the group again.
#[must_use]
pub fn gitops_owner(reset: &GroupAttributeReset) -> Option<&'static str> {
    let has = |map: &Option<BTreeMap<String, String>>, key: &str| {
        map.as_ref().is_some_and(|map| map.contains_key(key))
    };
    let annotation = ANNOTATIONS.into_iter().find(|key| has(&reset.metadata.annotations, key));
    annotation.or_else(|| LABELS.into_iter().find(|key| has(&reset.metadata.labels, key)))
}

/// Drops the metadata that the operator does not use. Unfinished resets are kept in memory, and the author of an object
/// can attach up to a megabyte.
pub fn prune_metadata(meta: &mut ObjectMeta) {
    let keep = |map: Option<BTreeMap<String, String>>, keys: &[&str]| {
        let mut map = map?;
        map.retain(|key, _| keys.contains(&key.as_str()));
        Some(map)
    };
    let all = std::mem::take(meta);
    *meta = ObjectMeta {
        annotations: keep(all.annotations, &ANNOTATIONS),
        creation_timestamp: all.creation_timestamp,
        deletion_timestamp: all.deletion_timestamp,
        generation: all.generation,
        labels: keep(all.labels, &LABELS),
        name: all.name,
        namespace: all.namespace,
        resource_version: all.resource_version,
        uid: all.uid,
        ..ObjectMeta::default()
    };
}
