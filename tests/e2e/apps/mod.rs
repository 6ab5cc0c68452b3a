//! What a user sees of an account: each reason, what it says to do, and that it heals by itself.
//!
//! | question | file |
//! |---|---|
//! | is the key there, and right? | `secrets` |
//! | what if the vendor refuses the account? | `refusals` |
//! | with whom does it talk, and with whom never? | `endpoint` |
//! | does the stop switch stop it? | `suspend` |
//! | what comes before the first call? | `proof` |
//! | what does a call look like, and what does it cost? | `wire` |
//! | what if the way to the vendor is a proxy? | `proxied` |
//! | when does the circuit open, and who is asked meanwhile? | `circuit` |
//! | what is worth an event? | `events` |

#![allow(clippy::cast_precision_loss)] // No number here is that large.

mod circuit;
mod endpoint;
mod events;
mod proof;
mod proxied;
mod refusals;
mod secrets;
mod suspend;
mod wire;

use serde_json::Value;
use testbed::until_ok;

use crate::world::{SOON, World, condition_of, message_of, reason_of};

/// Waits until an app has this reason.
async fn app_has(world: &World, app: &str, reason: &str) -> Value {
    world.until_reason("chatapp", app, "Ready", reason).await
}

/// Waits until a reset has this reason and says this.
async fn reset_says(world: &World, reset: &str, reason: &str, text: &str) -> String {
    until_ok(SOON, &format!("{reset} to say {text:?} as {reason}"), || async {
        let object = world.object("gar", reset).await.unwrap_or_default();
        let (found, said) = (reason_of(&object, "Succeeded"), message_of(&object, "Succeeded"));
        if found == reason && said.contains(text) { Ok(said) } else { Err((found, said)) }
    })
    .await
}

/// The message of an app that is not ready must say all of this.
fn assert_says(app: &Value, texts: &[&str]) {
    let said = message_of(app, "Ready");
    assert_eq!(condition_of(app, "Ready").unwrap()["status"], "False", "{app:#}");
    for text in texts {
        assert!(said.contains(text), "{text:?} is missing in {said:?}");
    }
}
