//! Accounts that a platform team opens to the namespaces of others, and accounts that several namespaces name.
//!
//! | question | file |
//! |---|---|
//! | what do the tests of cluster apps share? | `platform` |
//! | who is let in? | `allowed_namespaces` |
//! | what does a tenant learn? | `tenant_view` |
//! | what do two namespaces with one account share? | `shared_limits` |

mod allowed_namespaces;
pub(crate) mod platform;
mod shared_limits;
mod tenant_view;
