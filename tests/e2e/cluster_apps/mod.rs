//! Accounts that a platform team shares with other namespaces, and accounts named by several namespaces.
//!
//! | question | file |
//! |---|---|
//! | what do these tests share? | `platform` |
//! | which namespaces are allowed? | `allowed_namespaces` |
//! | what can a tenant see? | `tenant_view` |
//! | which limits apply to an account of two namespaces? | `shared_limits` |

mod allowed_namespaces;
pub(crate) mod platform;
mod shared_limits;
mod tenant_view;
