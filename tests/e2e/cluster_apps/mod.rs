//! Accounts that a platform team opens to the namespaces of others, and accounts that several namespaces name.
//!
//! | question | file |
//! |---|---|
//! | what do the tests of cluster apps share? | `platform` |
//! | who is let in? | `doors` |
//! | what does a tenant learn? | `learned` |
//! | what do two namespaces with one account share? | `sharing` |

mod doors;
mod learned;
pub(crate) mod platform;
mod sharing;
