//! Objects with extreme content: the longest message, huge metadata.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::*;
use crate::api::{Condition, ConditionStatus};
use crate::protocol::deadlines::{gitops_owner, prune_metadata};

/// The final message quotes what the reset was waiting for, which can be as long as a message may be.
#[test]
fn an_end_that_quotes_the_longest_message_can_be_stored_and_still_says_what_to_do() {
    let waiting = Condition {
        type_: "Succeeded".to_owned(),
        status: ConditionStatus::Unknown,
        reason: "RetryScheduled".to_owned(),
        message: "房".repeat(170),
        last_transition_time: Timestamp::UNIX_EPOCH,
        observed_generation: Some(1),
    };
    let mut reset = reset(spec());
    reset.status = Some(ResetStatus {
        observed_generation: 1,
        start_time: Some(Timestamp::UNIX_EPOCH),
        conditions: vec![waiting],
        ..ResetStatus::default()
    });
    let Step::Record(end) = plan(&reset, &works(), &LocalState::default(), at(4000)).step else {
        panic!("no end")
    };
    assert_eq!(end.reason(), Reason::DeadlineExceeded);
    assert!(end.conditions.iter().all(|condition| condition.message.len() <= 512));
    assert!(end.conditions[0].message.ends_with("set a new requestID or create a new object."), "{end:?}");
}

#[test]
fn of_the_metadata_only_what_is_asked_for_is_kept() {
    let mut reset = reset(spec());
    let text = |text: &str| text.to_owned();
    let keys = ["argocd.argoproj.io/tracking-id", "kubectl.kubernetes.io/last-applied-configuration"];
    reset.metadata.annotations = Some(keys.map(|key| (text(key), "x".repeat(100_000))).into());
    reset.metadata.labels =
        Some([(text("helm.toolkit.fluxcd.io/name"), text("x")), (text("a"), text("b"))].into());
    reset.metadata.finalizers = Some(vec![text("x"); 1000]);
    reset.metadata.owner_references = Some(vec![OwnerReference::default(); 1000]);
    let before = reset.metadata.clone();
    let mark = gitops_owner(&reset);
    prune_metadata(&mut reset.metadata);
    assert_eq!(gitops_owner(&reset), mark);
    let kept = |map: &Option<BTreeMap<String, String>>| map.as_ref().map_or(0, BTreeMap::len);
    assert_eq!((kept(&reset.metadata.annotations), kept(&reset.metadata.labels)), (1, 1));
    assert_eq!((&reset.metadata.finalizers, &reset.metadata.owner_references), (&None, &None));
    let identity = |meta: &kube::api::ObjectMeta| {
        (meta.name.clone(), meta.uid.clone(), meta.generation, meta.creation_timestamp.clone())
    };
    assert_eq!(identity(&reset.metadata), identity(&before));
}
