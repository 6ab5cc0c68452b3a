//! Each call was lawful: announced by an intent of its own (O4), before the end of its request (O2), repeated only
//! when nothing had been done or the group had been read back (O5), and none too fast (O3).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;
use testbed::vendor::{Command, Entry};

use super::World;
use super::evidence::Evidence;
use super::history::Stored;

/// A call with the intent that announced it.
struct Announced<'a> {
    call: &'a Entry,
    intent: &'a Stored,
}

impl Announced<'_> {
    fn attempt(&self) -> &str {
        self.intent.object["status"]["pendingAttempt"]["id"].as_str().unwrap_or_default()
    }
}

impl Evidence {
    /// Each clear arrived while the last stored status of a reset of its group was an intent that had not been used:
    /// before the intent is stored and after the end is stored, there is none.
    pub(super) fn check_calls(&self) {
        let _ = self.announced();
    }

    fn announced(&self) -> Vec<Announced<'_>> {
        let mut of_group: HashMap<&str, Vec<&Stored>> = HashMap::new();
        for stored in &self.stored_anywhere {
            of_group
                .entry(stored.object["spec"]["groupID"].as_str().unwrap_or_default())
                .or_default()
                .push(stored);
        }
        let mut used: HashSet<&str> = HashSet::new();
        let mut announced = Vec::new();
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
                panic!("a clear of {group} at {} without an intent of its own: {known:#?}", call.arrived_at);
            };
            used.insert(id);
            announced.push(Announced { call, intent });
        }
        announced
    }

    /// A call is repeated only if the one before was not executed by the vendor's own word, never left, or nobody saw
    /// its outcome, the group was read back since, and the policy is to send again.
    pub(super) fn check_repetitions(&self) {
        let mut of_request: BTreeMap<(String, String), Vec<Announced<'_>>> = BTreeMap::new();
        for announced in self.announced() {
            let object = &announced.intent.object;
            let request = object["status"]["requestID"].as_str().unwrap_or_default().to_owned();
            of_request.entry((uid(object).to_owned(), request)).or_default().push(announced);
        }
        for calls in of_request.values() {
            for pair in calls.windows(2) {
                self.check_repetition(&pair[0], &pair[1]);
            }
        }
    }

    fn check_repetition(&self, first: &Announced<'_>, second: &Announced<'_>) {
        let object = &second.intent.object;
        let outcome = self
            .stored_anywhere
            .iter()
            .map(|stored| &stored.object["status"]["lastAttempt"])
            .find(|last| last["id"] == first.attempt());
        let Some(outcome) = outcome else {
            panic!("sent again although nothing says what came of the first call: {object:#}");
        };
        match outcome["outcome"].as_str().unwrap_or_default() {
            "Rejected" => {}
            "Unknown" => {
                let group = second.call.group.as_deref();
                let read_back = self.calls.iter().any(|read| {
                    let between = read.arrived > first.call.arrived && read.arrived < second.call.arrived;
                    read.command == Command::Get && read.group.as_deref() == group && read.executed && between
                });
                assert!(read_back, "sent again, and the group was not read back: {object:#}");
                assert_eq!(
                    object["spec"]["onUnknownOutcome"], "Retry",
                    "sent again against the policy: {object:#}"
                );
            }
            other => panic!("a call that arrived is recorded as {other}, and was sent again: {object:#}"),
        }
    }

    /// The most calls a second that the apps of each account ever allowed.
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
    /// In no second did more calls of an account arrive than any of its apps ever allowed.
    pub(super) fn check_rates(&self, evidence: &Evidence) {
        for (account, limit) in evidence.limits() {
            for command in [Command::Clear, Command::Get] {
                let vendor = &self.served_by().vendor;
                let fullest = vendor.fullest_window(account, command, Duration::from_secs(1));
                assert!(fullest <= limit, "{fullest} calls of account {account} in one second, not {limit}");
            }
        }
    }
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}
