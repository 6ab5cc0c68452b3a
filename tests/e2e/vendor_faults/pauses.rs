//! `Retry-After`: an answer that asks to be left alone.

use std::time::{Duration, SystemTime};

use testbed::until;
use testbed::vendor::{Command, Misbehaviour, When};

use super::{FIRST_ACCOUNT, until_verified};
use crate::world::replicas::NO_ELECTION;
use crate::world::{DEADLINE, KEY, World};

#[tokio::test]
async fn an_account_is_left_alone_for_as_long_as_an_answer_asks() {
    const PAUSE: Duration = Duration::from_secs(8);
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    world.secret("chat", KEY).await;
    let cases = [("seconds", 429, true), ("date", 429, false), ("unavailable", 503, true)];
    for (account, (name, ..)) in (FIRST_ACCOUNT..).zip(cases) {
        world.app_with_room(name, account, "").await;
    }
    until_verified(&world, cases.iter().map(|(name, ..)| (*name).to_owned())).await;
    for (account, (_, status, in_seconds)) in (FIRST_ACCOUNT..).zip(cases) {
        // A date has whole seconds only, so it may be up to a second earlier.
        let value = if in_seconds {
            PAUSE.as_secs().to_string()
        } else {
            httpdate::fmt_http_date(SystemTime::now() + PAUSE + Duration::from_secs(1))
        };
        world.vendor.script(When::clear().by(account).times(1), Misbehaviour::RetryAfter(status, value));
    }
    for (name, ..) in cases {
        world.reset_of_app(name, "").await;
    }
    let account_calls = |account: u64| {
        let mut calls = world.vendor.entries(|entry| entry.sdkappid == Some(account));
        let first = calls.iter().position(|call| call.command == Command::Clear);
        calls.split_off(first.unwrap_or(calls.len()))
    };
    for (account, (name, ..)) in (FIRST_ACCOUNT..).zip(cases) {
        let refused =
            until(DEADLINE, "the first call", || async { account_calls(account).into_iter().next() });
        let refused = refused.await;
        // Others of the account wait as well.
        world
            .reset(
                &format!("{name}-too"),
                &format!("@TGS#{name}-too"),
                &format!("  appRef: {{ name: {name} }}\n  onGroupNotFound: Succeed"),
            )
            .await;
        world.reset_is(name, "Cleared").await;
        world.reset_is(&format!("{name}-too"), "GroupGone").await;
        for call in account_calls(account).iter().filter(|call| call.arrived > refused.arrived) {
            let pause = call.arrived - refused.arrived;
            // The date was written a moment before the call.
            assert!(pause + Duration::from_secs(2) >= PAUSE, "{name}: asked again after {pause:?}");
        }
    }
    world.check(&[&operator]).await;
}
