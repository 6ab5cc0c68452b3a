//! Cost (O8): a clean reset takes two writes and no read, and a finished one is not touched again.

use std::collections::BTreeMap;

use testbed::control_plane::AuditEvent;

use super::completion::{is_final, name};
use super::evidence::Evidence;
use super::history::Stored;
use super::reason_of;

impl Evidence {
    /// With `answers_get_lost`, a repeated write may be rejected, and the operator then reads the object.
    pub(super) fn check_cost(&self, answers_get_lost: bool) {
        let answers_get_lost = answers_get_lost || self.api_server_was_unresponsive();
        let may_be_rejected = answers_get_lost || self.had_unclean_failover();
        let mut of_name: BTreeMap<&str, Vec<&Stored>> = BTreeMap::new();
        for stored in &self.stored {
            of_name.entry(name(&stored.object)).or_default().push(stored);
        }
        for (reset, versions) in of_name {
            let uids = versions.iter().map(|stored| &stored.object["metadata"]["uid"]);
            let is_single_object = uids.collect::<std::collections::HashSet<_>>().len() == 1;
            if !is_single_object || self.forged.contains(reset) {
                continue;
            }
            let requests: Vec<&AuditEvent> = self
                .requests
                .iter()
                .map(|event| &**event)
                .filter(|event| event.resource == "groupattributeresets" && event.name == reset)
                .collect();
            check_after_end(&versions, &requests, may_be_rejected);
            if !answers_get_lost {
                check_until_end(&versions, &requests);
            }
        }
    }

    /// On an overloaded machine the API server may not answer for ten seconds, or accept no connection for five.
    fn api_server_was_unresponsive(&self) -> bool {
        const MESSAGES: [&str; 2] =
            ["the API server did not answer within", "the API server cannot be reached"];
        self.operators
            .iter()
            .map(|operator| operator.logs())
            .any(|logs| MESSAGES.iter().any(|message| logs.contains(message)))
    }

    /// A killed process may have a write under way that arrives after its successor listed the resets; the successor's
    /// next write then conflicts, and it reads the object. The same happens to a process that lost its lease.
    fn had_unclean_failover(&self) -> bool {
        let mut exits = self.operators.iter().filter_map(|operator| operator.exit_status());
        self.operators.len() > 1 && exits.any(|exit| !exit.success())
    }
}

/// A finished reset whose spec does not change sees no request any more, except its deletion.
fn check_after_end(versions: &[&Stored], requests: &[&AuditEvent], answers_get_lost: bool) {
    let Some(end) = versions.iter().find(|stored| is_final(&stored.object)) else { return };
    let last = versions.last().unwrap_or(end);
    if last.object["metadata"]["generation"] != end.object["metadata"]["generation"] {
        return;
    }
    let later = requests.iter().filter(|event| event.received > end.answered && event.verb != "delete");
    let (rejected, mut others): (Vec<&AuditEvent>, Vec<_>) =
        later.copied().partition(|event| answers_get_lost && event.verb == "update" && event.code != 200);
    if answers_get_lost {
        // One read per rejected write, and one because the lost answer may be that of the final write itself.
        let mut reads = rejected.len() + 1;
        others.retain(|event| {
            let is_allowed = event.verb == "get" && reads > 0;
            reads -= usize::from(is_allowed);
            !is_allowed
        });
    }
    let others: Vec<_> = others.iter().map(|event| (&event.verb, event.code, event.received)).collect();
    assert!(
        others.is_empty(),
        "{} was touched after it finished at {}: {others:?}",
        name(&end.object),
        end.answered
    );
}

/// Intent and outcome take two writes; a read is allowed only after a rejected write.
fn check_until_end(versions: &[&Stored], requests: &[&AuditEvent]) {
    let reasons: Vec<_> = versions.iter().map(|stored| reason_of(&stored.object, "Succeeded")).collect();
    if reasons != ["Sending", "Cleared"] {
        return;
    }
    let end = versions[1];
    let before = || requests.iter().filter(|event| event.received <= end.answered);
    let rejected = before().filter(|event| event.verb == "update" && event.code != 200).count();
    let writes = before().filter(|event| event.verb == "update").count() - rejected;
    let reads = before().filter(|event| event.verb == "get").count();
    assert!(
        writes == 2 && reads <= rejected,
        "{}: {writes} writes, {rejected} rejected, {reads} reads",
        name(&end.object)
    );
}
