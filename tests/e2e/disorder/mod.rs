//! Everything around the operator in disorder: nothing is sent that must not be, the good ones are unaffected, it is
//! said what is wrong, and it heals by itself.
//!
//! | what is in disorder | file |
//! |---|---|
//! | the vendor, while many wait | `outage` |
//! | objects that no CRD of ours would have let pass | `malformed` |
//! | the CRDs | `crd_faults` |
//! | objects and namespaces that go away, and come back under their names | `recreated` |
//! | the order of the API server's answers | `stale_answers` |
//! | the time between an intent and its call | `late_sends` |
//! | the operator's rights | `permissions` |
//! | the account's Secret | `secrets` |

mod crd_faults;
mod late_sends;
mod malformed;
mod outage;
mod permissions;
mod recreated;
mod secrets;
mod stale_answers;
