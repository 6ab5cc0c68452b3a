//! Calls to the vendor: each has a stored intent of its own (O4) and precedes the end of its request (O2), is repeated
//! only if it was not executed or the group was read back first (O5), and stays within the rate limit (O3).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;
use testbed::vendor::{Command, Entry};

use super::World;
use super::evidence::Evidence;
use super::history::Stored;

/// A call with the intent stored for it.
struct Intended<'a> {
    call: &'a Entry,
    intent: &'a Stored,
}

impl Intended<'_> {
    fn attempt(&self) -> &str {
        self.intent.object["status"]["pendingAttempt"]["id"].as_str().unwrap_or_default()
    }
}

impl Evidence {
    /// When a clear arrives, the latest stored status of some reset of its group is an intent that no other call used.
    /// There is no such intent before it is stored, nor after the result is.
    pub(super) fn check_calls(&self) {
        let _ = self.calls_with_intents();
    }

    fn calls_with_intents(&self) -> Vec<Intended<'_>> {
        let mut of_group: HashMap<&str, Vec<&Stored>> = HashMap::new();
        for stored in &self.stored_anywhere {
            of_group
                .entry(stored.object["spec"]["groupID"].as_str().unwrap_or_default())
                .or_default()
                .push(stored);
        }
        let mut used: HashSet<&str> = HashSet::new();
        let mut intended = Vec::new();
        for call in self.calls.iter().filter(|call| call.command == Command::Clear) {
            let group = call.group.as_deref().unwrap_or_default();
            let mut last: BTreeMap<&str, &Stored> = BTreeMap::new();
            for stored in
                of_group.get(group).into_iter().flatten().filter(|stored| stored.at <= call.arrived_at)
            {
                last.insert(uid(&stored.object), stored);
            }
            let found = last.into_values().find_map(|intent| {
                let id = intent.object["status"]["pendingAttempt"]["id"].as_str()?;
                (!used.contains(id)).then_some((id, intent))
            });
            let Some((id, intent)) = found else {
                let known = of_group.get(group).into_iter().flatten();
                let known: Vec<_> = known.map(|stored| (stored.at, &stored.object["status"])).collect();
                panic!("the clear of {group} at {} has no intent of its own: {known:#?}", call.arrived_at);
            };
            used.insert(id);
            intended.push(Intended { call, intent });
        }
        intended
    }

    /// A call is repeated only if the previous one was rejected or never sent, or if its outcome was unknown, the group
    /// was read back since, and `onUnknownOutcome` is `Retry`.
    pub(super) fn check_repetitions(&self) {
        let mut of_request: BTreeMap<(String, String), Vec<Intended<'_>>> = BTreeMap::new();
        for call in self.calls_with_intents() {
            let object = &call.intent.object;
            let request = object["status"]["requestID"].as_str().unwrap_or_default().to_owned();
            of_request.entry((uid(object).to_owned(), request)).or_default().push(call);
        }
        for calls in of_request.values() {
            for pair in calls.windows(2) {
                self.check_repetition(&pair[0], &pair[1]);
            }
        }
    }

    fn check_repetition(&self, first: &Intended<'_>, second: &Intended<'_>) {
        let object = &second.intent.object;
        let outcome = self
            .stored_anywhere
            .iter()
            .map(|stored| &stored.object["status"]["lastAttempt"])
            .find(|last| last["id"] == first.attempt());
        let Some(outcome) = outcome else {
            panic!("a call was repeated, but the outcome of the first one was never stored: {object:#}");
        };
        match outcome["outcome"].as_str().unwrap_or_default() {
            "Rejected" => {}
            "Unknown" => {
                let group = second.call.group.as_deref();
                let read_back = self.calls.iter().any(|read| {
                    let between = read.arrived > first.call.arrived && read.arrived < second.call.arrived;
                    read.command == Command::Get && read.group.as_deref() == group && read.executed && between
                });
                assert!(read_back, "a call was repeated without a read-back: {object:#}");
                assert_eq!(
                    object["spec"]["onUnknownOutcome"], "Retry",
                    "a call was repeated against onUnknownOutcome: {object:#}"
                );
            }
            other => panic!("a call with outcome {other} was repeated: {object:#}"),
        }
    }

    /// The highest rate limit that any app of each account ever had.
    pub(super) fn limits(&self) -> BTreeMap<u64, usize> {
        let mut limits: BTreeMap<u64, usize> = BTreeMap::new();
        for event in &self.apps {
            let spec = &event.response_object["spec"];
            if let Some(account) = spec["sdkAppID"].as_u64() {
                let limit = usize::try_from(spec["limits"]["callsPerSecond"].as_u64().unwrap_or(200));
                let limit = limit.unwrap_or(usize::MAX);
                let highest = limits.entry(account).or_default();
                *highest = limit.max(*highest);
            }
        }
        limits
    }
}

impl World {
    /// No sliding second sees more calls of an account than the highest limit that any of its apps ever had.
    pub(super) fn check_rates(&self, evidence: &Evidence) {
        for (account, limit) in evidence.limits() {
            for command in [Command::Clear, Command::Get] {
                let vendor = &self.served_by().vendor;
                let fullest = vendor.fullest_window(account, command, Duration::from_secs(1));
                assert!(
                    fullest <= limit,
                    "{fullest} calls of account {account} within one second, above the limit of {limit}"
                );
            }
        }
    }
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}
