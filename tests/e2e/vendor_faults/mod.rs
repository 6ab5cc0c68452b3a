//! Whatever the vendor answers, or does not answer: what the reset and its app make of it.
//!
//! | question | file |
//! |---|---|
//! | what does each code mean? | `codes` |
//! | what does each other answer mean, and no answer? | `answers` |
//! | what do endless answers cost? | `floods` |
//! | is it left alone when it asks for that? | `pauses` |
//! | what is shown of the vendor's text? | `text` |

mod answers;
mod codes;
mod floods;
mod pauses;
mod text;

use crate::world::World;

/// The first of the accounts; each case has one of its own, because some answers close the account's circuit.
const FIRST: u64 = 1_500_000_000;

/// Waits until all the apps of these names are verified.
async fn verified(world: &World, names: impl Iterator<Item = String>) {
    for name in names {
        world.until_reason("chatapp", &name, "Ready", "Verified").await;
    }
}
