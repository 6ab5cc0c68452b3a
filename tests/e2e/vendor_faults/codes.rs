//! The vendor's codes, one by one.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::vendor::{Misbehaviour, When};
use testbed::{until, until_ok};

use super::{FIRST_ACCOUNT, until_verified};
use crate::world::history::Stored;
use crate::world::replicas::NO_ELECTION;
use crate::world::{DEADLINE, KEY, World, message_of, reason_of};

/// What a code means for the reset.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It finishes with this reason.
    Final(&'static str),
    /// It waits for the rate limit and is sent again.
    Throttled,
    /// It is sent again at once with a new signature.
    NewSignature,
    /// It waits for its app, which has this reason.
    WaitsForApp(&'static str),
    /// The group is read back.
    ReadBack,
    /// The group is read back, and the code is counted as unlisted.
    Unlisted,
}

/// The vendor's list of codes, written down independently of the operator's table.
const CODES: &[(Fate, &[i64])] = &[
    (Fate::Final("InvalidRequest"), &[10004, 10045, 10046, 10047, 10048]),
    (Fate::Final("GroupTypeNotSupported"), &[10007]),
    (Fate::Final("GroupNotFound"), &[10010, 10015]),
    (Fate::Throttled, &[10006, 10049, 60007, 60011, 60018, 60019]),
    (Fate::NewSignature, &[70001, 70052]),
    (
        Fate::WaitsForApp("CredentialsRejected"),
        &[70002, 70003, 70005, 70009, 70013, 70014, 70016, 70020, 70050, 70107, 70402, 70403],
    ),
    (Fate::WaitsForApp("CredentialsRejected"), &[10012, 60004, 60005, 60006, 60010, 60012, 60025]),
    // Ranges: any other 700xx and 7034x.
    (Fate::WaitsForApp("CredentialsRejected"), &[70000, 70004, 70099, 70340, 70349]),
    (
        Fate::WaitsForApp("AccountUnavailable"),
        &[10026, 10058, 10059, 60016, 60017, 60020, 60021, 60027, 60028],
    ),
    (Fate::WaitsForApp("AccountUnavailable"), &[70051, 70398, 72000, 72002, 80005]),
    (Fate::WaitsForApp("WrongRegion"), &[60026]),
    (Fate::WaitsForApp("EndpointRejected"), &[10003, 10011, 60002, 60003, 60009, 60015]),
    (Fate::ReadBack, &[10002, 10016, 10056, 60008, 60013, 60014, 70169, 70202, 70500]),
    (Fate::Unlisted, &[-1, 1, 10001, 70100, 70350, 99999, i64::MAX]),
];

struct Case {
    name: String,
    code: i64,
    fate: Fate,
    account: u64,
}

impl Case {
    fn group(&self) -> String {
        format!("@TGS#{}", self.name)
    }
}

fn cases() -> Vec<Case> {
    let codes = CODES.iter().flat_map(|(fate, codes)| codes.iter().map(move |code| (*fate, *code)));
    let name = |code: i64| format!("code-{}", code.to_string().replace('-', "minus-"));
    (FIRST_ACCOUNT..)
        .zip(codes)
        .map(|(account, (fate, code))| Case { name: name(code), code, fate, account })
        .collect()
}

#[tokio::test]
async fn every_vendor_code_is_handled_as_listed() {
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    world.secret("chat", KEY).await;
    let cases = cases();
    for case in &cases {
        world.app_with_room(&case.name, case.account, "").await;
    }
    until_verified(&world, cases.iter().map(|case| case.name.clone())).await;
    for Case { code, fate, account, .. } in &cases {
        let clear = When::clear().by(*account);
        match fate {
            Fate::Final(_) => world.vendor.script(clear, Misbehaviour::Code(*code)),
            Fate::Throttled | Fate::NewSignature => {
                world.vendor.script(clear.times(1), Misbehaviour::Code(*code));
            }
            Fate::WaitsForApp(_) => world.vendor.script(When::any().by(*account), Misbehaviour::Code(*code)),
            Fate::ReadBack | Fate::Unlisted => {
                world.vendor.script(clear.times(1), Misbehaviour::CodeAfterExecuting(*code));
            }
        }
    }
    for case in &cases {
        world.reset_of_app(&case.name, "").await;
    }

    // A reset that waits for its app says so, and the app says why.
    until_ok(DEADLINE, "the first call of every reset", || async {
        let uncalled = cases.iter().filter(|case| world.calls(&case.group()) == 0);
        let uncalled: Vec<_> = uncalled.map(|case| case.name.as_str()).collect();
        if uncalled.is_empty() { Ok(()) } else { Err(uncalled) }
    })
    .await;
    for Case { name, code, fate, .. } in &cases {
        let Fate::WaitsForApp(reason) = fate else { continue };
        let app = world.until_reason("chatapp", name, "Ready", reason).await;
        assert_eq!(app["status"]["lastErrorCode"], *code, "{name}");
        assert_has_remedy(&message_of(&app, "Ready"), *code);
        let reset = world.reset_is(name, "AppNotReady").await;
        assert_eq!(
            (&reset["status"]["attempts"], &reset["status"]["failures"]),
            (&json!(1), &json!(0)),
            "{name}"
        );
        assert!(
            message_of(&reset, "Succeeded").contains(&code.to_string()),
            "{}",
            message_of(&reset, "Succeeded")
        );
    }
    world.vendor.clear_scripts();

    for Case { name, fate, account, .. } in cases.iter().filter(|case| case.code != 70050) {
        let (reason, calls) = match fate {
            Fate::Final(reason) => (*reason, 1),
            Fate::Throttled | Fate::NewSignature | Fate::WaitsForApp(_) => ("Cleared", 2),
            Fate::ReadBack | Fate::Unlisted => ("VerifiedEmpty", 1),
        };
        let reset = world.reset_is(name, reason).await;
        let status = &reset["status"];
        assert_eq!((&status["attempts"], &status["failures"]), (&json!(calls), &json!(0)), "{name}");
        assert_eq!(world.calls(&format!("@TGS#{name}")), calls, "{name}");
        let full =
            world.vendor.attributes(*account, &format!("@TGS#{name}")).is_some_and(|all| !all.is_empty());
        assert_eq!(full, calls == 1 && reason != "VerifiedEmpty", "{name}");
        world.until_reason("chatapp", name, "Ready", "Verified").await;
    }
    let stored = world.stored().await;
    for case in &cases {
        check_case(&world, &stored, case);
    }
    for Case { code, fate, .. } in &cases {
        let expected = (*fate == Fate::Unlisted).then_some(1.0);
        let counted = operator.metric("groupattr_unlisted_codes_total", &[("code", &code.to_string())]).await;
        assert_eq!(counted, expected, "unlisted code {code}");
    }
    // After 70050 the operator waits a minute, where any other code is probed after 5 seconds.
    let silent = cases.iter().find(|case| case.code == 70050).unwrap();
    let refused = world.vendor.clears_of(&silent.group())[0].arrived;
    until(DEADLINE, "twelve seconds to pass", || async {
        (refused.elapsed() > Duration::from_secs(12)).then_some(())
    })
    .await;
    let calls = world.vendor.entries(|entry| entry.sdkappid == Some(silent.account));
    for call in calls.iter().filter(|entry| entry.arrived > refused) {
        assert!(call.arrived - refused >= Duration::from_mins(1), "{:?}", call.arrived - refused);
    }
    world.check(&[&operator]).await;
}

/// Checks the reasons that one reset went through, its first attempt, and its message.
fn check_case(world: &World, stored: &[Stored], case: &Case) {
    let Case { name, code, fate, .. } = case;
    let mine: Vec<&Value> =
        stored.iter().map(|one| &*one.object).filter(|object| object["metadata"]["name"] == **name).collect();
    let mut reasons: Vec<String> = mine.iter().map(|object| reason_of(object, "Succeeded")).collect();
    reasons.dedup();
    if *code == 70050 {
        // Whether its minute is over by now depends on the speed of the machine.
        reasons.truncate(2);
    }
    let first = mine.iter().find(|object| object["status"]["lastAttempt"]["number"] == 1).unwrap();
    let attempt = &first["status"]["lastAttempt"];
    assert_eq!((&attempt["errorCode"], &attempt["httpStatus"]), (&json!(code), &json!(200)), "{name}");
    let expected: &[&str] = match fate {
        Fate::Final(reason) => &["Sending", reason],
        Fate::Throttled => &["Sending", "RateLimited", "Sending", "Cleared"],
        Fate::NewSignature => &["Sending", "RetryScheduled", "Sending", "Cleared"],
        Fate::WaitsForApp(_) if *code == 70050 => &["Sending", "AppNotReady"],
        Fate::WaitsForApp(_) => &["Sending", "AppNotReady", "Sending", "Cleared"],
        Fate::ReadBack | Fate::Unlisted => &["Sending", "Verifying", "VerifiedEmpty"],
    };
    assert_eq!(reasons, expected, "{name}");
    let outcome = if matches!(fate, Fate::ReadBack | Fate::Unlisted) { "Unknown" } else { "Rejected" };
    assert_eq!(attempt["outcome"], outcome, "{name}");
    match fate {
        // These concern the signature, so the operator handles them without the user.
        Fate::NewSignature => {
            let calls = world.vendor.clears_of(&case.group());
            assert_ne!(
                calls[0].parameter("usersig"),
                calls[1].parameter("usersig"),
                "{name}: the signature was not renewed"
            );
        }
        Fate::ReadBack | Fate::Unlisted => {
            let message = message_of(first, "Succeeded");
            assert!(message.contains(&format!("code {code}")), "{message}");
        }
        _ => assert_has_remedy(&message_of(first, "Succeeded"), *code),
    }
}

/// The message names the code, and has a sentence on what to do.
fn assert_has_remedy(message: &str, code: i64) {
    assert!(message.to_lowercase().contains(&format!("code {code}")), "{message}");
    let sentences = message.split(". ").filter(|sentence| sentence.split_whitespace().count() >= 3).count();
    assert!(sentences >= 2, "cause or remedy is missing: {message}");
}
