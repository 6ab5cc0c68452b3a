//! What each answer of the vendor, or none, means for the reset and its app.
//!
//! | question | file |
//! |---|---|
//! | what does each code mean? | `codes` |
//! | what does any other answer mean, or none? | `answers` |
//! | what do endless answers cost? | `floods` |
//! | does a pause that the vendor asks for hold? | `pauses` |
//! | how much of the vendor's text is shown? | `text` |

mod answers;
mod codes;
mod floods;
mod pauses;
mod text;

use crate::world::World;

/// The first account. Each case has its own, because some answers open the account's circuit.
const FIRST_ACCOUNT: u64 = 1_500_000_000;

/// Waits until all of these apps are verified.
async fn until_verified(world: &World, names: impl Iterator<Item = String>) {
    for name in names {
        world.until_reason("chatapp", &name, "Ready", "Verified").await;
    }
}
