//! What it costs (O8): two writes and no read for a reset that meets no trouble, and nothing after the end.

use std::collections::BTreeMap;

use testbed::control_plane::AuditEvent;

use super::completion::{is_final, name};
use super::evidence::Evidence;
use super::history::Stored;
use super::reason_of;

impl Evidence {
    /// `answers_get_lost`: then a write may be repeated and refused, and whoever is refused looks what is there.
    pub(super) fn check_cost(&self, answers_get_lost: bool) {
        let answers_get_lost = answers_get_lost || self.waited_in_vain();
        let may_be_refused = answers_get_lost || self.one_took_over_in_disorder();
        let mut of_name: BTreeMap<&str, Vec<&Stored>> = BTreeMap::new();
        for stored in &self.stored {
            of_name.entry(name(&stored.object)).or_default().push(stored);
        }
        for (reset, versions) in of_name {
            let uids = versions.iter().map(|stored| &stored.object["metadata"]["uid"]);
            let is_one = uids.collect::<std::collections::HashSet<_>>().len() == 1;
            if !is_one || self.forged.contains(reset) {
                continue;
            }
            let requests: Vec<&AuditEvent> = self
                .requests
                .iter()
                .map(|event| &**event)
                .filter(|event| event.resource == "groupattributeresets" && event.name == reset)
                .collect();
            check_after_the_end(&versions, &requests, may_be_refused);
            if !answers_get_lost {
                check_before(&versions, &requests);
            }
        }
    }

    /// On a machine that is far too busy, the API server answers nothing for ten seconds, and takes no new connection for
    /// five.
    fn waited_in_vain(&self) -> bool {
        const SAID: [&str; 2] = ["the API server did not answer within", "the API server cannot be reached"];
        self.operators
            .iter()
            .map(|operator| operator.logs())
            .any(|logs| SAID.iter().any(|said| logs.contains(said)))
    }

    /// The last write of a process that is killed may arrive after its successor has read everything; whoever writes on
    /// top of that is refused, and looks. So is a process that lost its lease and learns late what others did meanwhile.
    fn one_took_over_in_disorder(&self) -> bool {
        let mut exits = self.operators.iter().filter_map(|operator| operator.exit_status());
        self.operators.len() > 1 && exits.any(|exit| !exit.success())
    }
}

/// After the end nothing is asked about a reset whose spec does not change, except for its deletion.
fn check_after_the_end(versions: &[&Stored], requests: &[&AuditEvent], answers_get_lost: bool) {
    let Some(end) = versions.iter().find(|stored| is_final(&stored.object)) else { return };
    let last = versions.last().unwrap_or(end);
    if last.object["metadata"]["generation"] != end.object["metadata"]["generation"] {
        return;
    }
    let later = requests.iter().filter(|event| event.received > end.answered && event.verb != "delete");
    let (refused, mut others): (Vec<&AuditEvent>, Vec<_>) =
        later.copied().partition(|event| answers_get_lost && event.verb == "update" && event.code != 200);
    if answers_get_lost {
        // One for each refusal, and one because the answer to the write of the end itself may be what was lost.
        let mut looks = refused.len() + 1;
        others.retain(|event| {
            let is_look = event.verb == "get" && looks > 0;
            looks -= usize::from(is_look);
            !is_look
        });
    }
    let others: Vec<_> = others.iter().map(|event| (&event.verb, event.code, event.received)).collect();
    assert!(
        others.is_empty(),
        "{} was touched after its end at {}: {others:?}",
        name(&end.object),
        end.answered
    );
}

/// An intent and an outcome cost two writes; a read is allowed only for a write that was refused.
fn check_before(versions: &[&Stored], requests: &[&AuditEvent]) {
    let reasons: Vec<_> = versions.iter().map(|stored| reason_of(&stored.object, "Succeeded")).collect();
    if reasons != ["Sending", "Cleared"] {
        return;
    }
    let end = versions[1];
    let before = || requests.iter().filter(|event| event.received <= end.answered);
    let refused = before().filter(|event| event.verb == "update" && event.code != 200).count();
    let writes = before().filter(|event| event.verb == "update").count() - refused;
    let reads = before().filter(|event| event.verb == "get").count();
    assert!(
        writes == 2 && reads <= refused,
        "{}: {writes} writes, {refused} refused, {reads} reads",
        name(&end.object)
    );
}
