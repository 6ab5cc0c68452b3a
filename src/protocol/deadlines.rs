//! When a reset's time is over: `notAfter`, its deadline, and the time to live after its end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;

use super::status::seen;
use crate::api::{ConditionStatus, GroupAttributeReset, GroupId, ResetStatus};

/// The moments that bound a reset.
pub struct Deadlines {
    /// No attempt starts from here on, whatever the clock of the request says.
    pub not_after: Option<Timestamp>,
    /// No attempt starts from here on: `notAfter` or the deadline, whichever comes first.
    pub ends: Option<Timestamp>,
}

/// The moments that bound this reset. A spec that no CRD of ours would have let pass can still be stored, by an older
/// or a loosened one; the error says what is wrong with it.
pub fn deadlines(reset: &GroupAttributeReset, status: &ResetStatus) -> Result<Deadlines, String> {
    GroupId::parse(&reset.spec.group_id)
        .map_err(|why| format!("{why}. Create a reset with a valid groupID."))?;
    let not_after = not_after(reset)?;
    let length = SignedDuration::from_secs(reset.spec.active_deadline_seconds);
    let deadline = status.start_time.and_then(|start| start.checked_add(length).ok());
    let ends = deadline.into_iter().chain(not_after).min();
    Ok(Deadlines { not_after, ends })
}

fn not_after(reset: &GroupAttributeReset) -> Result<Option<Timestamp>, String> {
    let parse = |text: &String| match text.parse() {
        Ok(moment) => Ok(moment),
        // The end of time, as people write it, lies a day beyond what a `Timestamp` can hold.
        Err(_) if text.starts_with("9999-12-3") => Ok(Timestamp::MAX),
        Err(_) => Err("notAfter is not a date and time. Write it like 2026-12-31T23:00:00Z.".to_owned()),
    };
    reset.spec.not_after.as_ref().map(parse).transpose()
}

/// The moment at which this reset's own time is over: `notAfter` or its deadline. For a spec that names no valid
/// moment there is none, and `plan` ends such a reset.
#[must_use]
pub fn ends_at(reset: &GroupAttributeReset) -> Option<Timestamp> {
    deadlines(reset, &seen(reset)).ok().and_then(|deadlines| deadlines.ends)
}

/// When a finished reset is to be deleted. Its end is the moment since which it is finished, as that of a Job is: what
/// came of an earlier request and is shown again was completed long before.
#[must_use]
pub fn expires_at(reset: &GroupAttributeReset, status: &ResetStatus) -> Option<Timestamp> {
    let ttl = i64::from(reset.spec.ttl_seconds_after_finished?.max(0));
    let finished = status.condition("Finished").filter(|finished| finished.status == ConditionStatus::True);
    let since = finished.map(|finished| finished.last_transition_time);
    let end = status.completion_time?.max(since.unwrap_or(Timestamp::MIN));
    end.checked_add(SignedDuration::from_secs(ttl)).ok()
}

/// Marks of the tools that would create an object again.
const ANNOTATIONS: [&str; 2] = ["argocd.argoproj.io/tracking-id", "meta.helm.sh/release-name"];
const LABELS: [&str; 3] =
    ["argocd.argoproj.io/instance", "kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"];

/// The mark of a tool that would create the object again if it were deleted, and so clear the room again.
#[must_use]
pub fn gitops_owner(reset: &GroupAttributeReset) -> Option<&'static str> {
    let has = |map: &Option<BTreeMap<String, String>>, key: &str| {
        map.as_ref().is_some_and(|map| map.contains_key(key))
    };
    let annotation = ANNOTATIONS.into_iter().find(|key| has(&reset.metadata.annotations, key));
    annotation.or_else(|| LABELS.into_iter().find(|key| has(&reset.metadata.labels, key)))
}

/// Drops from an object's metadata what nothing here asks about. Whoever makes an object chooses how much that is, up
/// to a megabyte, and what has not ended is kept in memory.
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
