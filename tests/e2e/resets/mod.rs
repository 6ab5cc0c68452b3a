//! What a user sees of a reset, from `kubectl apply` to its final status and beyond.
//!
//! | question | file |
//! |---|---|
//! | what does a clean reset cost? | `clean` |
//! | what is a request, and when is a group cleared again? | `requests` |
//! | what do `kubectl` and other tools see in each state? | `tools` |
//! | what do edits and deletions do? | `edits` |
//! | how large does a status get? | `size` |

mod clean;
mod edits;
mod requests;
mod size;
mod tools;

use serde_json::{Value, json};

use crate::world::{World, reason_of};

const RESETS: &str = "groupattributeresets";

/// Asks for a new request.
async fn set_request(world: &World, name: &str, request: &str) {
    world.merge("gar", name, &json!({"spec": {"requestID": request}})).await;
}

/// Waits until the status shows this request and reason, for the current generation.
async fn request_is(world: &World, name: &str, request: &str, reason: &str) -> Value {
    world
        .reset_where(name, &format!("{request}/{reason}"), |object| {
            object["status"]["requestID"] == request
                && object["status"]["observedGeneration"] == object["metadata"]["generation"]
                && reason_of(object, "Succeeded") == reason
        })
        .await
}
