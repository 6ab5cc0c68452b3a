//! Access to Kubernetes: one kind of I/O per file, and no decisions.
//!
//! | question | file |
//! |---|---|
//! | how is the API server reached, and how are its errors worded? | [`client`] |
//! | is our clock that of the API server? | [`clock_skew`] |
//! | through which proxy is it reached? | [`proxy_choice`], [`proxied`] |
//! | are the CRDs installed? | [`discovery`] |
//! | which RBAC permissions does the operator use, and does it have them? | [`access_review`] |
//! | which process is the leader? | [`lease`] |
//! | how is an account's key read? | [`secrets`] |
//! | how are statuses written and finished resets deleted? | [`status_writer`] |
//! | how are Events written? | [`event_writer`] |
//! | how does a drain end the operator's pods? | [`pods`] |

pub(crate) mod access_review;
pub(crate) mod client;
pub(crate) mod clock_skew;
pub(crate) mod discovery;
pub(crate) mod event_writer;
pub(crate) mod lease;
pub(crate) mod pods;
mod proxied;
pub(crate) mod proxy_choice;
pub(crate) mod secrets;
pub(crate) mod status_writer;

#[cfg(test)]
pub(crate) mod fake_api;

use std::error::Error;
use std::iter::successors;

/// An error and its causes; the last one is the root.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}
