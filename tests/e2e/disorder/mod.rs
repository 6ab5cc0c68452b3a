//! The operator's environment is broken: nothing is sent that must not be, healthy objects are unaffected,
//! the cause is reported, and recovery needs no restart.
//!
//! | what is broken | file |
//! |---|---|
//! | the vendor, with a backlog | `outage` |
//! | objects that violate the CRDs | `malformed` |
//! | the CRDs | `crd_faults` |
//! | objects and namespaces that are deleted, and objects re-created under the same name | `recreated` |
//! | API server responses that are stale, late or lost | `stale_answers` |
//! | delays between an intent and its call | `late_sends` |
//! | the operator's RBAC permissions | `permissions` |
//! | the account's Secret | `secrets` |

mod crd_faults;
mod late_sends;
mod malformed;
mod outage;
mod permissions;
mod recreated;
mod secrets;
mod stale_answers;
