//! Reads objects, events and calls, and waits for them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;
use testbed::{until, until_ok};

use super::{DEADLINE, World};

impl World {
    /// The object as stored. For the operator's kinds, `None` means that the API server does not have it: errors are
    /// retried.
    pub(crate) async fn object(&self, kind: &str, name: &str) -> Option<Value> {
        // A kubectl process costs 0.1 s of CPU, too much for tests that poll often.
        if let Some(api) = self.api(kind) {
            let found = until_ok(DEADLINE, "the object to be read", || api.get_opt(name)).await;
            return found.map(|object| serde_json::to_value(object).expect("JSON"));
        }
        let got = self.kubectl(&["get", kind, name, "-o", "json"]).await;
        got.ok.then(|| serde_json::from_str(&got.stdout).expect("JSON"))
    }

    /// Waits until the condition has this reason, for the current generation.
    pub(crate) async fn until_reason(&self, kind: &str, name: &str, condition: &str, reason: &str) -> Value {
        until(DEADLINE, &format!("{kind} {name} {condition}/{reason}"), || async move {
            let object = self.object(kind, name).await?;
            let found = condition_of(&object, condition)?;
            (found["reason"] == reason && found["observedGeneration"] == object["metadata"]["generation"])
                .then_some(object)
        })
        .await
    }

    /// Waits until a reset has this reason.
    pub(crate) async fn reset_is(&self, name: &str, reason: &str) -> Value {
        self.until_reason("gar", name, "Succeeded", reason).await
    }

    /// Waits until the app named `default` has this reason.
    pub(crate) async fn app_is(&self, reason: &str) -> Value {
        self.until_reason("chatapp", "default", "Ready", reason).await
    }

    /// How many clears of this group reached the vendor.
    pub(crate) fn calls(&self, group: &str) -> usize {
        self.vendor.clears_of(group).len()
    }

    /// The reason of a reset's `Succeeded` condition; empty if there is no such reset.
    pub(crate) async fn reason(&self, name: &str) -> String {
        self.object("gar", name).await.map_or_else(String::new, |reset| reason_of(&reset, "Succeeded"))
    }

    /// The lease holder; empty when the lease is free.
    pub(crate) async fn lease_holder(&self) -> String {
        let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
            Api::namespaced(self.client.clone(), &self.namespace);
        let lease = leases.get("groupattr-operator").await.expect("the lease");
        lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default()
    }

    /// All resets of this namespace.
    pub(crate) async fn all_resets(&self) -> Vec<Value> {
        let (api, all) = (self.api("gar").expect("a kind of ours"), ListParams::default());
        let list = until_ok(DEADLINE, "the resets to be listed", || api.list(&all)).await;
        list.items.into_iter().map(|object| serde_json::to_value(object).expect("JSON")).collect()
    }

    /// The number of resets in this namespace by reason.
    pub(crate) async fn reasons(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for reset in self.all_resets().await {
            *reasons.entry(reason_of(&reset, "Succeeded")).or_default() += 1;
        }
        reasons
    }

    /// Waits until this many resets of this namespace are `Cleared` or `VerifiedEmpty`.
    pub(crate) async fn until_cleared(&self, wanted: usize, deadline: Duration) {
        until_ok(deadline, &format!("{wanted} cleared rooms"), || async {
            let reasons = self.reasons().await;
            let count = |reason| reasons.get(reason).copied().unwrap_or_default();
            if count("Cleared") + count("VerifiedEmpty") == wanted { Ok(()) } else { Err(reasons) }
        })
        .await;
    }

    /// An object's events as reason and note, oldest first.
    pub(crate) async fn events(&self, kind: &str, name: &str) -> Vec<(String, String)> {
        let api: Api<k8s_openapi::api::events::v1::Event> =
            Api::namespaced(self.client.clone(), &self.namespace);
        let mut events = api.list(&ListParams::default()).await.expect("events").items;
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        let about = |event: &k8s_openapi::api::events::v1::Event| {
            let regarding = event.regarding.as_ref()?;
            (regarding.kind.as_deref() == Some(kind) && regarding.name.as_deref() == Some(name))
                .then(|| (event.reason.clone().unwrap_or_default(), event.note.clone().unwrap_or_default()))
        };
        events.iter().filter_map(about).collect()
    }

    /// Waits for an object's event with this reason, and returns its note.
    pub(crate) async fn event(&self, kind: &str, name: &str, reason: &str) -> String {
        until(DEADLINE, &format!("an event {reason} about {kind} {name}"), || async move {
            let events = self.events(kind, name).await;
            events.into_iter().find(|(found, _)| found == reason).map(|(_, note)| note)
        })
        .await
    }

    /// Waits until a reset satisfies `predicate`.
    pub(crate) async fn reset_where(
        &self,
        name: &str,
        what: &str,
        predicate: impl Fn(&Value) -> bool,
    ) -> Value {
        testbed::until_ok(DEADLINE, &format!("reset {name} {what}"), || async {
            match self.object("gar", name).await {
                Some(object) if predicate(&object) => Ok(object),
                other => Err(other.map(|object| object["status"].to_string())),
            }
        })
        .await
    }

    /// Waits until a new reset of the app `default` is cleared: by then, the operator has done all that it had to do
    /// for the others.
    pub(crate) async fn marker(&self, name: &str) {
        let group = format!("@TGS#{name}");
        self.room(&group);
        self.reset(name, &group, "").await;
        self.reset_is(name, "Cleared").await;
    }
}

/// The reason of a condition; empty if there is none.
pub(crate) fn reason_of(object: &Value, condition: &str) -> String {
    let found = condition_of(object, condition);
    found.and_then(|found| found["reason"].as_str()).unwrap_or_default().to_owned()
}

/// The message of a condition; empty if there is none.
pub(crate) fn message_of(object: &Value, condition: &str) -> String {
    let found = condition_of(object, condition);
    found.and_then(|found| found["message"].as_str()).unwrap_or_default().to_owned()
}

/// The condition of this type.
pub(crate) fn condition_of<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)
}

/// Parses a timestamp of a status.
pub(crate) fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_default().parse().unwrap_or_else(|_| panic!("{value} is not a timestamp"))
}
