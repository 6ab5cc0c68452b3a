//! What the checks are made from: four journals under one clock. The vendor's, the API server's audit log, an
//! administrator's watch, and the logs of the operators.

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

/// Every service account of the testbed is an operator's.
pub(crate) fn is_operator(user: &str) -> bool {
    user.starts_with("system:serviceaccount:")
}

/// What happened in one world.
pub(crate) struct Evidence {
    /// The requests of operators about this namespace.
    pub requests: Vec<Arc<AuditEvent>>,
    /// The statuses of resets that operators stored in this namespace.
    pub stored: Vec<Stored>,
    /// The same of all namespaces, as far as they are about the vendor of this world.
    pub stored_anywhere: Vec<Stored>,
    /// The statuses of apps of this vendor that operators stored in all namespaces.
    pub apps: Vec<Arc<AuditEvent>>,
    /// Resets whose status somebody else has written.
    pub forged: BTreeSet<String>,
    /// What arrived at the vendor.
    pub calls: Vec<Entry>,
    /// What an administrator saw, each version once.
    pub sightings: Vec<Sighting>,
    /// The operators.
    pub operators: Vec<Arc<Trace>>,
    /// The wall clocks of the operators say different things, so the moments that they write cannot be compared.
    pub clocks_differ: bool,
}

impl World {
    /// Collects it.
    pub(super) async fn evidence(&self) -> Evidence {
        // Other tests may go on at the same vendor. What both journals say up to one moment fits together.
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

    /// What the administrator's watch saw, after it has seen the last of what operators stored.
    async fn sightings_up_to(&self, stored: &[Stored]) -> Vec<Sighting> {
        let newest = stored.iter().map(|stored| version(&stored.object)).max().unwrap_or_default();
        let reached = self.sightings.reach(newest, Duration::from_secs(20)).await;
        assert!(
            reached,
            "the administrator's watch does not show version {newest}, which an operator stored"
        );
        let mut seen = BTreeSet::new();
        let mut sightings = self.sightings.all();
        sightings.retain(|sighting| seen.insert(version(&sighting.object)));
        sightings
    }
}
