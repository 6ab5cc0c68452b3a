//! No secret leaks (O7) into a status, event, log, metric, command line or request to the API server. Every test is
//! searched for the usual encodings; `tests/e2e/secrecy` searches for all of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;

use super::evidence::Evidence;
use super::{KEY, PROXY_PASSWORD, World};

impl World {
    pub(super) async fn check_secrets(&self, evidence: &Evidence) {
        let mut secrets: BTreeSet<&str> =
            evidence.calls.iter().filter_map(|call| call.parameter("usersig")).collect();
        secrets.extend([KEY, PROXY_PASSWORD]);
        let forms: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        for (place, text) in self.places(evidence).await {
            let hit = forms.iter().find(|form| text.contains(form.as_str()));
            assert!(hit.is_none(), "{place} contains a secret");
            assert!(!text.to_ascii_lowercase().contains("usersig="), "{place} contains a signed URL");
        }
    }

    /// Everything that is visible outside the process.
    async fn places(&self, evidence: &Evidence) -> Vec<(&'static str, String)> {
        // A new client, because the oracles may run on another runtime than the test.
        let events: Api<Event> = Api::namespaced(self.plane.admin().await, &self.namespace);
        let events = events.list(&ListParams::default()).await.expect("events").items;
        let requests = evidence.requests.iter().fold(String::new(), |mut text, event| {
            let _ = writeln!(text, "{} {}", event.request_uri, event.request_object);
            text
        });
        let stored = evidence.stored.iter().map(|stored| stored.object.to_string()).collect();
        let apps = evidence.apps.iter().map(|event| event.response_object.to_string()).collect();
        let mut places = vec![
            ("a request to the API server", requests),
            ("a status", stored),
            ("an app", apps),
            ("an event", serde_json::to_string(&events).expect("JSON")),
        ];
        for operator in &evidence.operators {
            places.push(("the log", operator.logs()));
            places.push(("the metrics", operator.metrics()));
            places.push(("the command line", operator.command_line().to_owned()));
        }
        places
    }
}

/// The usual encodings of a secret, without what depends on the text around it.
fn forms(secret: &str) -> Vec<String> {
    let percent: String = secret.replace('*', "%2A").replace('_', "%5F");
    let mut forms = vec![secret.to_owned(), percent];
    for shift in 0..3 {
        let shifted = [&[0; 3][..shift], secret.as_bytes()].concat();
        let encoded = STANDARD_NO_PAD.encode(&shifted);
        // The characters at either end depend on the text around the secret.
        forms.push(encoded[(shift * 8).div_ceil(6)..shifted.len() * 8 / 6].to_owned());
    }
    forms
}
