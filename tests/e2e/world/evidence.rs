//! The evidence that the oracles check: four journals under one clock. They are the vendor's journal, the API server's
//! audit log, an administrator's watch, and the operators' logs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use testbed::control_plane::AuditEvent;
use testbed::operator_process::Trace;
use testbed::sightings::Sighting;
use testbed::vendor::Entry;

use super::World;
use super::history::{Stored, stored_in, version};

/// Every service account in the testbed belongs to an operator.
pub(crate) fn is_operator(user: &str) -> bool {
    user.starts_with("system:serviceaccount:")
}

/// What happened in one world.
pub(crate) struct Evidence {
    /// The operators' requests for this namespace.
    pub requests: Vec<Arc<AuditEvent>>,
    /// The reset statuses that operators stored in this namespace.
    pub stored: Vec<Stored>,
    /// The same for all namespaces, as far as they concern this world's vendor.
    pub stored_anywhere: Vec<Stored>,
    /// The app statuses for this vendor that operators stored in any namespace.
    pub apps: Vec<Arc<AuditEvent>>,
    /// Resets whose status somebody other than an operator wrote.
    pub forged: BTreeSet<String>,
    /// What arrived at the vendor.
    pub calls: Vec<Entry>,
    /// What an administrator's watch saw, each version once.
    pub sightings: Vec<Sighting>,
    /// Every operator process.
    pub operators: Vec<Arc<Trace>>,
    /// The operators' wall clocks differ, so the times that they write cannot be compared.
    pub clocks_differ: bool,
}

impl World {
    /// Collects the evidence.
    pub(super) async fn evidence(&self) -> Evidence {
        // Other tests may still be using the same vendor: cut both journals off at one moment so that they agree.
        let moment = Timestamp::now();
        self.plane.audit_marker().await.expect("the audit log");
        let mut requests = self.plane.audit_in(&self.namespace).expect("the audit log");
        let mut statuses = self.plane.audit_of_statuses().expect("the audit log");
        for events in [&mut requests, &mut statuses] {
            events.retain(|event| event.received <= moment);
        }
        let forgeries = requests.iter().filter(|event| {
            event.resource == "groupattributeresets"
                && event.subresource == "status"
                && !is_operator(&event.user)
                && ["update", "patch"].contains(&event.verb.as_str())
        });
        let forged = forgeries.map(|event| event.name.clone()).collect();
        for events in [&mut requests, &mut statuses] {
            events.retain(|event| is_operator(&event.user));
        }
        let hosts = self.hosts();
        let is_ours = |event: &&Arc<AuditEvent>| {
            let status = &event.response_object["status"];
            let host = |attempt: &str| status[attempt]["host"].as_str();
            let host = host("pendingAttempt").or_else(|| host("lastAttempt"));
            host.is_some_and(|host| hosts.iter().any(|ours| ours == host))
        };
        let stored = stored_in(requests.iter().map(|event| &**event));
        let stored_anywhere = stored_in(statuses.iter().filter(is_ours).map(|event| &**event));
        let is_our_app = |event: &&Arc<AuditEvent>| {
            let endpoint = event.response_object["spec"]["endpoint"].as_str();
            ["chatapps", "clusterchatapps"].contains(&event.resource.as_str())
                && event.code == 200
                && endpoint.is_some_and(|url| hosts.iter().any(|host| url.ends_with(host.as_str())))
        };
        let apps = statuses.iter().filter(is_our_app).cloned().collect();
        let mut calls = self.served_by().vendor.journal();
        calls.retain(|call| call.arrived_at <= moment);
        let sightings = self.sightings_up_to(&stored).await;
        let mut operators = self.operators.lock().expect("no panic while holding this lock").clone();
        if let Some(host) = self.host {
            operators
                .extend(host.operators.lock().expect("no panic while holding this lock").iter().cloned());
        }
        let clocks_differ = self.clocks_differ.load(Ordering::Relaxed);
        Evidence {
            requests,
            stored,
            stored_anywhere,
            apps,
            forged,
            calls,
            sightings,
            operators,
            clocks_differ,
        }
    }

    /// The world whose vendor and operators serve this one.
    pub(super) fn served_by(&self) -> &World {
        self.host.unwrap_or(self)
    }

    fn hosts(&self) -> Vec<String> {
        let world = self.served_by();
        let mut hosts = vec![world.vendor.address().to_string()];
        hosts.extend(world.chat.as_ref().map(|proxy| proxy.address().to_string()));
        hosts.extend(hosts.clone().iter().map(|host| host.replace("127.0.0.1", "localhost")));
        hosts
    }

    /// What the administrator's watch saw, once it has caught up with what operators stored.
    async fn sightings_up_to(&self, stored: &[Stored]) -> Vec<Sighting> {
        let newest = stored.iter().map(|stored| version(&stored.object)).max().unwrap_or_default();
        let reached = self.sightings.reach(newest, Duration::from_secs(20)).await;
        assert!(reached, "the administrator's watch never saw version {newest}, which an operator stored");
        let mut seen = BTreeSet::new();
        let mut sightings = self.sightings.all();
        sightings.retain(|sighting| seen.insert(version(&sighting.object)));
        sightings
    }
}
