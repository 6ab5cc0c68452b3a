//! Clears the attributes of live audio rooms: the library of `groupattr-operator`.
//!
//! A `GroupAttributeReset` names a group of Tencent Cloud Chat; the operator makes the vendor's call for it and writes
//! into its status what came of it. Read one folder per layer; an arrow only ever points to an earlier line.
//!
//! | folder | what lives there |
//! |---|---|
//! | [`text`] | what of a stranger's text may be shown |
//! | [`api`] | the words: the kinds of object, conditions and reasons |
//! | [`chat`] | the vendor: wire format, signature, error codes, the HTTP client |
//! | [`decide`] | pure decisions: what is next, what does this answer mean, may it go now |
//! | [`cluster`] | hands: one kind of Kubernetes I/O in each file |
//! | [`operator`] | the desk where events come in and steps go out, and the memory of the process |
//! | [`args`], [`admin`], [`telemetry`] | the process around it |
//! | [`check`] | `groupattr-operator check`: are CRDs and rights there? |
//! | [`drain`] | `groupattr-operator drain`: have the operator finish before it is removed |

pub mod api;
pub mod chat;
pub mod check;
pub mod cli;
pub mod controller;
pub mod drain;
pub mod k8s;
pub mod limits;
pub mod observability;
pub mod protocol;
pub mod run;
pub mod text;
