//! What the operator asked of the API server, by the server's own audit log.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::{Timestamp, Unit};
use testbed::ControlPlane;

/// So many requests by what they do, such as `update groupattributeresets/status`.
#[derive(Debug, Default)]
pub(crate) struct Requests(BTreeMap<String, usize>);

impl Requests {
    /// What `user` asked since a moment.
    pub(crate) async fn of(plane: &ControlPlane, user: &str, since: Timestamp) -> Result<Self> {
        plane.audit_marker().await?;
        let mut counted = Self::default();
        for event in plane.audit_of(user)? {
            // A watch has a line for its start and one for its end.
            if event.received < since
                || event.stage != "ResponseComplete" && event.verb != "watch"
                || event.stage != "ResponseStarted" && event.verb == "watch"
            {
                continue;
            }
            let slash = if event.subresource.is_empty() { "" } else { "/" };
            let what = format!("{} {}{slash}{}", event.verb, event.resource, event.subresource);
            *counted.0.entry(what).or_default() += 1;
        }
        Ok(counted)
    }

    /// How many of those that `wanted` chooses by verb and resource.
    pub(crate) fn count(&self, wanted: impl Fn(&str, &str) -> bool) -> f64 {
        let chosen = self.0.iter().filter(|(what, _)| {
            let (verb, resource) = what.split_once(' ').unwrap_or((what, ""));
            wanted(verb, resource)
        });
        chosen.map(|(_, count)| *count).sum::<usize>() as f64
    }

    /// What the API server took for each status write of a reset since a moment, in milliseconds.
    pub(crate) async fn status_writes(
        plane: &ControlPlane,
        user: &str,
        since: Timestamp,
    ) -> Result<Vec<f64>> {
        plane.audit_marker().await?;
        let events = plane.audit_of(user)?.into_iter().filter(|event| {
            event.received >= since
                && event.verb == "update"
                && event.resource == "groupattributeresets"
                && event.subresource == "status"
        });
        Ok(events
            .map(|event| (event.answered - event.received).total(Unit::Millisecond))
            .collect::<Result<_, _>>()?)
    }

    /// All of them in words.
    pub(crate) fn told(&self) -> String {
        let all: Vec<_> = self.0.iter().map(|(what, count)| format!("{count} {what}")).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    }
}
