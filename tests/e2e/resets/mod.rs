//! What a user sees of a reset, from apply to its final status and after it.
//!
//! | question | file |
//! |---|---|
//! | what does a clean reset cost? | `clean` |
//! | what is a request, and when is it sent again? | `requests` |
//! | what do `kubectl` and other tools see of each state? | `tools` |
//! | what becomes of an edit, and of a deletion? | `edits` |
//! | how large does a status get? | `size` |

mod clean;
mod edits;
mod requests;
mod size;
mod tools;

use serde_json::{Value, json};

use crate::world::{World, reason_of};

const RESETS: &str = "groupattributeresets";

async fn ask(world: &World, name: &str, request: &str) {
    world.merge("gar", name, &json!({"spec": {"requestID": request}})).await;
}

/// Waits until the status is about this request, for the present spec, with this reason.
async fn answered(world: &World, name: &str, request: &str, reason: &str) -> Value {
    world
        .reset_where(name, &format!("{request}/{reason}"), |object| {
            object["status"]["requestID"] == request
                && object["status"]["observedGeneration"] == object["metadata"]["generation"]
                && reason_of(object, "Succeeded") == reason
        })
        .await
}
