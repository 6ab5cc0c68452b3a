//! What a user sees of an app: each reason, its remedy, and that it recovers by itself.
//!
//! | question | file |
//! |---|---|
//! | is the key present and correct? | `secrets` |
//! | what if the vendor refuses the account? | `refusals` |
//! | which endpoints does the operator talk to? | `endpoint` |
//! | does `suspend` stop all calls? | `suspend` |
//! | what happens before the first clear? | `verification` |
//! | what does a call look like, and what does it cost? | `wire` |
//! | what if the vendor is behind a proxy? | `proxied` |
//! | when does the circuit open, and who is probed meanwhile? | `circuit` |
//! | what is worth an event? | `events` |

#![allow(clippy::cast_precision_loss)] // No number here is that large.

mod circuit;
mod endpoint;
mod events;
mod proxied;
mod refusals;
mod secrets;
mod suspend;
mod verification;
mod wire;

use serde_json::Value;
use testbed::until_ok;

use crate::world::{DEADLINE, World, condition_of, message_of, reason_of};

/// Waits until an app has this reason.
async fn app_has(world: &World, app: &str, reason: &str) -> Value {
    world.until_reason("chatapp", app, "Ready", reason).await
}

/// Waits until a reset has this reason, and a message that contains this text.
async fn reset_says(world: &World, reset: &str, reason: &str, text: &str) -> String {
    until_ok(DEADLINE, &format!("{reset} to say {text:?} with reason {reason}"), || async {
        let object = world.object("gar", reset).await.unwrap_or_default();
        let (found, message) = (reason_of(&object, "Succeeded"), message_of(&object, "Succeeded"));
        if found == reason && message.contains(text) { Ok(message) } else { Err((found, message)) }
    })
    .await
}

/// The app is not ready, and its message contains all of these texts.
fn assert_says(app: &Value, texts: &[&str]) {
    let message = message_of(app, "Ready");
    assert_eq!(condition_of(app, "Ready").unwrap()["status"], "False", "{app:#}");
    for text in texts {
        assert!(message.contains(text), "{text:?} is missing in {message:?}");
    }
}
