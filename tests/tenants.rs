//! One operator for all namespaces, and accounts that several of them share: one more API server for all of this.
//!
//! | question | folder |
//! |---|---|
//! | what does a user see of an account that others share? | `cluster_apps` |
//! | what can a tenant take that is somebody else's? | `tenancy` |

mod cluster_apps;
mod tenancy;
mod world;
